"""Views: what each removes cannot be seen, what it keeps can, and each crystal is viewed by itself.

Every registered view is tested: the tables below must name it.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from helpers import (
    atom_order,
    changed,
    random_crystals,
    read_only,
    reordered,
    repeatable,
    rotated,
    samples_of,
    supercells,
    translated,
)
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import cross_val_predict
from view_checks import (
    Change,
    assert_equal,
    assert_same_crystals,
    demo,
    exchanged_atoms,
    other_density,
    other_density_and_elements,
    other_structure,
    pair_functions,
    renamed_elements,
    space_groups,
)

from crystalbench import load_task
from crystalbench.data.crystals import Crystals
from crystalbench.data.views import get_view, view_names
from crystalbench.data.views.labels import LABELS
from crystalbench.models.cgcnn import CGCNN
from crystalbench.representations import MagpieFeatures
from crystalbench.testing.crystals import one_crystal, other_cells

DIFFERENT_ONLY_IN_WHAT_IS_REMOVED: dict[str, Change] = {
    "full": lambda crystals: crystals,
    "anonymous": renamed_elements,
    "species_shuffled": exchanged_atoms,
    "composition_only": other_structure,
    "unit_density": other_density,
    "anonymous+unit_density": other_density_and_elements,
}
TESTED_BELOW = {
    "chemistry_shuffled",
    "lattice_only",
    "no_periodicity",
    "perturbed",
    "primitive",
    "supercell",
    "symmetrised",
    "symmetry_only",
}
EXACT = sorted(DIFFERENT_ONLY_IN_WHAT_IS_REMOVED)

seeds = st.integers(0, 2**32 - 1)


# ---------------------------------------------------------------------- every view


def test_every_view_is_tested_here() -> None:
    assert set(view_names()) | {"anonymous+unit_density"} == set(DIFFERENT_ONLY_IN_WHAT_IS_REMOVED) | TESTED_BELOW


@pytest.mark.parametrize("name", [*view_names(), "anonymous+unit_density", "primitive+anonymous"])
@repeatable(4)
@given(seed=seeds)
def test_views_keep_rows_and_view_each_crystal_alone(name: str, seed: int) -> None:
    crystals = read_only(random_crystals(seed, largest_z=118))
    view = get_view(name)
    shown = view(crystals)
    assert np.array_equal(shown.ids, crystals.ids)
    assert (shown.volumes > 0).all()
    assert_equal(view(crystals[[3, 1]]), shown[[3, 1]])
    Crystals.from_flat(shown.lattices, shown.frac_coords, shown.numbers, shown.atom_counts, shown.ids)  # still valid
    assert view.removes
    assert view.name == name
    assert len(view(crystals[:0])) == 0


@pytest.mark.parametrize("name", EXACT)
@repeatable(10)
@given(seed=seeds)
def test_crystals_that_differ_only_in_what_is_removed_look_the_same(name: str, seed: int) -> None:
    crystals = random_crystals(seed)
    view = get_view(name)
    assert_equal(view(DIFFERENT_ONLY_IN_WHAT_IS_REMOVED[name](crystals)), view(crystals))


@pytest.mark.parametrize("name", [name for name in EXACT if name not in ("full", "composition_only")])
def test_removed_information_can_be_seen_without_the_view(name: str) -> None:
    crystals = random_crystals(0)
    other = DIFFERENT_ONLY_IN_WHAT_IS_REMOVED[name](crystals)
    assert other.digest != crystals.digest
    train, valid = random_crystals(1, 24, most_atoms=3), random_crystals(2, 8, most_atoms=3)
    view = get_view(name)
    seeing = CGCNN(width=8, layers=1, epochs=2).fit(samples_of(train), samples_of(valid))
    blind = CGCNN(width=8, layers=1, epochs=2).fit(samples_of(view(train)), samples_of(view(valid)))

    def difference(model: CGCNN, one: Crystals, two: Crystals) -> np.ndarray:
        return np.abs(model.predict(samples_of(one)).values - model.predict(samples_of(two)).values)

    assert difference(seeing, crystals, other).max() > 1e-4
    assert difference(blind, view(crystals), view(other)).max() < 1e-5


DESCRIPTIONS: dict[str, Change] = {
    "other order": lambda crystals: reordered(crystals, atom_order(crystals, 1)),
    "other orientation": rotated,
    "other origin": translated,
    "other lattice vectors": other_cells,
    "supercell": partial(supercells, times=(2, 1, 1)),
}
FOR_THE_CELL = ("perturbed", "species_shuffled")
"""Views with random draws that follow from the given cell."""


@pytest.mark.parametrize("description", DESCRIPTIONS)
@pytest.mark.parametrize("name", [name for name in view_names() if name not in (*FOR_THE_CELL, "symmetrised")])
def test_views_do_not_depend_on_the_description_of_a_crystal(name: str, description: str) -> None:
    crystals = demo()[::3]
    view = get_view(name)
    assert_same_crystals(view(DESCRIPTIONS[description](crystals)), view(crystals))


@pytest.mark.parametrize("name", FOR_THE_CELL)
@pytest.mark.parametrize("description", ["other order", "other orientation"])
def test_random_draws_do_not_depend_on_order_or_orientation(name: str, description: str) -> None:
    crystals = demo()[::3]
    view = get_view(name)
    assert_same_crystals(view(DESCRIPTIONS[description](crystals)), view(crystals))


# ---------------------------------------------------------------------- elements


@pytest.mark.parametrize("name", ["anonymous", "anonymous+unit_density", "chemistry_shuffled", "unit_density"])
def test_views_that_keep_symmetry(name: str) -> None:
    crystals = demo()
    shown = get_view(name)(crystals)
    kept = np.mean(np.array(space_groups(shown)) == space_groups(crystals))
    assert kept == 1.0 if "density" not in name else kept > 0.95  # a tolerance in Å is another one after scaling


def test_anonymous_keeps_which_atoms_are_alike() -> None:
    crystals = demo()
    shown = get_view("anonymous")(crystals)
    assert_same_crystals(shown, crystals, alike=False)
    for row, structure in enumerate(crystals.to_pymatgen()):
        labels = shown.numbers[shown.offsets[row] : shown.offsets[row + 1]]
        pairs = set(zip(structure.atomic_numbers, labels.tolist(), strict=True))
        assert len(pairs) == len(set(labels.tolist())) == len(set(structure.atomic_numbers))
        counts = [int((labels == label).sum()) for label in LABELS[: len(pairs)]]
        assert counts == sorted(counts, reverse=True)
        assert all(counts)


def test_species_of_equal_number_are_told_apart_by_geometry() -> None:
    """Zinc blende has equivalent sites; half of a perovskite-like cell has not, whatever the elements are."""
    sites = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]

    def labels(*numbers: int) -> list[int]:
        return get_view("anonymous")(one_crystal(np.eye(3) * 4, sites, numbers)).numbers.tolist()

    assert labels(38, 22, 8, 8, 8) == labels(22, 38, 8, 8, 8) == labels(8, 1, 92, 92, 92)
    assert labels(38, 22, 8, 8, 8)[2:] == [LABELS[0]] * 3
    flipped = one_crystal(np.eye(3) * 4, sites[::-1], [8, 8, 8, 22, 38])
    assert get_view("anonymous")(flipped).numbers.tolist() == labels(38, 22, 8, 8, 8)[::-1]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 1, 0, 3), (1, 3, 0, 2), (3, 2, 1, 0), (1, 0, 2, 3)])
def test_equivalent_sites_are_labelled_jointly(order: tuple[int, ...]) -> None:
    """In a quaternary Heusler compound all sites are equivalent, but three distributions of elements differ."""
    fcc = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) * 6
    elements = np.array([3, 12, 46, 50])
    places = np.outer(np.arange(4) / 4, np.ones(3))
    crystal = one_crystal(fcc, places, elements)
    listed = one_crystal(fcc, places[list(order)], elements[list(order)])
    renamed = changed(crystal, numbers=np.array([92, 1, 8, 26], dtype=np.uint8))
    view = get_view("anonymous")
    for other in (listed, renamed):
        assert_same_crystals(view(other), view(crystal))


def test_elements_cannot_be_predicted_under_anonymous_unit_density() -> None:
    """A forest on composition and density predicts a property of the elements, but not under the view."""
    crystals = load_task("demo_formation_energy", limit=200).inputs
    assert isinstance(crystals, Crystals)
    mean_number = np.bincount(crystals.owners, crystals.numbers) / crystals.atom_counts

    def skill(shown: Crystals) -> float:
        columns = MagpieFeatures()(shown).values["features"]
        columns = np.column_stack([np.nan_to_num(columns), shown.volumes / shown.atom_counts, pair_functions(shown)])
        predicted = cross_val_predict(ExtraTreesRegressor(50, random_state=0), columns, mean_number, cv=5)
        return float(1 - np.mean((predicted - mean_number) ** 2) / mean_number.var())

    assert skill(crystals) > 0.9
    assert skill(get_view("anonymous+unit_density")(crystals)) < 0.5 * skill(get_view("anonymous")(crystals)) + 0.1


def test_chemistry_shuffled_is_the_same_permutation_everywhere() -> None:
    every = one_crystal(np.eye(3) * 30, np.random.default_rng(0).random((118, 3)), np.arange(1, 119))
    view = get_view("chemistry_shuffled")
    table = dict(zip(every.numbers.tolist(), view(every).numbers.tolist(), strict=True))
    assert sorted(table.values()) == list(range(1, 119))
    assert all(before != after for before, after in table.items())
    crystals = demo()
    assert view(crystals).numbers.tolist() == [table[z] for z in crystals.numbers.tolist()]
    assert_equal(changed(view(crystals), numbers=crystals.numbers), crystals)
    assert table[8] == 77  # pinned: another permutation needs a new version of the view


def test_species_shuffled_keeps_composition_and_sites() -> None:
    crystals = demo()
    shown = get_view("species_shuffled")(crystals)
    assert shown.formulas() == crystals.formulas()
    assert np.array_equal(shown.frac_coords, crystals.frac_coords)
    assert np.array_equal(shown.lattices, crystals.lattices)
    moved = [
        not np.array_equal(shown[[i]].numbers, crystals[[i]].numbers)
        for i in range(len(crystals))
        if len(set(crystals[[i]].numbers.tolist())) > 1 and crystals.atom_counts[i] > 4
    ]
    assert np.mean(moved) > 0.8


def test_composition_only_keeps_the_reduced_formula() -> None:
    crystals = demo()
    shown = get_view("composition_only")(crystals)
    reduced = [s.composition.reduced_formula for s in crystals.to_pymatgen()]
    assert [s.composition.reduced_formula for s in shown.to_pymatgen()] == reduced
    np.testing.assert_allclose(shown.volumes / shown.atom_counts, 20.0)
    by_formula: dict[str, str] = {}
    for row, formula in enumerate(reduced):  # crystals of one composition look the same
        assert by_formula.setdefault(formula, shown[[row]].digest) == shown[[row]].digest
