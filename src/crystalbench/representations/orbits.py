"""Orbits of atoms under the space group of a crystal, means over its point group, and the symmetry of single atoms."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import moyopy
import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals

log = logging.getLogger(__name__)

# moyo warns about symmetry operations that do not fit a supercell; those of the primitive cell are used here.
logging.getLogger("moyo").setLevel(logging.ERROR)

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_ROTATED = 1e-2  # largest deviation of a rotation matrix from an orthogonal one


@dataclass(frozen=True, eq=False)
class Orbits:
    """The orbits of n crystals with N atoms.

    Attributes:
        first: (N,) the first atom of the orbit of each atom, counted over all crystals.
        rotations: (n, 3, 3) ⟨Q⟩, the mean over the point group of its rotations and reflections Q: r → Q r.
        squares: (n, 3, 3, 3, 3) ⟨Q_ac Q_bd⟩, with the axes a, c, b, d.
    """

    first: _Ints
    rotations: _Floats
    squares: _Floats

    @classmethod
    def single(cls, crystals: Crystals) -> Orbits:
        """Every atom as an orbit of its own, and the point group 1."""
        n = len(crystals)
        one = np.eye(3)
        square = np.multiply.outer(one, one)
        return cls(np.arange(len(crystals.numbers)), np.tile(one, (n, 1, 1)), np.tile(square, (n, 1, 1, 1, 1)))

    @classmethod
    def of(cls, crystals: Crystals, symprec: float) -> Orbits:
        """Orbits under the space group of the crystal, whatever its cell.

        Atoms that a lattice vector of the primitive cell relates are in one orbit. The search is that of moyo; if it
        fails, a crystal has no symmetry.

        Args:
            crystals: n crystals.
            symprec: largest distance in Å of an atom from its symmetric position.
        """
        found = cls.single(crystals)
        for symmetry in _symmetries(crystals, symprec):
            i, basis, inverse = symmetry.crystal, symmetry.basis, np.linalg.inv(symmetry.basis)
            rotations, squares = _means(symmetry.hall_number)
            square = np.einsum("ai,bj,icjd,ce,df->aebf", basis, basis, squares, inverse, inverse, optimize=_ORDER)
            # Σ_c Q_ac Q_bc = δ_ab for every operation, and so for the mean.
            if np.abs(np.trace(square, axis1=1, axis2=3) - np.eye(3)).max() > _ROTATED:
                log.debug("%s: operations that are no rotations; each atom is an orbit of its own", crystals.ids[i])
                continue
            found.first[symmetry.atoms] = symmetry.atoms.start + symmetry.orbits
            found.rotations[i], found.squares[i] = basis @ rotations @ inverse, square
        return found

    def divided(self, which: npt.NDArray[np.bool_], crystals: Crystals) -> Orbits:
        """These orbits, without those of some crystals, whose atoms become orbits of their own.

        Args:
            which: (n,) the crystals without symmetry.
            crystals: the n crystals.
        """
        single, atoms = Orbits.single(crystals), np.repeat(which, np.diff(crystals.offsets))
        of_crystals = which.reshape(-1, 1, 1)
        return Orbits(
            np.where(atoms, single.first, self.first),
            np.where(of_crystals, single.rotations, self.rotations),
            np.where(of_crystals[..., None, None], single.squares, self.squares),
        )


@dataclass(frozen=True, eq=False)
class AtomSymmetry:
    """How the surroundings of the N atoms of n crystals are related to those of the first atom of their orbit.

    Attributes:
        first: (N,) the first atom of the orbit of each atom, counted over all crystals.
        turns: (N, 3, 3) rotations or reflections Q: Q r is a vector from the atom to a neighbour if r is one from the
            first atom of its orbit.
        atoms: (M,) first atoms of orbits, ascending, each once for every operation that leaves it where it is.
        operations: (M, 3, 3) these operations, the site-symmetry groups.
    """

    first: _Ints
    turns: _Floats
    atoms: _Ints
    operations: _Floats

    @classmethod
    def single(cls, crystals: Crystals) -> AtomSymmetry:
        """Every atom as an orbit of its own, without symmetry."""
        every = np.arange(len(crystals.numbers))
        ones = np.tile(np.eye(3), (len(every), 1, 1))
        return cls(every, ones, every, ones)

    @classmethod
    def of(cls, crystals: Crystals, symprec: float) -> AtomSymmetry:
        """The symmetry that moyo finds, whatever the cell; none where it finds none, or contradicts itself.

        Args:
            crystals: n crystals.
            symprec: largest distance in Å of an atom from its symmetric position.
        """
        found = cls.single(crystals)
        groups: dict[int, tuple[_Ints, _Floats]] = {}
        for symmetry in _symmetries(crystals, symprec):
            related = symmetry.related(crystals.frac_coords[symmetry.atoms], _LOOSER * symprec)
            if related is None:
                log.debug("%s: no symmetry without contradictions; none is used", crystals.ids[symmetry.crystal])
                continue
            start = symmetry.atoms.start
            found.first[symmetry.atoms] = start + symmetry.orbits
            found.turns[symmetry.atoms], fixed, operations = related
            groups[symmetry.crystal] = start + fixed, operations
        for i, (start, stop) in enumerate(itertools.pairwise(crystals.offsets.tolist())):
            groups.setdefault(i, (found.atoms[start:stop], found.operations[start:stop]))
        every = [groups[i] for i in range(len(crystals))] or [(found.atoms, found.operations)]
        atoms, operations = (np.concatenate(parts) for parts in zip(*every, strict=True))
        return cls(found.first, found.turns, atoms, operations)

    def divided(self, which: npt.NDArray[np.bool_], crystals: Crystals) -> AtomSymmetry:
        """The same, but none for some crystals.

        Args:
            which: (n,) the crystals without symmetry.
            crystals: the n crystals.
        """
        single, divided = AtomSymmetry.single(crystals), np.repeat(which, crystals.atom_counts)
        kept = ~divided[self.atoms]
        atoms = np.concatenate([self.atoms[kept], single.atoms[divided]])
        operations = np.concatenate([self.operations[kept], single.operations[divided]])
        order = np.argsort(atoms, kind="stable")
        return AtomSymmetry(
            np.where(divided, single.first, self.first),
            np.where(divided[:, None, None], single.turns, self.turns),
            atoms[order],
            operations[order],
        )


_LOOSER = 5  # an atom and its image may both be away from their ideal places, and these from those in an ideal lattice


@dataclass(frozen=True, eq=False)
class _Symmetry:
    """The space group of a crystal.

    Attributes:
        crystal: its row.
        atoms: rows of its A atoms.
        orbits: (A,) the first atom of each orbit, counted in the crystal.
        hall_number: of the space group.
        linear, shift: (3, 3) and (3,); x = linear · y + shift are fractional coordinates x in the cell of the crystal
            for those in the primitive standard cell, y.
        basis: (3, 3) the vectors of the primitive standard cell, in columns, in Å and in its orientation.
    """

    crystal: int
    atoms: slice
    orbits: _Ints
    hall_number: int
    linear: _Floats
    shift: _Floats
    basis: _Floats

    def related(self, fractional: _Floats, tolerance: float) -> tuple[_Floats, _Ints, _Floats] | None:
        """Operations from the first atom of the orbit to each atom, and those that leave first atoms where they are.

        Args:
            fractional: (A, 3) coordinates.
            tolerance: in Å.

        Returns:
            Rotations or reflections (A, 3, 3), Cartesian; first atoms (M,), ascending; their operations (M, 3, 3).
            None if the operations do not make the orbits that were found.
        """
        rotations, translations = _operations(self.hall_number)
        turns = self.basis @ rotations @ np.linalg.inv(self.basis)
        places = np.linalg.solve(self.linear, (fractional - self.shift).T).T
        first, orbits = np.unique(self.orbits, return_inverse=True)
        images = np.einsum("gij,sj->gsi", rotations, places[first]) + translations[:, None]
        apart = images[:, orbits] - places  # (operations, A, 3)
        away = np.linalg.norm((apart - np.rint(apart)) @ self.basis.T, axis=-1)
        chosen = away.argmin(0)
        atoms, operations = np.nonzero(away.T[first] <= tolerance)
        # The operations of a site times the sites of an orbit in the primitive cell are all operations.
        cells = 1 / abs(np.linalg.det(self.linear))
        sizes = np.bincount(atoms, minlength=len(first)) * np.bincount(orbits)
        orthogonal = np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max() <= _ROTATED
        if away.min(0).max() > tolerance or not orthogonal or (np.abs(sizes - cells * len(turns)) > 1e-3).any():
            return None
        return turns[chosen], first[atoms], turns[operations]


def _symmetries(crystals: Crystals, symprec: float) -> Iterator[_Symmetry]:
    """The symmetry of each crystal in which moyo finds one."""
    lattices, numbers = crystals.lattices.tolist(), crystals.numbers.tolist()
    wrapped = (crystals.frac_coords - np.floor(crystals.frac_coords)).tolist()
    for i, (start, stop) in enumerate(itertools.pairwise(crystals.offsets.tolist())):
        try:
            cell = moyopy.Cell(lattices[i], wrapped[start:stop], numbers[start:stop])
            dataset = moyopy.MoyoDataset(cell, symprec=symprec)
        except ValueError as error:
            log.debug("%s: no symmetry found (%s); each atom is an orbit of its own", crystals.ids[i], error)
            continue
        linear = np.array(dataset.prim_std_linear)
        yield _Symmetry(
            i,
            slice(start, stop),
            np.array(dataset.orbits),
            dataset.hall_number,
            linear,
            np.array(dataset.prim_std_origin_shift),
            crystals.lattices[i].T @ linear,
        )


_ORDER = np.einsum_path(
    "ai,bj,icjd,ce,df->aebf", *(np.empty((3, 3)),) * 2, np.empty((3,) * 4), *(np.empty((3, 3)),) * 2
)[0]


@functools.cache
def _operations(hall_number: int) -> tuple[_Floats, _Floats]:
    """Rotation parts (g, 3, 3) and translations (g, 3) of a space group, in its primitive standard cell."""
    setting = moyopy.Setting.hall_number(hall_number)
    number = moyopy.HallSymbolEntry(hall_number).number
    found = moyopy.operations_from_number(number, setting=setting, primitive=True)
    return np.array(found.rotations, np.float64), np.array(found.translations, np.float64)


@functools.cache
def _means(hall_number: int) -> tuple[_Floats, _Floats]:
    """Means of W and of W_ac W_bd over the rotation parts W of a space group, in its primitive standard cell."""
    rotations, _ = _operations(hall_number)
    return rotations.mean(0), np.einsum("gac,gbd->acbd", rotations, rotations) / len(rotations)
