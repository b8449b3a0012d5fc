"""ASE's effective-medium-theory potential, vectorised over all pairs of atoms.

K. W. Jacobsen, P. Stoltze, J. K. Nørskov, Surf. Sci. 366, 394 (1996), in the form of ``ase.calculators.emt.EMT`` with
its parameters and cut-off (``asap_cutoff=False``); the tests compare both. ASE's loop over atoms would be too slow for
the supercells of the phonons. Lengths are in Å, energies in eV.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import beta, parameters
from ase.data import chemical_symbols
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import Bohr
from pymatgen.optimization.neighbors import find_points_in_spheres

EMT_METALS = ("Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au")

_WIDEST_NEIGHBOUR = beta * max(values[1] for values in parameters.values()) * Bohr
CUTOFF_MIDPOINT = _WIDEST_NEIGHBOUR * (sqrt(3) + 2) / 2  # between the third and fourth neighbours of the widest metal
CUTOFF_SLOPE = log(1e4 - 1) / (2 * _WIDEST_NEIGHBOUR - CUTOFF_MIDPOINT)  # the cut-off is 1e-4 at the fourth neighbour
CUTOFF = CUTOFF_MIDPOINT + 0.5


@dataclass(frozen=True)
class Pairs:
    """Directed pairs of atom ``first[p]`` and atom ``second[p]`` in the cell shifted by ``shift[p]`` (integers)."""

    first: np.ndarray
    second: np.ndarray
    shift: np.ndarray


def find_pairs(lattice: np.ndarray, frac_coords: np.ndarray, margin: float = 0.3) -> Pairs:
    """Return all pairs within the cut-off plus ``margin`` (Å), which keeps pairs under small displacements."""
    lattice = np.ascontiguousarray(lattice, dtype=float)
    positions = np.ascontiguousarray(frac_coords @ lattice)
    periodic = np.ones(3, dtype=np.int64)
    found = find_points_in_spheres(positions, positions, CUTOFF + margin, periodic, lattice, 1e-8)
    first, second, shift, distance = found
    other = distance > 1e-6
    return Pairs(first[other], second[other], np.rint(shift[other]).astype(np.int64))


class EffectiveMedium:
    """Energy, forces and virial of a list of atoms.

    Args:
        numbers: atomic numbers, shape (n,); only those of ``EMT_METALS``.
    """

    def __init__(self, numbers: np.ndarray) -> None:
        table = np.array([parameters[chemical_symbols[number]] for number in numbers]).T
        self.cohesive, self.v0, self.n0 = table[0], table[2], table[6] / Bohr**3
        self.s0 = table[1] * Bohr
        self.eta2, self.kappa, self.lambda_ = table[3:6] / Bohr
        self.gamma1 = _shell_sum(self.s0, self.eta2)
        self.gamma2 = _shell_sum(self.s0, self.kappa / beta)

    def evaluate(self, pairs: Pairs, vectors: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return energy (eV), forces (n, 3) in eV/Å and virial (3, 3) in eV.

        Args:
            pairs: directed pairs, each in both directions.
            vectors: from ``pairs.first`` to the image of ``pairs.second``, shape (pairs, 3), in Å.
        """
        n = len(self.s0)
        i, j = pairs.first, pairs.second
        r = np.sqrt(np.einsum("pk,pk->p", vectors, vectors))
        step = (r < CUTOFF) / (1.0 + np.exp(CUTOFF_SLOPE * (r - CUTOFF_MIDPOINT)))
        step_slope = CUTOFF_SLOPE * (step - 1.0)  # relative to the step itself
        weight = step * self.n0[j] / self.n0[i]
        density = weight * np.exp(-self.eta2[j] * (r - beta * self.s0[j]))
        repulsion = -0.5 * self.v0[i] / self.gamma2[i] * weight * np.exp(-self.kappa[j] * (r / beta - self.s0[j]))

        embedding, embedding_slope = self._embed(np.bincount(i, density, minlength=n))
        slope = embedding_slope[i] * density * (step_slope - self.eta2[j])
        slope += repulsion * (step_slope - self.kappa[j] / beta)
        pull = (slope / r)[:, None] * vectors
        forces = np.stack([np.bincount(i, pull[:, k], n) - np.bincount(j, pull[:, k], n) for k in range(3)], axis=1)
        return float(embedding.sum() + repulsion.sum()), forces, vectors.T @ pull

    def _embed(self, density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each atom's embedding energy (0 for the free atom's reference of ASE) and its slope in the density."""
        radius = -np.log(density / (12.0 * self.gamma1)) / (beta * self.eta2)
        reduced = self.lambda_ * radius
        glue = self.cohesive * np.exp(-reduced)
        correction = 6.0 * self.v0 * np.exp(-self.kappa * radius)
        energy = glue * (1.0 + reduced) + correction - self.cohesive
        radius_slope = -self.lambda_ * reduced * glue - self.kappa * correction
        return energy, -radius_slope / (beta * self.eta2 * density)


def _shell_sum(s0: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """Return γ: the sum over the first three shells of fcc, in units of the twelve nearest neighbours."""
    shells = beta * s0 * np.sqrt([[1.0], [2.0], [3.0]])
    neighbours = np.array([[12.0], [6.0], [24.0]])
    weight = neighbours / 12.0 / (1.0 + np.exp(CUTOFF_SLOPE * (shells - CUTOFF_MIDPOINT)))
    return (weight * np.exp(-decay * (shells - beta * s0))).sum(axis=0)


def energy_forces_stress(
    lattice: np.ndarray, frac_coords: np.ndarray, numbers: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return energy (eV per cell), forces (n, 3) in eV/Å and stress (3, 3) in eV/Å³ (positive: under tension)."""
    pairs = find_pairs(lattice, frac_coords, margin=0.0)
    vectors = (frac_coords[pairs.second] - frac_coords[pairs.first] + pairs.shift) @ lattice
    energy, forces, virial = EffectiveMedium(numbers).evaluate(pairs, vectors)
    return energy, forces, virial / abs(np.linalg.det(lattice))


class FastEMT(Calculator):
    """The potential as an ASE calculator, for ASE's optimisers."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 (ASE's interface)

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        """Compute ``results``, as ASE requires."""
        super().calculate(atoms, properties, system_changes)
        energy, forces, stress = energy_forces_stress(
            self.atoms.cell.array, self.atoms.get_scaled_positions(wrap=False), self.atoms.numbers
        )
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": forces,
            "stress": full_3x3_to_voigt_6_stress(stress),
        }
