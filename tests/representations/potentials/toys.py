"""Potentials with known answers: springs between atoms, in double precision."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from crystalbench.data.crystals import Crystals
from crystalbench.representations.neighbors import pairs_within
from crystalbench.representations.potentials import Evaluation, Potential
from crystalbench.representations.potentials.potential import GPA

STIFFNESS = 5.0
"""Of a spring, in eV/Å²."""


class Springs(Potential):
    """Springs of length `length` between all atoms closer than `reach`, both in Å."""

    pretrained_on: ClassVar[frozenset[str]] = frozenset({"springs"})
    elements: ClassVar[frozenset[int]] = frozenset(range(1, 100))
    features: ClassVar[int] = 2
    length: ClassVar[float] = 2.5
    reach: ClassVar[float] = 2.7
    calls: ClassVar[list[int]] = []

    def _evaluate(self, crystals: Crystals) -> Evaluation:
        self.calls.append(len(crystals))
        energies, stresses = np.zeros(len(crystals)), np.zeros((len(crystals), 3, 3))
        forces, features = np.zeros((len(crystals.numbers), 3)), np.zeros((len(crystals.numbers), 2))
        inside = crystals.wrapped()
        for row, lattice in enumerate(crystals.lattices):
            atoms = slice(crystals.offsets[row], crystals.offsets[row + 1])
            places = inside.frac_coords[atoms] @ lattice
            pairs = pairs_within(lattice, places, self.reach)
            vectors = places[pairs.others] + pairs.images @ lattice - places[pairs.centers]
            lengths = pairs.distances
            pair_energies, slopes = self._of_pairs(lengths)
            energies[row] = pair_energies.sum() / 2
            pulls = (slopes / lengths)[:, None] * vectors
            np.add.at(forces[atoms], pairs.centers, pulls)
            stresses[row] = GPA / (2 * crystals.volumes[row]) * vectors.T @ pulls
            np.add.at(features[atoms], pairs.centers, np.stack([lengths, lengths**2], axis=1))
        return Evaluation(energies, forces, stresses, features)

    def _of_pairs(self, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energies and their derivatives."""
        stretched = lengths - self.length
        return STIFFNESS / 2 * stretched**2, STIFFNESS * stretched


class SmoothSprings(Springs):
    """Springs that become weaker with their length, smoothly: nothing is soft, and no spring appears suddenly."""

    length: ClassVar[float] = 2.0
    reach: ClassVar[float] = 4.5

    def _of_pairs(self, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        energies, slopes = super()._of_pairs(lengths)
        rest = 1 - (lengths / self.reach) ** 2
        return energies * rest**4, slopes * rest**4 - energies * 8 * rest**3 * lengths / self.reach**2
