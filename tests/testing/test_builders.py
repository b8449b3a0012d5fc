"""The crystals of `crystalbench.testing` have the documented properties, and docstring examples run."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
import spglib
from pymatgen.analysis.structure_matcher import StructureMatcher

import crystalbench.representations.cache
import crystalbench.testing.models
import crystalbench.testing.representations
import crystalbench.testing.tasks
import crystalbench.testing.views
from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.testing.crystals import (
    inverted,
    isolated_atom,
    known_structures,
    large_cell,
    other_cells,
    random_crystals,
    single_atoms,
    supercells,
)

GROUPS = {
    "copper": 225,
    "halite": 225,
    "perovskite": 221,
    "zinc": 194,
    "wurtzite": 186,
    "rutile": 136,
    "quartz": 152,
    "boride": 62,
    "zirconia": 14,
}


def group_of(crystals: Crystals, i: int) -> int:
    atoms = slice(crystals.offsets[i], crystals.offsets[i + 1])
    cell = (crystals.lattices[i], crystals.frac_coords[atoms], crystals.numbers[atoms])
    return int(spglib.get_symmetry_dataset(cell, symprec=1e-3).number)


def shortest_distances(crystals: Crystals) -> np.ndarray:
    found = []
    for structure in crystals.to_pymatgen():
        distances = structure.distance_matrix + 99 * np.eye(len(structure))
        found.append(min(distances.min(), *structure.lattice.abc))
    return np.array(found)


def test_known_structures_have_the_symmetry_of_the_real_ones() -> None:
    crystals = known_structures()
    assert {str(name): group_of(crystals, i) for i, name in enumerate(crystals.ids)} == GROUPS
    assert (shortest_distances(crystals) > 1.5).all()


def test_inversion_turns_quartz_into_its_mirror_image() -> None:
    mirrored = inverted(known_structures())
    expected = {**GROUPS, "quartz": 154}
    assert {str(name): group_of(mirrored, i) for i, name in enumerate(mirrored.ids)} == expected


@pytest.mark.parametrize("seed", range(3))
def test_other_cells_hold_the_same_crystals(seed: int) -> None:
    crystals = concatenate([known_structures(), random_crystals(seed, 7)])
    others = other_cells(crystals, seed)
    assert np.allclose(others.volumes, crystals.volumes)
    assert np.allclose(others.cart_coords, crystals.cart_coords)  # the same atoms, which repeat in the same way
    steps = others.lattices @ np.linalg.inv(crystals.lattices)
    assert np.allclose(steps, np.rint(steps), atol=1e-9)
    assert not np.isclose(steps, np.eye(3)).all((1, 2)).any()
    assert np.allclose(np.linalg.det(steps), 1)


def test_supercells_hold_the_same_crystals() -> None:
    crystals = known_structures()
    twice = supercells(crystals, (2, 1, 1))
    assert np.array_equal(twice.atom_counts, 2 * crystals.atom_counts)
    matcher = StructureMatcher(ltol=1e-3, stol=1e-3, angle_tol=0.01, scale=False)
    pairs = zip(crystals.to_pymatgen(), twice.to_pymatgen(), strict=True)
    assert all(matcher.fit(one, other) for one, other in pairs)


def test_edge_cases_are_those_described() -> None:
    assert single_atoms(118).numbers.tolist() == list(range(1, 119))
    assert isolated_atom().volumes.tolist() == pytest.approx([1e6])
    large = large_cell()
    assert large.atom_counts.tolist() == [200]
    assert large.volumes[0] / 200 == pytest.approx(2.4**3)
    assert large_cell(30, largest_z=5).numbers.max() == 5


@pytest.mark.parametrize(
    "module",
    [
        crystalbench.representations.cache,
        crystalbench.testing.models,
        crystalbench.testing.representations,
        crystalbench.testing.tasks,
        crystalbench.testing.views,
    ],
)
def test_examples_in_docstrings_are_true(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted >= 1
    assert result.failed == 0
