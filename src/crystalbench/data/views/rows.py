"""Applying a function to each crystal, and random numbers that depend on the crystal alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.intp]

_STEP = 1e-4
"""Differences in Å or in fractional coordinates that tell crystals apart where random numbers are drawn."""


class OneCrystal(NamedTuple):
    """One crystal.

    Attributes:
        lattice: (3, 3) lattice vectors in Å, one per row.
        coords: (atoms, 3) fractional coordinates.
        numbers: (atoms,) atomic numbers.
        name: its id, for messages only.
    """

    lattice: Floats
    coords: Floats
    numbers: Numbers
    name: str = ""

    @property
    def volume(self) -> float:
        """Volume of the cell in Å³."""
        return float(abs(np.linalg.det(self.lattice)))


def each(crystals: Crystals, change: Callable[[OneCrystal], OneCrystal]) -> Crystals:
    """Apply a function to every crystal, which may change its number of atoms."""
    changed = [change(_one(crystals, row)) for row in range(len(crystals))]
    if not changed:
        return crystals
    return Crystals.from_flat(
        np.array([one.lattice for one in changed]),
        np.concatenate([one.coords for one in changed]),
        np.concatenate([one.numbers for one in changed]),
        [len(one.numbers) for one in changed],
        crystals.ids,
    )


def wrapped(coords: Floats) -> Floats:
    """Fractional coordinates in [0, 1), rounded: round-off does not move an atom to the other side of the cell."""
    return np.asarray(_rounded(coords - np.floor(coords)) % 1.0)


def listing_order(coords: Floats) -> Indices:
    """(atoms,) order of atoms by their rounded positions in the cell; it does not depend on the order of the list."""
    places = wrapped(coords)
    return np.lexsort((places[:, 2], places[:, 1], places[:, 0]))


def generator(lattice: Floats, *arrays: npt.NDArray[np.generic]) -> np.random.Generator:
    """A random generator whose seed follows from a crystal, not from its orientation or from round-off.

    Args:
        lattice: (3, 3) lattice vectors in Å.
        arrays: more arrays that determine the seed.
    """
    sha = hashlib.sha256()
    for array in (oriented(lattice), *arrays):
        sha.update(_rounded(np.asarray(array, dtype=np.float64)).tobytes())
    return np.random.default_rng(int.from_bytes(sha.digest()[:8], "big"))


def oriented(lattice: Floats) -> Floats:
    """The lattice in its standard orientation: a along x, b in the xy plane; a left-handed one is mirrored."""
    return np.asarray(np.linalg.cholesky(lattice @ lattice.T))


def _rounded(values: Floats) -> Floats:
    """Values in whole steps. Files often hold five decimals, so that the middle between steps is no good boundary."""
    return np.asarray(np.floor(values / _STEP + 0.318) * _STEP + 0.0)  # -0.0 becomes 0.0


def _one(crystals: Crystals, row: int) -> OneCrystal:
    atoms = slice(crystals.offsets[row], crystals.offsets[row + 1])
    name = str(crystals.ids[row])
    return OneCrystal(crystals.lattices[row], crystals.frac_coords[atoms], crystals.numbers[atoms], name)
