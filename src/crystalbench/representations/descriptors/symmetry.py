"""Symmetry of a crystal: space group, equivalent atoms, and descriptors made of them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import spglib

from crystalbench.errors import DataError

if TYPE_CHECKING:
    from crystalbench.representations.descriptors.one_crystal import OneCrystal

FINE = 0.01
"""Å; the default of pymatgen's `SpacegroupAnalyzer`, which matminer's `GlobalSymmetryFeatures` uses."""
COARSE = 0.1
"""Å; the default of matminer's `StructuralComplexity`, and the tolerance of Materials Project."""
_ANGLE = 5.0  # degrees; the default of pymatgen's `SpacegroupAnalyzer`

_FIRST_OF_SYSTEM = (1, 3, 16, 75, 143, 168, 195)  # space groups where triclinic, monoclinic, ... cubic begin
_CENTROSYMMETRIC = frozenset(("-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m"))
_LATTICE_POINTS = {"P": 1, "A": 2, "B": 2, "C": 2, "I": 2, "R": 3, "F": 4}

GROUP_LABELS = ("spacegroup_num", "crystal_system_int")
COMPLEXITY_LABELS = ("structural complexity per atom", "structural complexity per cell")
DETAIL_LABELS = (
    "is_centrosymmetric",
    "n_symmetry_ops",
    "point group order",
    "lattice points of the conventional cell",
    "atoms of the primitive cell",
    "distinct sites",
    "distinct sites per atom of the primitive cell",
    "distinct Wyckoff letters",
    "minimum site multiplicity",
    "maximum site multiplicity",
    "mean site multiplicity",
    "mean order of site symmetry",
    "maximum order of site symmetry",
)
PRIMITIVE_LABELS = tuple(f"Niggli {name}" for name in ("a", "b", "c", "alpha", "beta", "gamma"))


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


def find_symmetry(crystal: OneCrystal, tolerance: float) -> Symmetry:
    """The symmetry to a tolerance in Å, by spglib, called as pymatgen's `SpacegroupAnalyzer` calls it.

    Raises:
        DataError: spglib finds none.
    """
    dataset: Any = None
    reason = ""
    cell = (crystal.lattice, crystal.given_coords, _by_appearance(crystal.numbers))
    with contextlib.suppress(AttributeError):
        if spglib.error.OLD_ERROR_HANDLING:
            reason = "; atoms may be too close"
    try:
        dataset = spglib.get_symmetry_dataset(cell, symprec=tolerance, angle_tolerance=_ANGLE)
    except Exception as error:  # spglib's own class of errors differs between its versions
        reason = f": {error}"
    if dataset is None:
        raise DataError(f"the symmetry to {tolerance} Å cannot be determined{reason}")
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


def group(crystal: OneCrystal) -> list[float]:
    """Number of the space group and crystal system from cubic (1) to triclinic (7), to 0.01 Å."""
    number = crystal.symmetry(FINE).number
    return [number, 8 - np.searchsorted(_FIRST_OF_SYSTEM, number, side="right")]


def complexity(crystal: OneCrystal) -> list[float]:
    """Information entropy of the distinct sites in bits per atom and per cell, to 0.1 Å.

    Krivovichev, Mineral. Mag. 77, 275 (2013): -Σ p log₂ p over the symmetrically distinct sites, where p is the share
    of the atoms that a site has; times the number of atoms of the cell.
    """
    _, counts = np.unique(crystal.symmetry(COARSE).orbits, return_counts=True)
    shares = counts / len(crystal)
    entropy = max(0.0, float(-(shares * np.log2(shares)).sum()))
    return [entropy, entropy * len(crystal)]


def details(crystal: OneCrystal) -> list[float]:
    """Descriptors of the symmetry operations (to 0.01 Å) and of the distinct sites (to 0.1 Å).

    Multiplicities are those in the primitive cell, so they do not depend on the choice of the cell; the order of the
    symmetry of a site is that of the point group over its multiplicity.
    """
    fine, coarse = crystal.symmetry(FINE), crystal.symmetry(COARSE)
    atoms = len(np.unique(coarse.primitive))
    _, first, counts = np.unique(coarse.orbits, return_index=True, return_counts=True)
    multiplicities = counts * atoms / len(crystal)
    order = coarse.operations * atoms / len(crystal)
    orders = order / multiplicities
    return [
        fine.point_group in _CENTROSYMMETRIC,
        fine.operations,
        fine.operations * len(np.unique(fine.primitive)) / len(crystal),
        _LATTICE_POINTS[coarse.symbol[0]],
        atoms,
        len(counts),
        len(counts) / atoms,
        len({coarse.letters[k] for k in first}),
        multiplicities.min(),
        multiplicities.max(),
        atoms / len(counts),
        float((orders * multiplicities).sum() / atoms),
        orders.max(),
    ]


def niggli(crystal: OneCrystal) -> list[float]:
    """Lengths in Å and angles in degrees of the Niggli-reduced primitive lattice, to 0.1 Å."""
    lattice = crystal.symmetry(COARSE).primitive_lattice
    try:
        reduced = spglib.niggli_reduce(lattice)
    except Exception as error:
        raise DataError(f"the lattice cannot be reduced: {error}") from error
    if reduced is None:
        raise DataError("the lattice cannot be reduced")
    return [float(x) for x in lattice_parameters(np.asarray(reduced)[None])[0]]


def lattice_parameters(lattices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n, 6) a, b, c in Å and alpha, beta, gamma in degrees of (n, 3, 3) lattices."""
    lengths = np.linalg.norm(lattices, axis=2)
    units = lattices / lengths[:, :, None]
    cosines = np.stack([(units[:, i] * units[:, j]).sum(1) for i, j in ((1, 2), (0, 2), (0, 1))], axis=1)
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))], axis=1)


def _by_appearance(numbers: npt.NDArray[Any]) -> list[int]:
    """Elements numbered in the order in which they appear."""
    known: dict[int, int] = {}
    return [known.setdefault(int(z), len(known) + 1) for z in numbers]
