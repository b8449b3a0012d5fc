"""Changes of crystals, and comparisons of them, with which views are tested."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import spglib
from helpers import changed, random_crystals, supercells
from pymatgen.optimization.neighbors import find_points_in_spheres

from crystalbench import load_task
from crystalbench.data.crystals import Crystals

Change = Callable[[Crystals], Crystals]


def other_elements(crystals: Crystals) -> Crystals:
    rng = np.random.default_rng(0)
    return changed(crystals, numbers=rng.integers(1, 119, len(crystals.numbers)).astype(np.uint8))


def renamed_elements(crystals: Crystals) -> Crystals:
    """Every element of a crystal becomes another one; atoms that were alike stay alike."""
    numbers = crystals.numbers.copy()
    for row in range(len(crystals)):
        atoms = slice(crystals.offsets[row], crystals.offsets[row + 1])
        numbers[atoms] = np.random.default_rng(row).permutation(np.arange(119))[numbers[atoms]]
    return changed(crystals, numbers=np.where(numbers == 0, 118, numbers).astype(np.uint8))


def exchanged_atoms(crystals: Crystals) -> Crystals:
    """The same atoms of a crystal at other sites of it."""
    order = np.lexsort((np.random.default_rng(0).random(len(crystals.numbers)), crystals.owners))
    return changed(crystals, numbers=crystals.numbers[order])


def other_density(crystals: Crystals) -> Crystals:
    scale = np.random.default_rng(0).uniform(0.7, 1.5, len(crystals))
    return changed(crystals, lattices=crystals.lattices * scale[:, None, None])


def other_structure(crystals: Crystals) -> Crystals:
    other = random_crystals(99, len(crystals))
    coords = np.random.default_rng(0).random(crystals.frac_coords.shape)
    return changed(supercells(changed(crystals, lattices=other.lattices, frac_coords=coords), (2, 1, 1)))


def other_density_and_elements(crystals: Crystals) -> Crystals:
    return other_density(renamed_elements(crystals))


def assert_equal(one: Crystals, other: Crystals, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(one.lattices, other.lattices, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(one.frac_coords, other.frac_coords, rtol=tolerance, atol=tolerance)
    assert np.array_equal(one.numbers, other.numbers)
    assert np.array_equal(one.offsets, other.offsets)
    assert np.array_equal(one.ids, other.ids)


@lru_cache(maxsize=1)
def demo() -> Crystals:
    """Crystals of many prototypes and all crystal systems."""
    crystals = load_task("demo_crystal_system").inputs
    assert isinstance(crystals, Crystals)
    small = crystals[crystals.atom_counts <= 16]
    return small[:: max(1, len(small) // 60)]


def space_groups(crystals: Crystals, tolerance: float = 0.01) -> list[int]:
    return [
        spglib.get_symmetry_dataset((s.lattice.matrix, s.frac_coords, s.atomic_numbers), symprec=tolerance).number
        for s in crystals.to_pymatgen()
    ]


def pair_functions(crystals: Crystals, radius: float = 6.0, alike: bool = True) -> np.ndarray:
    """(n, functions) smooth functions of the distances per atom, the same for all descriptions of a crystal.

    Without ``alike``, they do not tell which elements the atoms are, but only whether they are the same.
    """
    rows = []
    for s in crystals.to_pymatgen():
        lattice, numbers = np.ascontiguousarray(s.lattice.matrix), np.array(s.atomic_numbers)
        places = np.ascontiguousarray((s.frac_coords % 1) @ lattice)
        periodic = np.ones(3, dtype=np.int64)
        one, two, _, lengths = find_points_in_spheres(places, places, radius, periodic, lattice, 1e-8)
        keep = lengths > 1e-6
        one, two, lengths = numbers[one[keep]], numbers[two[keep]], lengths[keep]
        kinds = [one * two, one + two] if alike else [one == two]
        weights = np.array([np.ones(len(lengths)), *kinds]) * (1 + np.cos(np.pi * lengths / radius)) ** 2
        waves = np.cos(np.outer([0.0, 1.0, 2.0], lengths))
        rows.append((weights @ waves.T).ravel() / len(numbers))
    return np.array(rows)


def assert_same_crystals(one: Crystals, other: Crystals, **options: bool) -> None:
    """The same crystals up to the choice of the cell, the orientation and the order of the atoms."""
    assert np.array_equal(one.ids, other.ids)
    np.testing.assert_allclose(pair_functions(one, **options), pair_functions(other, **options), rtol=1e-4, atol=1e-4)
