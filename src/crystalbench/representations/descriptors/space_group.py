"""Space group and point group of one crystal, from spglib and pymatgen."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import spglib
from pymatgen.symmetry.groups import PointGroup as PymatgenPointGroup

from crystalbench.errors import DataError

_ANGLE = 5.0  # degrees; the default of pymatgen's `SpacegroupAnalyzer`


@dataclass(frozen=True, eq=False)
class Symmetry:
    """The symmetry of a crystal, as spglib finds it.

    Attributes:
        number: number of the space group.
        symbol: short international symbol of the space group.
        point_group: symbol of the point group.
        orbits: (atoms,) for each atom, the first atom that is equivalent to it by an operation that keeps the lattice
            of the given cell, as in matminer. A supercell may keep fewer operations than the crystal has.
        crystal_orbits: (atoms,) the same by all operations of the crystal.
        letters: Wyckoff letter of each atom.
        operations: number of symmetry operations of the given cell, including centring translations.
        primitive: (atoms,) for each atom, its atom in the primitive cell.
        primitive_lattice: (3, 3) rows are the vectors of a primitive lattice in Å.
    """

    number: int
    symbol: str
    point_group: str
    orbits: npt.NDArray[np.int64]
    crystal_orbits: npt.NDArray[np.int64]
    letters: tuple[str, ...]
    operations: int
    primitive: npt.NDArray[np.int64]
    primitive_lattice: npt.NDArray[np.float64]


def find_symmetry(
    lattice: npt.NDArray[np.float64], frac_coords: npt.NDArray[np.float64], numbers: npt.NDArray[Any], tolerance: float
) -> Symmetry:
    """Find the symmetry with spglib, called in the same way as in pymatgen's `SpacegroupAnalyzer`.

    Args:
        lattice: (3, 3) rows are the lattice vectors in Å.
        frac_coords: (atoms, 3) fractional coordinates.
        numbers: (atoms,) atomic numbers.
        tolerance: largest distance in Å between an atom and its symmetric position.

    Raises:
        DataError: spglib finds no symmetry.
    """
    cell: Any = (lattice, frac_coords, _by_appearance(numbers))
    try:
        dataset: Any = spglib.get_symmetry_dataset(cell, symprec=tolerance, angle_tolerance=_ANGLE)
    except Exception as error:  # the class of spglib's errors differs between its versions
        raise DataError(f"the symmetry within {tolerance} Å cannot be determined: {error}") from error
    if dataset is None:
        raise DataError(f"the symmetry within {tolerance} Å cannot be determined; atoms may be too close")
    return Symmetry(
        number=int(dataset.number),
        symbol=str(dataset.international),
        point_group=str(dataset.pointgroup).strip(),
        orbits=np.asarray(dataset.equivalent_atoms, dtype=np.int64),
        crystal_orbits=np.asarray(dataset.crystallographic_orbits, dtype=np.int64),
        letters=tuple(dataset.wyckoffs),
        operations=len(dataset.rotations),
        primitive=np.asarray(dataset.mapping_to_primitive, dtype=np.int64),
        primitive_lattice=np.asarray(dataset.primitive_lattice, dtype=np.float64),
    )


class PointGroup(NamedTuple):
    """Facts of a point group."""

    system: str
    order: int
    centrosymmetric: bool


@functools.cache  # pymatgen generates all operations, which takes milliseconds
def point_group(symbol: str) -> PointGroup:
    """Crystal system, order and inversion symmetry of a point group, from pymatgen's tables.

    Args:
        symbol: international symbol as spglib gives it, for instance ``m-3m``.
    """
    group = PymatgenPointGroup(symbol)
    inversion = any(np.array_equal(operation.rotation_matrix, -np.eye(3)) for operation in group.symmetry_ops)
    return PointGroup(group.crystal_system, group.order, inversion)


def _by_appearance(numbers: npt.NDArray[Any]) -> list[int]:
    """Elements numbered in order of appearance."""
    known: dict[int, int] = {}
    return [known.setdefault(int(z), len(known) + 1) for z in numbers]
