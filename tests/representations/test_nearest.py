"""The batched neighbour search equals the search crystal by crystal, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import cell_from_parameters, known_structures, one_crystal, random_crystals, repeatable, supercells
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.optimization.neighbors import find_points_in_spheres

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.representations.neighbors import k_nearest as _nearest
from crystalbench.representations.neighbors import nearest


def one_by_one(crystals: Crystals, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours, distances and vectors, by sorting all pairs of a crystal: shell, element, atom, distance."""
    carts = crystals.wrapped().cart_coords
    neighbors, distances, vectors = [], [], []
    for i in range(len(crystals)):
        rows = slice(crystals.offsets[i], crystals.offsets[i + 1])
        atoms, numbers, lattice = carts[rows].copy(), crystals.numbers[rows], crystals.lattices[i].copy()
        radius = np.cbrt(3 * (1.8 * k + 1) * crystals.volumes[i] / len(atoms) / (4 * np.pi))
        while True:
            found = find_points_in_spheres(atoms, atoms, radius, np.array([1, 1, 1]), lattice, 1e-8)
            centers, points, images, lengths = (array[found[3] > 1e-8] for array in found)
            counts = np.bincount(centers, minlength=len(atoms))
            if counts.min() >= k:
                order = np.lexsort((lengths, centers))
                new = (np.diff(centers[order]) > 0) | (np.diff(lengths[order]) > 1e-5)
                shells = np.concatenate([[0], np.cumsum(new)])
                order = order[np.lexsort((points[order], numbers[points[order]], shells))]
                chosen = order[np.concatenate([[0], np.cumsum(counts)[:-1]])[:, None] + np.arange(k)]
                if lengths[chosen].max() < radius - 2e-5:
                    break
            radius *= 1.25
        neighbors.append(points[chosen])
        distances.append(lengths[chosen])
        vectors.append(atoms[points[chosen]] + images[chosen] @ lattice - atoms[:, None])
    return np.concatenate(neighbors), np.concatenate(distances), np.concatenate(vectors)


def check_against_one_by_one(crystals: Crystals, k: int) -> None:
    for found, expected in zip(nearest(crystals, k, True), one_by_one(crystals, k), strict=True):
        np.testing.assert_array_equal(found, expected.astype(found.dtype))


@repeatable(15)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 30))
def test_random_crystals_match_bit_for_bit(seed: int, k: int) -> None:
    check_against_one_by_one(random_crystals(seed, n=9, most_atoms=7, largest_z=118), k)


def test_crystals_of_high_symmetry_match_bit_for_bit() -> None:
    known = known_structures()
    for k in (3, 12, 13):
        check_against_one_by_one(concatenate([known, supercells(known, (2, 1, 2))]), k)


def test_crowded_and_empty_cells_match_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    cells = [[[2.5, 0, 0], [0, 2.5, 0], [0, 0, 80]], np.eye(3) * 150, cell_from_parameters(3, 40, 50, 30, 40, 35)]
    crystals = [
        one_crystal(cell, rng.uniform(-1, 1, (n, 3)), [8] * n) for cell, n in zip(cells, (3, 1, 20), strict=True)
    ]
    check_against_one_by_one(concatenate([random_crystals(1, 5), *crystals]), 12)


@pytest.mark.parametrize(("name", "value"), [("_ATOMS", 1), ("_ATOMS", 10**6), ("_WIDTH", 1), ("_WIDTH", 50)])
def test_the_size_of_batches_does_not_matter(name: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = random_crystals(2, 20, most_atoms=9)
    expected = nearest(crystals, 12, True)
    monkeypatch.setattr(_nearest, name, value)
    for found, before in zip(nearest(crystals, 12, True), expected, strict=True):
        np.testing.assert_array_equal(found, before)


@pytest.mark.parametrize("first", [0.3, 1.0, 4.0])
def test_the_first_radius_does_not_matter(first: float, monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = random_crystals(3, 20, most_atoms=9)
    expected = nearest(crystals, 12, False)
    monkeypatch.setattr(_nearest, "_FIRST", first)
    for found, before in zip(nearest(crystals, 12, False), expected, strict=True):
        np.testing.assert_array_equal(found, before)


@pytest.mark.parametrize("lengths", [(1.0, 60.0), (1e-300, 1e300)])  # whose bits leave room for columns, or do not
def test_sorting_is_stable_and_exact(lengths: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    values = np.exp(rng.uniform(*np.log(lengths), (40, 33)))
    values[:, 20:] = values[:, :13]
    order, ascending = _nearest._ascending(values)
    np.testing.assert_array_equal(order, np.argsort(values, axis=1, kind="stable"))
    np.testing.assert_array_equal(ascending, np.sort(values, axis=1))
