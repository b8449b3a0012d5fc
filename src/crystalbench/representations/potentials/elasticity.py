"""Elastic moduli from stresses of strained cells, with atoms fixed and relaxed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import constants as physics

from crystalbench.data.views.rows import OneCrystal
from crystalbench.representations.potentials.force_constants import cells_of
from crystalbench.representations.potentials.potential import GPA, Potential
from crystalbench.representations.potentials.symmetry import directions, inverse_of, operations_of, opposite

Floats = npt.NDArray[np.float64]

STRAIN = 0.005
"""Strain of a cell: its stress is large against round-off of single precision."""
SOFTEST = 0.01
"""Modes below this share of the largest eigenvalue of the force constants are not relaxed."""
LEAST_STIFFNESS = 1.0
"""Least eigenvalue in GPa of the elastic tensor in Reuss averages, which an unstable crystal does not have."""

_PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
BASIS = np.array([np.outer(np.eye(3)[i], np.eye(3)[j]) for i, j in _PAIRS])
BASIS = (BASIS + BASIS.transpose(0, 2, 1)) / np.where(np.arange(6) < 3, 2.0, np.sqrt(2.0))[:, None, None]
"""(6, 3, 3) strains of unit length, in Mandel's notation: xx, yy, zz, yz, xz, xy."""

MODULI_LABELS: tuple[str, ...] = (
    "bulk modulus, Voigt",
    "bulk modulus, Reuss",
    "bulk modulus, Hill",
    "shear modulus, Voigt",
    "shear modulus, Reuss",
    "shear modulus, Hill",
    "smallest elastic eigenvalue",
    "largest elastic eigenvalue",
)
"""Names of the moduli of one elastic tensor, in GPa."""
ELASTIC_LABELS: tuple[str, ...] = (
    *MODULI_LABELS,
    *(f"relaxed {label}" for label in MODULI_LABELS),
    "relaxed Poisson ratio",
    "relaxed universal anisotropy",
    "Debye temperature",
)
"""Names of the elastic properties with fixed atoms (the first eight) and with relaxed atoms."""


def elastic_tensors(potential: Potential, cell: OneCrystal, force_constants: Floats) -> tuple[Floats, Floats]:
    """Elastic tensors by central differences of stresses, with fixed and with relaxed atoms.

    Relaxation follows from the harmonic response: strained cells give the forces that strain causes, and the force
    constants the displacements that remove them. Stress in the given cell is not corrected for.

    Args:
        potential: gives stresses and forces.
        cell: the crystal.
        force_constants: (3 atoms, 3 atoms) in eV/Å².

    Returns:
        Two symmetric tensors (6, 6) in GPa in Mandel's notation, whose eigenvalues do not depend on the orientation.

    Raises:
        DataError: the potential cannot evaluate the crystal.
    """
    operations = operations_of(cell)
    turns = np.einsum("kij,gia,lab,gjb->gkl", BASIS, operations.rotations, BASIS, operations.rotations)
    moves = directions(turns, np.concatenate([_lattice_strains(cell.lattice), np.eye(6)]))
    senses = [sign * move.unit for move in moves for sign in move.signs]
    strains = np.einsum("nk,kij->nij", np.array(senses) * STRAIN, BASIS)
    found = potential(cells_of(cell, lattices=cell.lattice @ (np.eye(3) + strains)))
    responses = zip(
        np.einsum("nij,kij->nk", found.stresses, BASIS), found.forces.reshape(len(senses), -1, 3), strict=True
    )
    images, stiffness, coupling = [], [], []
    for move in moves:
        stress, forces = next(responses)
        reverse = opposite(turns, move.unit)
        back = next(responses) if move.both else (turns[reverse] @ stress, operations.moved(reverse, forces))
        stress_slope, force_slope = (stress - back[0]) / (2 * STRAIN), (forces - back[1]) / (2 * STRAIN)
        for row, turn in enumerate(turns):
            images.append(turn @ move.unit)
            stiffness.append(turn @ stress_slope)
            coupling.append(operations.moved(row, force_slope).ravel())
    inverse = inverse_of(images)
    fixed, forces_by_strain = inverse @ np.array(stiffness), inverse @ np.array(coupling)
    values, vectors = np.linalg.eigh(force_constants)
    stiff = values > SOFTEST * values.max(initial=0.0)
    projected = forces_by_strain @ vectors[:, stiff]
    gained = GPA / cell.volume * (projected / values[stiff]) @ projected.T
    return (fixed + fixed.T) / 2, (fixed + fixed.T) / 2 - gained


