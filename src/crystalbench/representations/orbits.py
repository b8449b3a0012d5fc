"""Orbits of atoms under the space group of a crystal, and means over its point group."""

from __future__ import annotations

import functools
import itertools
import logging
from dataclasses import dataclass

import moyopy
import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals

log = logging.getLogger(__name__)

# moyo warns about symmetry operations that do not fit a supercell; those of the primitive cell are used here.
logging.getLogger("moyo").setLevel(logging.ERROR)

_Floats = npt.NDArray[np.float64]
_ROTATED = 1e-2  # largest deviation of a rotation matrix from an orthogonal one


@dataclass(frozen=True, eq=False)
class Orbits:
    """The orbits of n crystals with N atoms.

    Attributes:
        first: (N,) the first atom of the orbit of each atom, counted over all crystals.
        rotations: (n, 3, 3) ⟨Q⟩, the mean over the point group of its rotations and reflections Q: r → Q r.
        squares: (n, 3, 3, 3, 3) ⟨Q_ac Q_bd⟩, with the axes a, c, b, d.
    """

    first: npt.NDArray[np.int64]
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
        lattices, numbers = crystals.lattices.tolist(), crystals.numbers.tolist()
        wrapped = (crystals.frac_coords - np.floor(crystals.frac_coords)).tolist()
        for i, (start, stop) in enumerate(itertools.pairwise(crystals.offsets.tolist())):
            try:
                cell = moyopy.Cell(lattices[i], wrapped[start:stop], numbers[start:stop])
                dataset = moyopy.MoyoDataset(cell, symprec=symprec)
            except ValueError as error:
                log.debug("%s: no symmetry found (%s); each atom is an orbit of its own", crystals.ids[i], error)
                continue
            basis = crystals.lattices[i].T @ np.array(dataset.prim_std_linear)
            inverse = np.linalg.inv(basis)
            rotations, squares = _means(dataset.hall_number)
            square = np.einsum("ai,bj,icjd,ce,df->aebf", basis, basis, squares, inverse, inverse, optimize=_ORDER)
            # Σ_c Q_ac Q_bc = δ_ab for every operation, and so for the mean.
            if np.abs(np.trace(square, axis1=1, axis2=3) - np.eye(3)).max() > _ROTATED:
                log.debug("%s: operations that are no rotations; each atom is an orbit of its own", crystals.ids[i])
                continue
            found.first[start:stop] = start + np.array(dataset.orbits)
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


_ORDER = np.einsum_path(
    "ai,bj,icjd,ce,df->aebf", *(np.empty((3, 3)),) * 2, np.empty((3,) * 4), *(np.empty((3, 3)),) * 2
)[0]


@functools.cache
def _means(hall_number: int) -> tuple[_Floats, _Floats]:
    """Means of W and of W_ac W_bd over the rotation parts W of a space group, in its primitive standard cell."""
    setting = moyopy.Setting.hall_number(hall_number)
    number = moyopy.HallSymbolEntry(hall_number).number
    operations = moyopy.operations_from_number(number, setting=setting, primitive=True)
    rotations = np.array(operations.rotations, np.float64)
    return rotations.mean(0), np.einsum("gac,gbd->acbd", rotations, rotations) / len(rotations)
