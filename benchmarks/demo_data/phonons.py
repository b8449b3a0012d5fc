"""Harmonic phonons by finite displacements, and thermodynamic functions.

The atoms of one primitive cell are displaced in a supercell. The force constants are exact at the wave vectors that are
commensurate with the supercell; the thermodynamic functions are sums over these (formulas as in A. Togo, I. Tanaka,
Scr. Mater. 108, 1 (2015)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.units import _hbar, _k, kB, kJ, mol

from benchmarks.demo_data.emt import CUTOFF, EffectiveMedium, Pairs, find_pairs

if TYPE_CHECKING:
    from ase import Atoms

DISPLACEMENT = 0.002  # Å; the cut-off function changes within hundredths of it, and the forces are exact to 1e-14 eV/Å
SUPERCELL_HEIGHT = 2 * CUTOFF  # Å; atoms interact through common neighbours, up to twice the cut-off
TEMPERATURE = 300.0  # K
IMAGINARY_TOLERANCE = 0.02  # THz; rounding errors are below 1e-6

_EV_PER_ANGSTROM2_AMU = 1.602176634e-19 / 1e-20 / 1.66053906660e-27  # to (rad/s)²


@dataclass(frozen=True)
class Supercell:
    """A supercell that gives the forces on all atoms if an atom of its first primitive cell is displaced.

    Atom ``k`` of the primitive cell at lattice point ``c`` has the index ``c * n_atoms + k``.
    """

    model: EffectiveMedium
    pairs: Pairs
    vectors: np.ndarray
    repeats: tuple[int, int, int]
    n_atoms: int

    @classmethod
    def of(cls, atoms: Atoms) -> Supercell:
        """Repeat a primitive cell at least twice in each direction, until all heights reach ``SUPERCELL_HEIGHT``."""
        heights = 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
        repeats = np.maximum(2, np.ceil(SUPERCELL_HEIGHT / heights)).astype(int)
        small = find_pairs(atoms.cell.array, atoms.get_scaled_positions())
        points = np.stack(np.unravel_index(np.arange(repeats.prod()), repeats), axis=1)
        targets = np.ravel_multi_index(np.moveaxis((points[:, None] + small.shift) % repeats, -1, 0), repeats)
        first = np.arange(len(points))[:, None] * len(atoms) + small.first
        pairs = Pairs(first.ravel(), (targets * len(atoms) + small.second).ravel(), np.zeros(0))
        frac_coords = atoms.get_scaled_positions()
        vectors = (frac_coords[small.second] - frac_coords[small.first] + small.shift) @ atoms.cell.array
        model = EffectiveMedium(np.tile(atoms.numbers, len(points)))
        return cls(model, pairs, np.tile(vectors, (len(points), 1)), tuple(repeats.tolist()), len(atoms))

    def forces(self, atom: int, axis: int, length: float) -> np.ndarray:
        """Return the forces (points, n_atoms, 3) in eV/Å with one atom of the first cell displaced by ``length`` Å."""
        vectors = self.vectors.copy()
        vectors[self.pairs.second == atom, axis] += length
        vectors[self.pairs.first == atom, axis] -= length
        return self.model.evaluate(self.pairs, vectors)[1].reshape(-1, self.n_atoms, 3)

    def force_constants(self) -> np.ndarray:
        """Return the force constants (n_atoms, 3, points, n_atoms, 3) in eV/Å² by central differences."""
        h = DISPLACEMENT
        rows = [
            [(self.forces(atom, axis, -h) - self.forces(atom, axis, h)) / (2 * h) for axis in range(3)]
            for atom in range(self.n_atoms)
        ]
        return np.array(rows)


def squared_frequencies(atoms: Atoms) -> np.ndarray:
    """Return ω² in (rad/s)², shape (wave vectors, 3 n), ascending at each; the first wave vector is Γ.

    At Γ, the three uniform translations are projected out of the dynamical matrix, which gives three zero modes.
    """
    supercell = Supercell.of(atoms)
    n = 3 * len(atoms)
    constants = np.moveaxis(supercell.force_constants(), 2, 0).reshape(*supercell.repeats, n, n)
    # The sign of the wave vector is a convention: q and -q are both on the mesh.
    dynamical = np.fft.fftn(constants, axes=(0, 1, 2)).reshape(-1, n, n)
    masses = np.repeat(atoms.get_masses(), 3)
    dynamical *= _EV_PER_ANGSTROM2_AMU / np.sqrt(np.outer(masses, masses))
    dynamical = (dynamical + dynamical.conj().swapaxes(-1, -2)) / 2

    translations = np.tile(np.eye(3), (len(atoms), 1)) * np.sqrt(masses / atoms.get_masses().sum())[:, None]
    others = np.eye(n) - translations @ translations.T
    dynamical[0] = others @ dynamical[0] @ others
    return np.linalg.eigvalsh(dynamical)


def is_stable(squared: np.ndarray) -> bool:
    """Return whether no mode has an imaginary frequency above ``IMAGINARY_TOLERANCE``."""
    return bool(squared.min() >= -((2e12 * np.pi * IMAGINARY_TOLERANCE) ** 2))


def heat_capacity_and_energy(squared: np.ndarray) -> tuple[float, float]:
    """Return C_V in J/(mol K) and the vibrational internal energy with zero-point energy in kJ/mol, at 300 K.

    Both are per mole of primitive cells: the mean over the wave vectors of the sum over modes of k (x / sinh x)² and
    ħω/2 coth x, with x = ħω / 2kT. Modes with zero or slightly imaginary frequency, such as the translations at Γ,
    contribute the limits for ω → 0, k and kT; they represent the long waves around Γ.
    """
    x = _hbar * np.sqrt(np.maximum(squared, 0.0)) / (2 * _k * TEMPERATURE)
    soft = x < 1e-6
    x = np.where(soft, 1.0, x)
    capacity = np.where(soft, 1.0, (x / np.sinh(x)) ** 2).sum() / len(squared)
    energy = np.where(soft, 1.0, x / np.tanh(x)).sum() / len(squared)
    gas_constant = kB * mol / kJ  # kJ/(mol K)
    return float(1000.0 * gas_constant * capacity), float(gas_constant * TEMPERATURE * energy)
