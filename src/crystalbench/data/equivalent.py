"""Other descriptions of the same crystals: orientation, origin, order of the atoms, and choice of the cell.

A property of a material does not depend on them, nor on the handedness of the crystal if it is a scalar; a property of
the cell grows with the cell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import spglib
from scipy.spatial.transform import Rotation

from crystalbench.data.crystals import Crystals
from crystalbench.data.views.rows import OneCrystal, each
from crystalbench.data.views.symmetry import FINE

_Floats = npt.NDArray[np.float64]


def rotated(crystals: Crystals, seed: int = 0) -> Crystals:
    """Every crystal rotated, each by its own rotation."""
    turns = Rotation.random(len(crystals), rng=np.random.default_rng(seed)).as_matrix()
    return changed(crystals, lattices=np.einsum("nij,njk->nik", crystals.lattices, turns))


def inverted(crystals: Crystals) -> Crystals:
    """Every crystal's mirror image: atoms at x go to −x."""
    return changed(crystals, frac_coords=-crystals.frac_coords)


def translated(crystals: Crystals, seed: int = 0) -> Crystals:
    """Every crystal shifted by its own vector."""
    shifts = np.random.default_rng(seed).uniform(-1, 1, (len(crystals), 3))
    return changed(crystals, frac_coords=crystals.frac_coords + shifts[crystals.owners])


def moved_by_lattice_vectors(crystals: Crystals, seed: int = 0) -> Crystals:
    """Every atom replaced by one of its periodic images."""
    shifts = np.random.default_rng(seed).integers(-3, 4, crystals.frac_coords.shape)
    return changed(crystals, frac_coords=crystals.frac_coords + shifts)


def atom_order(crystals: Crystals, seed: int = 0) -> npt.NDArray[np.int64]:
    """A random order of the atoms within each crystal."""
    keys = np.random.default_rng(seed).random(len(crystals.numbers))
    return np.lexsort((keys, crystals.owners))


def reordered(crystals: Crystals, order: npt.NDArray[np.int64]) -> Crystals:
    """The atoms in another order."""
    return changed(crystals, frac_coords=crystals.frac_coords[order], numbers=crystals.numbers[order])


def supercells(crystals: Crystals, times: tuple[int, int, int]) -> Crystals:
    """Every crystal repeated along its lattice vectors, copy after copy."""
    cells = np.stack(np.meshgrid(*map(np.arange, times), indexing="ij"), -1).reshape(-1, 3)
    coords, numbers = [], []
    for i in range(len(crystals)):
        atoms = slice(crystals.offsets[i], crystals.offsets[i + 1])
        coords.append(((crystals.frac_coords[atoms][None] + cells[:, None]) / np.array(times)).reshape(-1, 3))
        numbers.append(np.tile(crystals.numbers[atoms], len(cells)))
    return Crystals.from_flat(
        crystals.lattices * np.array(times)[None, :, None],
        np.concatenate(coords),
        np.concatenate(numbers),
        crystals.atom_counts * len(cells),
        crystals.ids,
    )


def other_cells(crystals: Crystals, seed: int = 0) -> Crystals:
    """Every crystal in another basis of its lattice: axes permuted, and one added to or subtracted from another."""
    rng = np.random.default_rng(seed)
    bases = np.array([_unimodular(rng) for _ in range(len(crystals))])
    inverses = np.rint(np.linalg.inv(bases))
    return changed(
        crystals,
        lattices=bases @ crystals.lattices,
        frac_coords=np.einsum("ai,aij->aj", crystals.frac_coords, inverses[crystals.owners]),
    )


def _unimodular(rng: np.random.Generator) -> _Floats:
    """An integer matrix with determinant 1: a cyclic permutation of the axes and two shears."""
    basis = np.eye(3)[np.roll(np.arange(3), rng.integers(3))]
    for _ in range(2):
        one, other = rng.permutation(3)[:2]
        basis[one] += rng.choice([-1, 1]) * basis[other]
    return basis


def changed(crystals: Crystals, **arrays: npt.NDArray[Any]) -> Crystals:
    """The crystals with some arrays replaced."""
    return Crystals(**{**crystals.to_arrays(), **arrays})


def niggli_cells(crystals: Crystals) -> Crystals:
    """Every crystal in the Niggli-reduced basis of its own lattice; atoms stay where they are.

    A lattice that spglib cannot reduce is kept.
    """
    return each(crystals, _reduced)


def conventional_cells(crystals: Crystals) -> Crystals:
    """Every crystal in its conventional cell, with the symmetry found within 0.01 Å and without idealising it.

    A cell whose symmetry cannot be found is kept.
    """
    return each(crystals, _conventional)


def _reduced(one: OneCrystal) -> OneCrystal:
    try:
        found = spglib.niggli_reduce(one.lattice)
    except Exception:  # the class of spglib's errors differs between its versions
        found = None
    return one if found is None else _in_basis(one, np.asarray(found, dtype=np.float64))


def _in_basis(one: OneCrystal, lattice: _Floats) -> OneCrystal:
    """The crystal in another basis of the same lattice."""
    basis = np.rint(lattice @ np.linalg.inv(one.lattice))
    return one._replace(lattice=basis @ one.lattice, coords=one.coords @ np.linalg.inv(basis))


def _conventional(one: OneCrystal) -> OneCrystal:
    cell: Any = (one.lattice, one.coords, one.numbers)
    try:
        found: Any = spglib.standardize_cell(cell, to_primitive=False, no_idealize=True, symprec=FINE)
    except Exception:  # the class of spglib's errors differs between its versions
        found = None
    if found is None:
        return one
    lattice, coords, numbers = (np.asarray(part) for part in found)
    before, after = np.bincount(one.numbers, minlength=256), np.bincount(numbers, minlength=256)
    if not np.array_equal(before * len(numbers), after * len(one.numbers)):
        return one  # atoms of different elements would be merged
    return OneCrystal(lattice, coords, numbers.astype(np.uint8), one.name)
