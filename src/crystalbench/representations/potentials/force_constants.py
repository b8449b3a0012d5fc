"""Force constants by central differences of forces, on symmetry-inequivalent displacements only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals
from crystalbench.data.views.rows import OneCrystal
from crystalbench.representations.potentials.potential import Potential
from crystalbench.representations.potentials.symmetry import (
    Direction,
    Operations,
    directions,
    inverse_of,
    operations_of,
    opposite,
)

Floats = npt.NDArray[np.float64]

DISPLACEMENT = 0.03
"""Displacement in Å of an atom: large against round-off of single precision, small against anharmonicity."""


def force_constants(potential: Potential, cell: OneCrystal) -> Floats:
    """Second derivatives of the energy with respect to the positions of the atoms of a periodic cell.

    An atom of each orbit is displaced in both senses of as few directions as its site symmetry needs, along lattice
    vectors where they suffice, and the responses are rotated to all others. The result is symmetric, and translating
    all atoms costs no energy (the acoustic sum rule is enforced by projection).

    Args:
        potential: gives the forces.
        cell: the crystal, as it is repeated periodically.

    Returns:
        (3 atoms, 3 atoms) in eV/Å², atom by atom.

    Raises:
        DataError: the potential cannot evaluate the crystal.
    """
    operations = operations_of(cell)
    orbits, candidates = operations.orbits, np.concatenate([cell.lattice, np.eye(3)])
    firsts = np.unique(orbits).tolist()
    needed = {first: directions(operations.keeping(first).rotations, candidates) for first in firsts}
    forces = _forces(potential, cell, needed)
    atoms = len(cell.numbers)
    constants = np.zeros((atoms, 3, atoms, 3))
    for first, moves in needed.items():
        blocks = _blocks(operations.keeping(first), moves, forces)
        for atom in np.flatnonzero(orbits == first):
            turn, images = operations.onto(first, int(atom))
            constants[images, :, atom] = turn @ blocks @ turn.T
    return _acoustic(constants.reshape(3 * atoms, 3 * atoms))


def _forces(potential: Potential, cell: OneCrystal, needed: Mapping[int, Sequence[Direction]]) -> Iterator[Floats]:
    """Forces (atoms, 3) for all displacements, atom by atom, direction by direction, sense by sense."""
    inverse = np.linalg.inv(cell.lattice)
    coords = []
    for atom, moves in needed.items():
        for move in moves:
            for sign in move.signs:
                coords.append(cell.coords.copy())
                coords[-1][atom] += sign * DISPLACEMENT * move.unit @ inverse
    return iter(potential(cells_of(cell, coords=np.array(coords))).forces.reshape(len(coords), -1, 3))


def _blocks(keeping: Operations, moves: Sequence[Direction], forces: Iterator[Floats]) -> Floats:
    """Force constants (atoms, 3, 3) between all atoms and one, by least squares over the images of its displacements.

    Args:
        keeping: the operations that keep the atom in its place.
        moves: the directions in which it was displaced.
        forces: the next ones belong to these displacements.
    """
    images, slopes = [], []
    for move in moves:
        forward = next(forces)
        reverse = opposite(keeping.rotations, move.unit)
        backward = next(forces) if move.both else keeping.moved(reverse, forward)
        slope = (backward - forward) / (2 * DISPLACEMENT)
        for row, turn in enumerate(keeping.rotations):
            images.append(turn @ move.unit)
            slopes.append(keeping.moved(row, slope))
    return np.asarray(np.einsum("mki,jm->kij", np.array(slopes), inverse_of(images)))


def _acoustic(constants: Floats) -> Floats:
    """Symmetric force constants that vanish for translations of all atoms."""
    symmetric = (constants + constants.T) / 2
    atoms = len(constants) // 3
    projection = np.eye(3 * atoms) - np.tile(np.eye(3), (atoms, atoms)) / atoms
    return np.asarray(projection @ symmetric @ projection)


def cells_of(cell: OneCrystal, *, lattices: Floats | None = None, coords: Floats | None = None) -> Crystals:
    """Variants of one crystal, with other lattices (m, 3, 3) or other fractional coordinates (m, atoms, 3)."""
    given = lattices if lattices is not None else coords
    number, atoms = 1 if given is None else len(given), len(cell.numbers)
    return Crystals(
        np.repeat(cell.lattice[None], number, axis=0) if lattices is None else lattices,
        (np.repeat(cell.coords[None], number, axis=0) if coords is None else coords).reshape(-1, 3),
        np.tile(cell.numbers, number),
        np.arange(number + 1) * atoms,
        np.full(number, cell.name),
    )
