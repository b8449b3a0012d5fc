"""Space groups and crystal systems of the crystals of a task, as spglib finds them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals
from crystalbench.errors import DataError
from crystalbench.representations.descriptors.space_group import find_symmetry

SYMPREC = 0.1
"""Tolerance of the symmetry search in Å."""

CRYSTAL_SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
"""The crystal systems in the order of the numbers of their space groups."""

_LAST = (2, 15, 74, 142, 167, 194, 230)  # number of the last space group of each


def space_groups(crystals: Crystals, symprec: float = SYMPREC) -> npt.NDArray[np.int64]:
    """(n,) numbers of the space groups, 0 where none is found. A crystal takes milliseconds.

    Args:
        crystals: n crystals.
        symprec: largest distance in Å between an atom and its symmetric position.
    """
    return np.array([_space_group(crystals, row, symprec) for row in range(len(crystals))], np.int64)


def crystal_systems(groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(n,) places in `CRYSTAL_SYSTEMS` of the crystal systems of space groups, -1 for the number 0."""
    return np.where(groups > 0, np.searchsorted(_LAST, groups), -1)


def _space_group(crystals: Crystals, row: int, symprec: float) -> int:
    atoms = slice(crystals.offsets[row], crystals.offsets[row + 1])
    try:
        found = find_symmetry(crystals.lattices[row], crystals.frac_coords[atoms], crystals.numbers[atoms], symprec)
    except DataError:
        return 0
    return found.number
