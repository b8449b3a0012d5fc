"""Toy models that depend on different things; tests name them by their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from crystalbench.data.samples import Predictions, Samples
from crystalbench.models import Invariance, Model, Needs, Sees
from crystalbench.representations import DescriptorBank
from crystalbench.targets import Kind


@dataclass
class Toy(Model):
    """Predicts a number of each crystal, without learning anything."""

    needs: ClassVar[Needs] = Needs.STRUCTURE
    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)

    def fit(self, train: Samples, valid: Samples) -> Self:
        self.target = train.target
        return self

    def predict(self, samples: Samples) -> Predictions:
        value = self.value(samples)
        if self.target.kind is Kind.REGRESSION:
            return Predictions(value)
        p = 1 / (1 + np.exp(-value / 50))
        return Predictions(p if self.target.kind is Kind.BINARY else np.stack([p, (1 - p) / 2, (1 - p) / 2], axis=1))

    def value(self, samples: Samples) -> np.ndarray:
        raise NotImplementedError


class MeanNumber(Toy):
    """Mean atomic number: no description of a crystal matters."""

    invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)
    sees: ClassVar[Sees] = Sees.COMPOSITION

    def value(self, samples: Samples) -> np.ndarray:
        c = samples.crystals
        return np.add.reduceat(c.numbers.astype(float), c.offsets[:-1]) / c.atom_counts


class FirstAtom(Toy):
    """Atomic number of the first atom in the list."""

    def value(self, samples: Samples) -> np.ndarray:
        return samples.crystals.numbers[samples.crystals.offsets[:-1]].astype(float)


class Volume(Toy):
    """Volume of the cell, which grows with the cell."""

    def value(self, samples: Samples) -> np.ndarray:
        return samples.crystals.volumes


class Orientation(Toy):
    """An x coordinate of the lattice, which turns with the crystal."""

    def value(self, samples: Samples) -> np.ndarray:
        return samples.crystals.lattices[:, 0, 0]


class KnowsDensity(Toy):
    """The mass density in g/cm³, which is also in its embedding, between numbers that say nothing of a crystal.

    Before training, only these numbers are.
    """

    trained = True
    sees: ClassVar[Sees] = Sees.STRUCTURE_AND_CHEMISTRY

    def value(self, samples: Samples) -> np.ndarray:
        return DescriptorBank()(samples.crystals).values["descriptors"][:, DescriptorBank().labels.index("density")]

    def embed(self, samples: Samples) -> np.ndarray:
        value = self.value(samples)
        noise = np.sin(1e4 * value[:, None] * np.arange(1, 5))
        return np.column_stack([noise, 3 * value + noise[:, 0]]) if self.trained else noise

    def untrained(self, train: Samples) -> Self:
        model = type(self)()
        model.target, model.trained = train.target, False
        return model
