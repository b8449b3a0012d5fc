"""Descriptors of symmetry: space group, equivalent atoms, site symmetries, reduced lattice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import spglib

from crystalbench.errors import DataError
from crystalbench.representations.descriptors.space_group import point_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from crystalbench.representations.descriptors.one_crystal import OneCrystal
    from crystalbench.representations.descriptors.space_group import Symmetry

    _OrbitsOf = Callable[[Symmetry], npt.NDArray[np.int64]]

FINE = 0.01
"""Tolerance in Å: the default of pymatgen's `SpacegroupAnalyzer`, which matminer's `GlobalSymmetryFeatures` uses.

The tolerance of the space group in banks other than ``gong28``.
"""
COARSE = 0.1
"""Tolerance in Å: the default of matminer's `StructuralComplexity` and of the Materials Project.

The tolerance of the space group in ``gong28``, whose authors took symmetry from the Materials Project.
"""

_SYSTEMS = ("cubic", "hexagonal", "trigonal", "tetragonal", "orthorhombic", "monoclinic", "triclinic")
"""Crystal systems in the order in which matminer numbers them, from 1."""
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
DETAIL_WITHOUT_CELL_LABELS = tuple(label for label in DETAIL_LABELS if label != "n_symmetry_ops")
VOLUME_LABELS = ("volume of the primitive cell",)
PRIMITIVE_LABELS = tuple(f"Niggli {name}" for name in ("a", "b", "c", "alpha", "beta", "gamma"))


def _of_the_cell(symmetry: Symmetry) -> npt.NDArray[np.int64]:
    return symmetry.orbits


def _of_the_crystal(symmetry: Symmetry) -> npt.NDArray[np.int64]:
    return symmetry.crystal_orbits


def group(crystal: OneCrystal) -> list[float]:
    """Number of the space group, and crystal system from cubic (1) to triclinic (7), within ``symprec``."""
    symmetry = crystal.symmetry(crystal.symprec)
    return [symmetry.number, 1 + _SYSTEMS.index(point_group(symmetry.point_group).system)]


def primitive_volume(crystal: OneCrystal) -> list[float]:
    """Volume of the primitive cell in Å³, within ``symprec``."""
    return [float(abs(np.linalg.det(crystal.symmetry(crystal.symprec).primitive_lattice)))]


def complexity(crystal: OneCrystal) -> list[float]:
    """Information entropy of the distinct sites in bits per atom and per cell, within 0.1 Å.

    Krivovichev, Mineral. Mag. 77, 275 (2013): -Σ p log₂ p over the symmetrically distinct sites, where p is the
    fraction of atoms on a site; and this times the number of atoms of the cell.
    """
    entropy = _entropy(_distinct_sites(crystal, _of_the_cell))
    return [entropy, entropy * len(crystal)]


def complexity_per_atom(crystal: OneCrystal) -> list[float]:
    """The first of `complexity`, with the sites that are distinct in the crystal: the same for all cells."""
    return [_entropy(_distinct_sites(crystal, _of_the_crystal))]


def details(crystal: OneCrystal) -> list[float]:
    """Descriptors of the symmetry operations (within ``symprec``) and of the distinct sites (within 0.1 Å).

    Multiplicities count atoms of the primitive cell, so they do not depend on the choice of the cell. The order of a
    site symmetry is the order of the point group over the multiplicity.
    """
    return _details(crystal, _of_the_cell)


def details_without_cell(crystal: OneCrystal) -> list[float]:
    """The `details`, with the sites that are distinct in the crystal, and without the number of operations."""
    found = zip(DETAIL_LABELS, _details(crystal, _of_the_crystal), strict=True)
    return [value for label, value in found if label != "n_symmetry_ops"]


def _details(crystal: OneCrystal, orbits_of: _OrbitsOf) -> list[float]:
    fine, coarse = crystal.symmetry(crystal.symprec), crystal.symmetry(COARSE)
    atoms = len(np.unique(coarse.primitive))
    _, first, counts = np.unique(orbits_of(coarse), return_index=True, return_counts=True)
    multiplicities = counts * atoms / len(crystal)
    orders = point_group(coarse.point_group).order / multiplicities
    return [
        point_group(fine.point_group).centrosymmetric,
        fine.operations,
        point_group(fine.point_group).order,
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


def _entropy(sites: npt.NDArray[np.int64]) -> float:
    _, counts = np.unique(sites, return_counts=True)
    shares = counts / len(sites)
    return max(0.0, float(-(shares * np.log2(shares)).sum()))


def _distinct_sites(crystal: OneCrystal, orbits_of: _OrbitsOf) -> npt.NDArray[np.int64]:
    """(atoms,) for each atom, the first atom that is equivalent to it within 0.1 Å.

    A larger tolerance can only merge sites, and only sites of one element. If all atoms of each element are equivalent
    within a smaller tolerance of the space group, they are within 0.1 Å, too. This saves the second search, which takes
    longer than all other descriptors together in crystals of high symmetry.
    """
    if crystal.symprec >= COARSE:
        return orbits_of(crystal.symmetry(COARSE))
    try:
        sites = orbits_of(crystal.symmetry(crystal.symprec))
    except DataError:
        return orbits_of(crystal.symmetry(COARSE))
    if len(np.unique(sites)) == len(np.unique(crystal.numbers)):
        return sites
    return orbits_of(crystal.symmetry(COARSE))


def niggli(crystal: OneCrystal) -> list[float]:
    """Lengths in Å and angles in degrees of the Niggli-reduced primitive lattice, within 0.1 Å.

    Raises:
        DataError: spglib cannot reduce the lattice, or finds no symmetry.
    """
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
