"""Regular structures in pymatgen's JSON form (`Structure.as_dict`), read all at once.

A few passes over lists, and NumPy for the rest. Whatever is unusual is left to `crystalbench.data.structure_json`,
which reads structures one by one and says what is wrong with each. So both give the same arrays, and mistakes are
described as if there were only the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crystalbench.data.elements import atomic_number
from crystalbench.data.structure_json import ANGLE_TOLERANCE, LENGTH_TOLERANCE, VOLUME_TOLERANCE

_CELL = ("matrix", "a", "b", "c", "alpha", "beta", "gamma", "volume")
_PERIODIC = ((True, True, True), [True, True, True])
_SHARE = 0.5  # of the tolerances: structures for which round-off would decide are read one by one
_LARGEST = 1e9  # and so are those with larger numbers, which NumPy may convert differently

_Floats = npt.NDArray[np.float64]


class FlatStructures(NamedTuple):
    """n ordered structures that are periodic in three directions.

    Attributes:
        lattices: (n, 3, 3) rows are the lattice vectors in Å.
        frac_coords: (atoms, 3) fractional coordinates.
        numbers: (atoms,) atomic numbers.
        counts: (n,) numbers of atoms.
    """

    lattices: _Floats
    frac_coords: _Floats
    numbers: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


def regular_structures(entries: Sequence[Any]) -> FlatStructures | None:
    """The structures if all have the entries that pymatgen writes, and these agree; None otherwise."""
    try:
        cells = [entry["lattice"] for entry in entries]
        sites_of = [entry["sites"] for entry in entries]
        matrices, *redundant = zip(*map(itemgetter(*_CELL), cells), strict=True)
        places, carts, species = zip(
            *map(itemgetter("abc", "xyz", "species"), chain.from_iterable(sites_of)), strict=True
        )
        if any("pbc" in entry for entry in entries):  # which pymatgen does not write here
            return None
        if not _are(3, matrices) or any(cell.get("pbc", _PERIODIC[0]) not in _PERIODIC for cell in cells):
            return None
        rows, written = _triples(list(chain.from_iterable(matrices))), _numbers(list(chain.from_iterable(redundant)))
        coords, xyz, numbers = _triples(places), _triples(carts), _elements(species)
        if rows is None or written is None or coords is None or xyz is None or numbers is None:
            return None
        lattices, counts = rows.reshape(-1, 3, 3), np.fromiter(map(len, sites_of), np.int64, len(sites_of))
        computed = np.einsum("ai,aij->aj", coords, np.repeat(lattices, counts, axis=0))
        agree = _cells_agree(written.reshape(len(redundant), -1), lattices)
        agree = agree and np.abs(xyz - computed).max() < _SHARE * LENGTH_TOLERANCE
        return FlatStructures(lattices, coords, numbers, counts) if agree else None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _cells_agree(written: _Floats, lattices: _Floats) -> bool:
    """Whether lengths, angles and volumes (7, n), as written, are those of lattices (n, 3, 3)."""
    lengths = np.linalg.norm(lattices, axis=2)
    volumes = np.abs(np.linalg.det(lattices))
    if not (lengths > 0).all():
        return False
    units = lattices / lengths[:, :, None]
    cosines = np.stack([(units[:, one] * units[:, two]).sum(1) for one, two in ((1, 2), (0, 2), (0, 1))])
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return bool(
        (np.abs(written[:3] - lengths.T) < _SHARE * LENGTH_TOLERANCE).all()
        and (np.abs(written[3:6] - angles) < _SHARE * ANGLE_TOLERANCE).all()
        and (np.abs(written[6] - volumes) < _SHARE * VOLUME_TOLERANCE * volumes).all()
    )


def _are(length: int, values: Sequence[Any]) -> bool:
    """Whether all values are lists or tuples of this length."""
    return set(map(type, values)) <= {list, tuple} and set(map(len, values)) == {length}


def _numbers_only(values: Sequence[Any]) -> bool:
    return set(map(type, values)) <= {float, int}  # no booleans, which are integers to Python


def _numbers(values: Sequence[Any]) -> _Floats | None:
    """Numbers as an array; None if any is something else, or too large."""
    if not _numbers_only(values):
        return None
    array = np.fromiter(values, np.float64, len(values))
    return array if np.abs(array).max() < _LARGEST else None


def _triples(rows: Sequence[Any]) -> _Floats | None:
    """Lists of three numbers as an array (rows, 3); None if any is something else."""
    if not _are(3, rows):
        return None
    array = _numbers(list(chain.from_iterable(rows)))
    return None if array is None else array.reshape(-1, 3)


def _elements(species: Sequence[Any]) -> npt.NDArray[np.int64] | None:
    """Atomic numbers (sites,) of the occupants of all sites; None if a site is not occupied by one element."""
    if not _are(1, species):
        return None
    symbols, occupancies = zip(*map(itemgetter("element", "occu"), chain.from_iterable(species)), strict=True)
    if not _numbers_only(occupancies) or any(not abs(value - 1) <= 1e-8 for value in set(occupancies)):
        return None
    known = {symbol: atomic_number(symbol) for symbol in set(symbols)}
    return np.fromiter(map(known.__getitem__, symbols), np.int64, len(symbols))
