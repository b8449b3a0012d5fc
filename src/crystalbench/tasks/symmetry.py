"""Space groups and crystal systems of the crystals of a task, as spglib finds them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals
from crystalbench.representations.cache import represent
from crystalbench.representations.space_groups import SpaceGroupNumbers

SYMPREC = 0.1
"""Tolerance of the symmetry search in Å."""

CRYSTAL_SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
"""The crystal systems in the order of the numbers of their space groups."""

_LAST = (2, 15, 74, 142, 167, 194, 230)  # number of the last space group of each


def space_groups(crystals: Crystals, symprec: float = SYMPREC) -> npt.NDArray[np.int64]:
    """(n,) numbers of the space groups, 0 where none is found. They take milliseconds per crystal, and are cached.

    Args:
        crystals: n crystals.
        symprec: largest distance in Å between an atom and its symmetric position.
    """
    return np.asarray(represent(SpaceGroupNumbers(symprec), crystals)[0].values["numbers"])


def crystal_systems(groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(n,) places in `CRYSTAL_SYSTEMS` of the crystal systems of space groups, -1 for the number 0."""
    return np.where(groups > 0, np.searchsorted(_LAST, groups), -1)
