"""What is around each atom: effective coordination number and order of the site symmetry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.errors import DataError
from crystalbench.representations.arrays import Arrays, Layout
from crystalbench.representations.descriptors.one_crystal import each_crystal
from crystalbench.representations.representation import Representation

if TYPE_CHECKING:
    from crystalbench.representations.descriptors.one_crystal import OneCrystal


@dataclass(frozen=True)
class AtomSites(Representation):
    """Coordination and site symmetry of each atom.

    Arrays: ``numbers`` (atoms,) uint8; ``coordination`` (atoms,) float64, the effective coordination number (Σ w)² /
    Σ w² with the solid angles w of the faces of the Voronoi cell; ``site_order`` (atoms,) float64, the number of
    operations of the space group that leave the atom in place. NaN where tessellation or symmetry search fails.

    Attributes:
        symprec: tolerance of the symmetry search in Å.
    """

    packages: ClassVar[tuple[str, ...]] = ("spglib", "scipy")
    symprec: float = 0.1

    def __call__(self, inputs: Inputs) -> Arrays:
        """Coordination and site symmetry of the atoms of n crystals.

        Raises:
            DataError: the inputs are compositions.
        """
        if not isinstance(inputs, Crystals):
            raise DataError("sites of atoms need crystal structures, and these are compositions")
        found = [(_coordination(c), _site_order(c)) for c in each_crystal(inputs, self.symprec)]
        empty = [np.zeros(0)]
        values = {
            "numbers": np.asarray(inputs.numbers),
            "coordination": np.concatenate([c for c, _ in found] or empty),
            "site_order": np.concatenate([s for _, s in found] or empty),
        }
        layouts = {name: Layout("atom") for name in values}
        return Arrays(values, layouts, {"atom": np.asarray(inputs.offsets)}, len(inputs))


def _coordination(crystal: OneCrystal) -> npt.NDArray[np.float64]:
    try:
        faces = crystal.faces()
    except DataError:
        return np.full(len(crystal), np.nan)
    return np.asarray(faces.sums(faces.solid_angles) ** 2 / faces.sums(faces.solid_angles**2))


def _site_order(crystal: OneCrystal) -> npt.NDArray[np.float64]:
    try:
        symmetry = crystal.symmetry(crystal.symprec)
    except DataError:
        return np.full(len(crystal), np.nan)
    _, orbits, sizes = np.unique(symmetry.orbits, return_inverse=True, return_counts=True)
    return np.asarray(symmetry.operations / sizes[orbits], np.float64)
