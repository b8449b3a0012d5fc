"""Descriptors of the cell: density, packing, lattice parameters."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pymatgen.core import Element

from crystalbench.data.elements import MAX_Z, SYMBOLS
from crystalbench.errors import DataError
from crystalbench.representations.composition import MAGPIE_PROPERTIES, magpie_table
from crystalbench.representations.descriptors.symmetry import lattice_parameters

if TYPE_CHECKING:
    from crystalbench.representations.descriptors.one_crystal import OneCrystal

_GRAM_PER_CM3 = 1.66053906660  # of one atomic mass unit per Å³ (CODATA 2018)
_BOHR = 0.529177210903  # Å (CODATA 2018)

DENSITY_LABELS = ("density", "vpa")
PACKING_LABELS = ("packing fraction",)
COUNT_LABELS = ("natoms",)
VOLUME_LABELS = ("volume",)
LATTICE_LABELS = ("a", "b", "c", "alpha", "beta", "gamma", *COUNT_LABELS)
ELECTRON_LABELS = ("valence electrons per volume", "electrons per volume")
COULOMB_LABELS = tuple(f"{name} sine coulomb matrix eig" for name in ("mean", "std_dev", "minimum", "maximum"))


def density(crystal: OneCrystal) -> list[float]:
    """Mass density in g/cm³ and volume per atom in Å³."""
    mass = float(_masses()[crystal.numbers].sum())
    return [mass * _GRAM_PER_CM3 / crystal.volume, crystal.volume / len(crystal)]


def packing(crystal: OneCrystal) -> list[float]:
    """Volume of spheres with the atomic radii over the volume of the cell, 4π Σ r³ / (3 V); overlaps count twice.

    Raises:
        DataError: an element has no atomic radius in pymatgen (He, Ne, Kr, Xe, At, Rn, Fr, Cm and beyond).
    """
    radii = _radii()[crystal.numbers]
    if np.isnan(radii).any():
        missing = sorted({SYMBOLS[z] for z in crystal.numbers[np.isnan(radii)]})
        raise DataError(f"no atomic radius is known for {', '.join(missing)}")
    return [float(4 * np.pi * (radii**3).sum() / (3 * crystal.volume))]


def lattice(crystal: OneCrystal) -> list[float]:
    """a, b, c in Å, alpha, beta, gamma in degrees, and number of atoms of the given cell."""
    return [*map(float, lattice_parameters(crystal.lattice[None])[0]), len(crystal)]


def volume(crystal: OneCrystal) -> list[float]:
    """Volume of the given cell in Å³."""
    return [crystal.volume]


def volume_per_atom(crystal: OneCrystal) -> list[float]:
    """Volume per atom in Å³."""
    return [crystal.volume / len(crystal)]


def atom_count(crystal: OneCrystal) -> list[float]:
    """Number of atoms of the given cell."""
    return [float(len(crystal))]


def electrons(crystal: OneCrystal) -> list[float]:
    """Valence electrons (Magpie's table) and all electrons per volume, in 1/Å³."""
    valence = magpie_table()[crystal.numbers, MAGPIE_PROPERTIES.index("NValence")].sum()
    return [float(valence) / crystal.volume, float(crystal.numbers.sum(dtype=np.int64)) / crystal.volume]


def sine_coulomb(crystal: OneCrystal) -> list[float]:
    """Statistics of the eigenvalues of the sine Coulomb matrix of the given cell.

    Faber et al., Int. J. Quantum Chem. 115, 1094 (2015), as matminer's `SineCoulombMatrix` computes it: Z_i Z_j over
    ``|sin²(π (f_i - f_j)) A|`` in bohr, where the rows of A are the lattice vectors; Z^2.4 / 2 on the diagonal.
    Matminer's off-diagonal elements are smaller by a factor of 1 - 1.5e-5, because it uses SciPy's "Angstrom star" for
    1 Å.

    Raises:
        DataError: two atoms coincide.
    """
    z = crystal.numbers.astype(np.float64)
    steps = crystal.frac_coords[:, None] - crystal.frac_coords[None]
    lengths = np.linalg.norm(np.sin(np.pi * steps) ** 2 @ crystal.lattice, axis=2) / _BOHR
    np.fill_diagonal(lengths, 1.0)
    if (lengths < 1e-12).any():
        raise DataError("two atoms have the same position")
    matrix = z[:, None] * z[None] / lengths
    np.fill_diagonal(matrix, 0.5 * z**2.4)
    values = np.linalg.eigvalsh(matrix)
    return [float(x) for x in (values.mean(), values.std(), values.min(), values.max())]


@lru_cache(maxsize=1)
def _masses() -> npt.NDArray[np.float64]:
    return np.array([0.0] + [float(Element.from_Z(z).atomic_mass) for z in range(1, MAX_Z + 1)])


@lru_cache(maxsize=1)
def _radii() -> npt.NDArray[np.float64]:
    """Atomic radii in Å by atomic number (Slater 1964, from pymatgen); NaN for elements without one."""
    radii = np.full(MAX_Z + 1, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about elements without a radius
        for z in range(1, MAX_Z + 1):
            radius = Element.from_Z(z).atomic_radius
            if radius is not None:
                radii[z] = float(radius)
    return radii
