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
    """What spglib finds.

    Attributes:
        number: number of the space group.
        symbol: its short international symbol.
        point_group: symbol of the point group.
        orbits: (atoms,) the first equivalent atom of each.
        letters: Wyckoff letter of each atom.
        operations: number of operations of the cell as given, with its centring translations.
        primitive: (atoms,) the atom of the primitive cell of each.
        primitive_lattice: (3, 3) rows are vectors of a primitive lattice in Å.
    """

    number: int
    symbol: str
    point_group: str
    orbits: npt.NDArray[np.int64]
    letters: tuple[str, ...]
    operations: int
    primitive: npt.NDArray[np.int64]
    primitive_lattice: npt.NDArray[np.float64]


def find_symmetry(
    lattice: npt.NDArray[np.float64], frac_coords: npt.NDArray[np.float64], numbers: npt.NDArray[Any], tolerance: float
) -> Symmetry:
    """The symmetry to a tolerance in Å, by spglib, called as pymatgen's `SpacegroupAnalyzer` calls it.

    Raises:
        DataError: spglib finds none.
    """
    cell: Any = (lattice, frac_coords, _by_appearance(numbers))
    try:
        dataset: Any = spglib.get_symmetry_dataset(cell, symprec=tolerance, angle_tolerance=_ANGLE)
    except Exception as error:  # the class of spglib's errors differs between its versions
        raise DataError(f"the symmetry to {tolerance} Å cannot be determined: {error}") from error
    if dataset is None:
        raise DataError(f"the symmetry to {tolerance} Å cannot be determined; atoms may be too close")
    return Symmetry(
        number=int(dataset.number),
        symbol=str(dataset.international),
        point_group=str(dataset.pointgroup).strip(),
        orbits=np.asarray(dataset.equivalent_atoms, dtype=np.int64),
        letters=tuple(dataset.wyckoffs),
        operations=len(dataset.rotations),
        primitive=np.asarray(dataset.mapping_to_primitive, dtype=np.int64),
        primitive_lattice=np.asarray(dataset.primitive_lattice, dtype=np.float64),
    )


class PointGroup(NamedTuple):
    """What the descriptors need of a point group."""

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
    """Elements numbered in the order in which they appear."""
    known: dict[int, int] = {}
    return [known.setdefault(int(z), len(known) + 1) for z in numbers]
