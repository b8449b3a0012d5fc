"""Structures in pymatgen's JSON form (`Structure.as_dict`) as flat arrays, without creating `Structure` objects.

Regular structures are read all at once: a few passes over lists, and NumPy for the rest. If anything about them is
unusual, they are read one by one, with checks that name the entry and say what is wrong. So a mistake is described as
if there were only the second way, and both give the same arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crystalbench.data.elements import atomic_number
from crystalbench.errors import DataError

MAX_LENGTH = 1e5
"""Å; largest component of a lattice vector."""
JSON_TOLERANCE = 0.01
"""Largest difference in Å between redundant entries of a structure in JSON form."""

_PERIODIC = ((True, True, True), [True, True, True])
_AGREEING = JSON_TOLERANCE / 2  # structures for which round-off would decide are read one by one
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


def flat_structures(dicts: Iterable[Any], ids: Sequence[str] | npt.NDArray[np.str_] | None) -> FlatStructures:
    """Read structures in JSON form.

    Args:
        dicts: n structures.
        ids: (n,) ids for messages; the row numbers by default.

    Raises:
        DataError: see `crystalbench.data.crystals.Crystals.from_dicts`.
    """
    entries = list(dicts)
    found = _at_once(entries)
    return _one_by_one(entries, ids) if found is None else found


def require_periodic(name: str, periodic: Any) -> None:
    """Refuse structures that are not periodic in all three directions.

    Args:
        name: id of the structure.
        periodic: pymatgen's ``pbc``, three booleans.

    Raises:
        DataError: they are not three booleans, or not all true.
    """
    is_list = isinstance(periodic, (list, tuple, np.ndarray))
    if not is_list or len(periodic) != 3 or any(p not in (True, False) for p in periodic):
        raise DataError(f"{name}: pbc = {periodic!r} must be a list of three booleans")
    if not all(periodic):
        raise DataError(
            f"{name}: is periodic in {sum(map(bool, periodic))} of three directions (pbc = "
            f"{', '.join(str(bool(p)) for p in periodic)}); crystals are periodic in all three, so give a layer a cell "
            "with vacuum"
        )


def only_element(name: str, site: int, occupants: Sequence[tuple[str, float]]) -> int:
    """The atomic number of the only occupant of a site.

    Args:
        name: id of the structure.
        site: number of the site.
        occupants: symbols and occupancies.

    Raises:
        DataError: the site is disordered, or the symbol is not that of an element.
    """
    if len(occupants) != 1 or not abs(occupants[0][1] - 1) <= 1e-8:  # NaN included
        mixture = " ".join(f"{symbol}:{occupancy:g}" for symbol, occupancy in occupants)
        raise DataError(
            f"{name}: site {site} is disordered ({mixture}), but CrystalBench needs ordered crystals; order the "
            "structure (e.g. with pymatgen's OrderDisorderedStructureTransformation) or remove it"
        )
    symbol = occupants[0][0]
    try:
        return atomic_number(symbol)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: site {site} contains {symbol!r}, which is not an element") from error


# ---------------------------------------------------------------------- all at once


def _at_once(entries: Sequence[Any]) -> FlatStructures | None:
    """The structures if all are regular: with all entries that pymatgen writes, and without a mistake; else None."""
    try:
        cells = [entry["lattice"] for entry in entries]
        sites_of = [entry["sites"] for entry in entries]
        matrices, *lengths = zip(*map(itemgetter("matrix", "a", "b", "c"), cells), strict=True)
        places, carts, species = zip(
            *map(itemgetter("abc", "xyz", "species"), chain.from_iterable(sites_of)), strict=True
        )
        if not _are(3, matrices) or any(cell.get("pbc", _PERIODIC[0]) not in _PERIODIC for cell in cells):
            return None
        rows, written = _triples(list(chain.from_iterable(matrices))), _triples(list(zip(*lengths, strict=True)))
        coords, xyz, numbers = _triples(places), _triples(carts), _elements(species)
        if rows is None or written is None or coords is None or xyz is None or numbers is None:
            return None
        lattices, counts = rows.reshape(-1, 3, 3), np.fromiter(map(len, sites_of), np.int64, len(sites_of))
        computed = np.einsum("ai,aij->aj", coords, np.repeat(lattices, counts, axis=0))
        apart = max(np.abs(written - np.linalg.norm(lattices, axis=2)).max(), np.abs(xyz - computed).max())
        return FlatStructures(lattices, coords, numbers, counts) if apart < _AGREEING else None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _are(length: int, values: Sequence[Any]) -> bool:
    """Whether all values are lists or tuples of this length."""
    return set(map(type, values)) <= {list, tuple} and set(map(len, values)) == {length}


def _numbers_only(values: Sequence[Any]) -> bool:
    return set(map(type, values)) <= {float, int}  # no booleans, which are integers to Python


def _triples(rows: Sequence[Any]) -> _Floats | None:
    """Lists of three numbers as an array (rows, 3); None if any is something else."""
    if not _are(3, rows):
        return None
    flat = list(chain.from_iterable(rows))
    if not _numbers_only(flat):
        return None
    array = np.fromiter(flat, np.float64, len(flat))
    return array.reshape(-1, 3) if np.abs(array).max() < _LARGEST else None


def _elements(species: Sequence[Any]) -> npt.NDArray[np.int64] | None:
    """Atomic numbers (sites,) of the occupants of all sites; None if a site is not occupied by one element."""
    if not _are(1, species):
        return None
    symbols, occupancies = zip(*map(itemgetter("element", "occu"), chain.from_iterable(species)), strict=True)
    if not _numbers_only(occupancies) or any(not abs(value - 1) <= 1e-8 for value in set(occupancies)):
        return None
    known = {symbol: atomic_number(symbol) for symbol in set(symbols)}
    return np.fromiter(map(known.__getitem__, symbols), np.int64, len(symbols))


# ---------------------------------------------------------------------- one by one


def _one_by_one(entries: Sequence[Any], ids: Sequence[str] | npt.NDArray[np.str_] | None) -> FlatStructures:
    lattices: list[_Floats] = []
    coords: list[_Floats] = []
    numbers: list[int] = []
    counts: list[int] = []
    for row, entry in enumerate(entries):
        name = str(ids[row]) if ids is not None and row < len(ids) else f"row {row}"
        try:
            lattice = _numbers(entry["lattice"]["matrix"], "lattice matrix")
            sites = entry["sites"]
            places = _numbers([site["abc"] for site in sites], "abc").reshape(-1, 3)
            species = [[(s["element"], _occupancy(s["occu"])) for s in site["species"]] for site in sites]
            periodic = entry["lattice"].get("pbc", _PERIODIC[0])
        except KeyError as error:
            raise DataError(f"{name}: is not a pymatgen structure in JSON form (missing {error})") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{name}: is not a pymatgen structure in JSON form ({error})") from error
        if lattice.shape != (3, 3) or len(places) != len(sites):
            raise DataError(f"{name}: must have a lattice matrix of 3 × 3 numbers and 3 coordinates for each site")
        require_periodic(name, periodic)
        if contradiction := _contradiction(entry["lattice"], lattice, sites, places):
            raise DataError(f"{name}: contradicts itself: {contradiction}; write the structure again with pymatgen")
        lattices.append(lattice)
        coords.append(places)
        counts.append(len(sites))
        numbers.extend(only_element(name, k, occupants) for k, occupants in enumerate(species))
    return FlatStructures(
        np.array(lattices, np.float64).reshape(-1, 3, 3),
        np.concatenate(coords) if coords else np.zeros((0, 3)),
        np.array(numbers, np.int64),
        np.array(counts, np.int64),
    )


def _numbers(value: Any, what: str) -> npt.NDArray[np.float64]:
    """Convert numbers to an array.

    Raises:
        ValueError: the value contains anything else, e.g. text or null.
    """
    array = np.asarray(value)
    if array.size and array.dtype.kind not in "iuf":
        raise ValueError(f"its {what} must contain numbers only")
    return array.astype(np.float64)


def _contradiction(
    cell: Mapping[str, Any],
    matrix: npt.NDArray[np.float64],
    sites: Sequence[Mapping[str, Any]],
    frac_coords: npt.NDArray[np.float64],
) -> str | None:
    """How the redundant entries of a structure in JSON form contradict each other; None if they agree.

    Args:
        cell: the lattice as written, perhaps with ``a``, ``b`` and ``c``.
        matrix: (3, 3) lattice vectors in Å as rows.
        sites: the sites as written, perhaps with Cartesian coordinates ``xyz``.
        frac_coords: (atoms, 3) fractional coordinates.
    """
    if not np.abs(matrix).max() <= MAX_LENGTH or not np.isfinite(frac_coords).all():
        return None  # refused with all crystals
    for name, length in zip("abc", np.linalg.norm(matrix, axis=1), strict=True):
        written = cell.get(name)
        if isinstance(written, int | float) and not abs(written - length) <= JSON_TOLERANCE:
            return f"the lattice has {name} = {written:g} Å, and its matrix {length:g} Å"
    for k, (site, place) in enumerate(zip(sites, frac_coords @ matrix, strict=True)):
        xyz = site.get("xyz")
        if isinstance(xyz, list | tuple) and len(xyz) == 3:
            distance = float(np.abs(np.asarray(xyz, dtype=np.float64) - place).max())
            if not distance <= JSON_TOLERANCE:
                return f"the xyz and the abc of site {k} are {distance:.3g} Å apart"
    return None


def _occupancy(value: Any) -> float:
    if isinstance(value, (str, bool)):
        raise ValueError(f"its occupancy {value!r} must be a number")
    return float(value)