def _lattice_strains(lattice: Floats) -> Floats:
    """(6, 6) strains along lattice vectors and pairs of them, in Mandel's notation: they turn with the crystal."""
    units = lattice / np.linalg.norm(lattice, axis=1)[:, None]
    along = np.array([np.outer(units[i], units[j]) for i, j in _PAIRS])
    return np.asarray(np.einsum("nij,kij->nk", along, BASIS))


def moduli(tensor: Floats) -> Floats:
    """The numbers of `MODULI_LABELS` from an elastic tensor (6, 6) in GPa in Mandel's notation.

    Reuss averages need a compliance: eigenvalues below `LEAST_STIFFNESS` are raised to it.
    """
    values, vectors = np.linalg.eigh(tensor)
    compliance = (vectors / np.maximum(values, LEAST_STIFFNESS)) @ vectors.T
    bulk, shear = tensor[:3, :3].sum() / 9, _shear(tensor)
    reuss_bulk, reuss_shear = 1 / compliance[:3, :3].sum(), 1 / (4 * _shear(compliance))
    return np.array(
        [
            *(bulk, reuss_bulk, (bulk + reuss_bulk) / 2),
            *(shear, reuss_shear, (shear + reuss_shear) / 2),
            *(values[0], values[-1]),
        ]
    )


def elastic_statistics(fixed: Floats, relaxed: Floats, cell: OneCrystal, masses: Floats) -> Floats:
    """The numbers of `ELASTIC_LABELS`; the Debye temperature is in K.

    Args:
        fixed: elastic tensor (6, 6) in GPa with fixed atoms.
        relaxed: with relaxed atoms.
        cell: the crystal.
        masses: (atoms,) in u.
    """
    with_relaxation = moduli(relaxed)
    bulk_voigt, bulk_reuss, bulk, shear_voigt, shear_reuss, shear = np.maximum(with_relaxation[:6], LEAST_STIFFNESS)
    return np.array(
        [
            *moduli(fixed),
            *with_relaxation,
            (3 * bulk - 2 * shear) / (6 * bulk + 2 * shear),
            5 * shear_voigt / shear_reuss + bulk_voigt / bulk_reuss - 6,
            _debye_temperature(bulk, shear, masses.sum() / cell.volume, len(masses) / cell.volume),
        ]
    )


def _shear(tensor: Floats) -> float:
    """The part of a tensor (6, 6) in Mandel's notation that acts on shear: a tenth of its trace without the bulk's."""
    return float((np.trace(tensor) - tensor[:3, :3].sum() / 3) / 10)


def _debye_temperature(bulk: float, shear: float, density: float, atoms: float) -> float:
    """Debye temperature in K of an isotropic solid (O. L. Anderson, J. Phys. Chem. Solids 24, 909, 1963).

    Args:
        bulk: modulus in GPa.
        shear: modulus in GPa.
        density: in u/Å³.
        atoms: per Å³.
    """
    density *= physics.atomic_mass / physics.angstrom**3
    long, transverse = np.sqrt(1e9 * (bulk + 4 * shear / 3) / density), np.sqrt(1e9 * shear / density)
    mean = ((long**-3 + 2 * transverse**-3) / 3) ** (-1 / 3)
    return float(physics.hbar / physics.k * mean * (6 * np.pi**2 * atoms / physics.angstrom**3) ** (1 / 3))
