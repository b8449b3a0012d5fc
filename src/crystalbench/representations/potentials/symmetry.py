"""Symmetry operations of a cell, and the few distortions of it whose responses give those of all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import spglib

from crystalbench.data.views.rows import OneCrystal

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

SYMPREC = 0.01
"""Tolerance in Å of the symmetry that saves evaluations."""
_SPANNED = 0.05
"""Least share of a direction that counts as spanned by the images of others."""
_SAME = 1e-4
"""Largest difference between equal unit vectors."""


class Direction(NamedTuple):
    """A direction in a space of distortions.

    Attributes:
        unit: (d,) unit vector.
        both: whether the opposite distortion has to be evaluated, too, since no operation leads to it.
    """

    unit: Floats
    both: bool

    @property
    def signs(self) -> tuple[float, ...]:
        """The senses that are evaluated."""
        return (1.0, -1.0) if self.both else (1.0,)


@dataclass(frozen=True, eq=False)
class Operations:
    """Symmetry operations of a cell.

    Attributes:
        rotations: (g, 3, 3) matrices that rotate Cartesian column vectors.
        images: (g, atoms) the atom that each atom is moved onto.
    """

    rotations: Floats
    images: Indices

    @property
    def orbits(self) -> Indices:
        """(atoms,) for each atom, the first atom that is equivalent to it."""
        return np.asarray(self.images.min(axis=0))

    def keeping(self, atom: int) -> Operations:
        """The operations that keep an atom in its place, up to lattice vectors."""
        kept = self.images[:, atom] == atom
        return Operations(self.rotations[kept], self.images[kept])

    def onto(self, first: int, atom: int) -> tuple[Floats, Indices]:
        """Rotation (3, 3) and images (atoms,) of an operation that moves one atom onto another."""
        row = int(np.flatnonzero(self.images[:, first] == atom)[0])
        return self.rotations[row], self.images[row]

    def moved(self, row: int, vectors: Floats) -> Floats:
        """Vectors of the atoms (atoms, 3), rotated and moved by an operation."""
        moved = np.empty_like(vectors)
        moved[self.images[row]] = vectors @ self.rotations[row].T
        return moved


def directions(turns: Floats, candidates: Floats) -> list[Direction]:
    """Directions whose images under a group span all that the candidates span.

    Args:
        turns: (g, d, d) orthogonal matrices of the group.
        candidates: (m, d) vectors; the first ones that are needed are used.
    """
    found: list[Direction] = []
    spanned = np.zeros((0, candidates.shape[1]))
    for candidate in candidates:
        rest = candidate - spanned.T @ (spanned @ candidate)
        if rest @ rest <= _SPANNED * (candidate @ candidate):
            continue
        unit = candidate / np.linalg.norm(candidate)
        images = turns @ unit
        found.append(Direction(unit, not (np.abs(images + unit).max(axis=1) < _SAME).any()))
        _, sizes, rows = np.linalg.svd(np.concatenate([spanned, images]), full_matrices=False)
        spanned = rows[sizes**2 > _SPANNED * sizes[0] ** 2]
    return found


def opposite(turns: Floats, unit: Floats) -> int:
    """The operation that comes closest to reversing a direction."""
    return int(np.linalg.norm(turns @ unit + unit, axis=1).argmin())


def inverse_of(images: Sequence[Floats]) -> Floats:
    """Pseudo-inverse (d, m) of m vectors, which solves for a linear response by least squares."""
    return np.asarray(np.linalg.pinv(np.array(images)))


def operations_of(cell: OneCrystal) -> Operations:
    """The symmetry operations of a cell within `SYMPREC`; only the identity if none are found."""
    arguments: Any = (cell.lattice, cell.coords, cell.numbers)
    identity = Operations(np.eye(3)[None], np.arange(len(cell.numbers))[None])
    try:
        found: Any = spglib.get_symmetry(arguments, symprec=SYMPREC)
    except Exception:  # the class of spglib's errors differs between its versions
        return identity
    if found is None:
        return identity
    turns = np.asarray(found["rotations"], dtype=np.float64)
    rotations = np.einsum("ia,gab,jb->gij", cell.lattice.T, turns, np.linalg.inv(cell.lattice))
    images = np.empty((len(turns), len(cell.numbers)), dtype=np.int64)
    for row, (turn, shift) in enumerate(zip(turns, found["translations"], strict=True)):
        between = (cell.coords @ turn.T + shift)[:, None] - cell.coords[None]
        images[row] = np.linalg.norm((between - np.rint(between)) @ cell.lattice, axis=2).argmin(axis=1)
    permutes = (np.sort(images, axis=1) == np.arange(len(cell.numbers))).all(axis=1)
    return Operations(rotations[permutes], images[permutes]) if permutes.any() else identity
