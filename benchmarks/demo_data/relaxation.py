"""Relaxation and bulk moduli with the effective-medium potential."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.units import GPa

from benchmarks.demo_data.emt import FastEMT, energy_forces_stress
from benchmarks.demo_data.table import rounded_geometry

if TYPE_CHECKING:
    from ase import Atoms

FMAX = 1e-4  # eV/Å on atoms, eV per atom on strains
MAX_STEPS = 1000
VOLUME_STRAIN = 1e-3
BULK_MODULUS_TOLERANCE = 1e-3


def relax(atoms: Atoms) -> Atoms:
    """Return a copy with relaxed cell and positions, rounded as in the files.

    The symmetry is kept, so that rounding errors cannot decide in which direction a crystal leaves a saddle point. Such
    a crystal stays there, and its phonons show that it is unstable.

    Raises:
        RuntimeError: the forces do not fall below ``FMAX``.
    """
    relaxed = atoms.copy()
    relaxed.calc = FastEMT()
    relaxed.set_constraint(FixSymmetry(relaxed))
    with BFGS(FrechetCellFilter(relaxed), logfile=None, maxstep=0.1) as optimiser:
        if not optimiser.run(fmax=FMAX, steps=MAX_STEPS):
            raise RuntimeError(f"{atoms.get_chemical_formula()} did not relax in {MAX_STEPS} steps.")
    relaxed.set_constraint()
    lattice, frac_coords = rounded_geometry(relaxed.cell.array, relaxed.get_scaled_positions(wrap=False))
    relaxed.set_cell(lattice)
    relaxed.set_scaled_positions(frac_coords)
    relaxed.calc = None
    return relaxed


def energy_per_atom(atoms: Atoms) -> float:
    """Return the potential energy in eV/atom, relative to ASE's reference."""
    return energy_forces_stress(atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)[0] / len(atoms)


def bulk_modulus(atoms: Atoms) -> float:
    """Return B = -V dP/dV in GPa at fixed shape and fixed fractional coordinates (no internal relaxation).

    It is the central difference of the analytic pressure over a change of volume.

    Raises:
        RuntimeError: half the change of volume gives another value.
    """
    wide, narrow = (_pressure_slope(atoms, strain) for strain in (VOLUME_STRAIN, VOLUME_STRAIN / 2))
    if abs(wide - narrow) > BULK_MODULUS_TOLERANCE * abs(narrow):
        raise RuntimeError(f"Bulk modulus of {atoms.get_chemical_formula()} not converged: {wide}, {narrow} GPa.")
    return narrow


def _pressure_slope(atoms: Atoms, strain: float) -> float:
    below, above = (_pressure(atoms, (1.0 + sign * strain) ** (1 / 3)) for sign in (-1, 1))
    return -(above - below) / (2 * strain) / GPa


def _pressure(atoms: Atoms, scale: float) -> float:
    stress = energy_forces_stress(atoms.cell.array * scale, atoms.get_scaled_positions(), atoms.numbers)[2]
    return -float(np.trace(stress)) / 3
