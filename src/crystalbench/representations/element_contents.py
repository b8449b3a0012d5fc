"""Element contents: how much of each element a composition has, as one row of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.elements import MAX_Z
from crystalbench.representations.arrays import CRYSTAL, Arrays, Layout
from crystalbench.representations.element_vectors import matscholar_vectors
from crystalbench.representations.representation import Representation


@dataclass(frozen=True)
class ElementContents(Representation):
    """The atomic fractions of all elements and, on request, the mean element vector of the atoms.

    Arrays: ``contents`` (n, 118) float64, the fraction of each element, in the order of atomic numbers; with vectors
    (n, 318): the mean over the atoms of `matscholar_vectors` follows.

    Attributes:
        vectors: whether to include the mean vector.
    """

    packages: ClassVar[tuple[str, ...]] = ("matminer",)

    vectors: bool = False

    def __call__(self, inputs: Inputs) -> Arrays:
        """The contents of n compositions, or of the compositions of n crystals."""
        compositions = inputs.compositions() if isinstance(inputs, Crystals) else inputs
        fractions = np.zeros((len(compositions), MAX_Z + 1))
        fractions[compositions.owners, compositions.numbers] = compositions.fractions
        columns = [fractions[:, 1:]]
        if self.vectors:
            columns.append(fractions @ matscholar_vectors().astype(np.float64))
        return Arrays(
            {"contents": np.concatenate(columns, axis=1)}, {"contents": Layout(CRYSTAL)}, {}, len(compositions)
        )
