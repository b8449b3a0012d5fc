"""Views: what each removes cannot be seen, what it keeps can, and each crystal is viewed by itself.

Every registered view is tested: the tables below must name it.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import spglib
from helpers import (
    atom_order,
    changed,
    known_structures,
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
from pymatgen.optimization.neighbors import find_points_in_spheres
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import cross_val_predict
from typer.testing import CliRunner

from crystalbench import compare, load_results, load_task
from crystalbench.cli.app import app
from crystalbench.data.crystals import Crystals
from crystalbench.data.views import View, compose, get_view, is_registered, view_names
from crystalbench.data.views.geometry import AMPLITUDE, VACUUM
from crystalbench.data.views.labels import LABELS
from crystalbench.data.views.wyckoff import _group
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models.cgcnn import CGCNN
from crystalbench.representations import MagpieFeatures
from crystalbench.testing.crystals import one_crystal, other_cells

Change = Callable[[Crystals], Crystals]


def _other_elements(crystals: Crystals) -> Crystals:
    rng = np.random.default_rng(0)
    return changed(crystals, numbers=rng.integers(1, 119, len(crystals.numbers)).astype(np.uint8))


def _renamed_elements(crystals: Crystals) -> Crystals:
    """Every element of a crystal becomes another one; atoms that were alike stay alike."""
    numbers = crystals.numbers.copy()
    for row in range(len(crystals)):
        atoms = slice(crystals.offsets[row], crystals.offsets[row + 1])
        numbers[atoms] = np.random.default_rng(row).permutation(np.arange(119))[numbers[atoms]]
    return changed(crystals, numbers=np.where(numbers == 0, 118, numbers).astype(np.uint8))


def _exchanged_atoms(crystals: Crystals) -> Crystals:
    """The same atoms of a crystal at other sites of it."""
    order = np.lexsort((np.random.default_rng(0).random(len(crystals.numbers)), crystals.owners))
    return changed(crystals, numbers=crystals.numbers[order])


def _other_density(crystals: Crystals) -> Crystals:
    scale = np.random.default_rng(0).uniform(0.7, 1.5, len(crystals))
    return changed(crystals, lattices=crystals.lattices * scale[:, None, None])


def _other_structure(crystals: Crystals) -> Crystals:
    other = random_crystals(99, len(crystals))
    coords = np.random.default_rng(0).random(crystals.frac_coords.shape)
    return changed(supercells(changed(crystals, lattices=other.lattices, frac_coords=coords), (2, 1, 1)))


def _other_density_and_elements(crystals: Crystals) -> Crystals:
    return _other_density(_renamed_elements(crystals))


DIFFERENT_ONLY_IN_WHAT_IS_REMOVED: dict[str, Change] = {
    "full": lambda crystals: crystals,
    "anonymous": _renamed_elements,
    "species_shuffled": _exchanged_atoms,
    "composition_only": _other_structure,
    "unit_density": _other_density,
    "anonymous+unit_density": _other_density_and_elements,
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


# ---------------------------------------------------------------------- geometry


@pytest.mark.parametrize(
    ("former", "instead"), [("no_chemistry", "anonymous.unit_density"), ("no_density", "unit_density")]
)
def test_former_names_say_what_replaced_them(former: str, instead: str) -> None:
    with pytest.raises(UnknownNameError, match=instead):
        get_view(former)


def test_what_unit_density_keeps() -> None:
    crystals = random_crystals(4)
    scaled = get_view("unit_density")(crystals)
    np.testing.assert_allclose(scaled.volumes / scaled.atom_counts, 20.0)
    assert np.array_equal(scaled.numbers, crystals.numbers)
    shapes = [c.lattices / np.cbrt(c.volumes)[:, None, None] for c in (scaled, crystals)]
    np.testing.assert_allclose(shapes[0], shapes[1], rtol=1e-12)
    assert get_view("full")(crystals) is crystals


def test_perturbed_moves_atoms_by_the_stated_amplitude() -> None:
    crystals = load_task("demo_crystal_system").inputs[:200]
    shown = get_view("perturbed")(crystals)
    moves = shown.cart_coords - crystals.cart_coords
    assert np.sqrt((moves**2).mean()) == pytest.approx(AMPLITUDE, rel=0.1)
    assert np.abs(moves).max() < 6 * AMPLITUDE
    assert np.array_equal(shown.lattices, crystals.lattices)
    assert np.array_equal(shown.numbers, crystals.numbers)


def test_no_periodicity_removes_the_lattice() -> None:
    """The same molecules in other lattices look the same."""
    rng = np.random.default_rng(0)
    places = rng.uniform(-1.5, 1.5, (5, 3))
    numbers = [8, 6, 7, 1, 16]
    view = get_view("no_periodicity")
    shown = []
    for seed in range(4):
        cell = np.diag(rng.uniform(9, 14, 3)) + np.triu(rng.uniform(-1, 1, (3, 3)), 1)
        crystal = rotated(one_crystal(cell, places @ np.linalg.inv(cell), numbers), seed)
        shown.append(view(crystal))
    for other in shown[1:]:
        assert_equal(other, shown[0], 1e-6)


def test_no_periodicity_isolates_the_atoms_of_a_primitive_cell() -> None:
    crystals = demo()
    shown = get_view("no_periodicity")(crystals)
    cells = get_view("primitive")(crystals)
    assert shown.formulas() == cells.formulas()
    for cluster, cell in zip(shown.to_pymatgen(), cells.to_pymatgen(), strict=True):
        places = cluster.lattice.get_cartesian_coords(cluster.frac_coords)
        inside = np.linalg.norm(places[:, None] - places[None], axis=2)
        np.testing.assert_allclose(cluster.distance_matrix.clip(max=VACUUM), inside.clip(max=VACUUM), atol=1e-6)
        assert cluster.lattice.a - inside.max() == pytest.approx(VACUUM)
        if len(cell) > 1:  # distances are those of the crystal
            nearest = min(neighbor.nn_distance for site in cell for neighbor in cell.get_neighbors(site, 6.0))
            assert inside[inside > 1e-6].min() >= nearest - 1e-3


# ---------------------------------------------------------------------- symmetry and cells


def test_supercell_and_primitive_are_inverse() -> None:
    crystals = demo()
    double, single = get_view("supercell")(crystals), get_view("primitive")(crystals)
    assert np.array_equal(double.atom_counts, 2 * crystals.atom_counts)
    for shown in (double, single, get_view("supercell+primitive")(crystals)):
        assert_same_crystals(shown, crystals)
        np.testing.assert_allclose(shown.volumes / shown.atom_counts, crystals.volumes / crystals.atom_counts)
    assert np.array_equal(get_view("supercell+primitive")(crystals).atom_counts, single.atom_counts)
    assert (single.atom_counts <= crystals.atom_counts).all()
    conventional = get_view("primitive")(known_structures()).atom_counts
    assert conventional.tolist() == [1, 2, 5, 2, 4, 6, 9, 8, 12]


def test_symmetrised_restores_symmetry() -> None:
    crystals = known_structures()
    rng = np.random.default_rng(0)
    moved = changed(crystals, frac_coords=crystals.frac_coords + rng.normal(0, 0.002, crystals.frac_coords.shape))
    assert space_groups(moved, 1e-3) != space_groups(crystals, 1e-3)
    shown = get_view("symmetrised")(moved)
    assert space_groups(shown, 1e-5) == space_groups(crystals, 1e-3)
    reduced = [s.composition.reduced_formula for s in crystals.to_pymatgen()]
    assert [s.composition.reduced_formula for s in shown.to_pymatgen()] == reduced


def test_lattice_only_depends_on_the_lattice_alone() -> None:
    view = get_view("lattice_only")
    crystals = demo()
    shown = view(crystals)
    assert shown.atom_counts.tolist() == [1] * len(crystals)
    assert len(set(shown.numbers.tolist())) == 1
    np.testing.assert_allclose(shown.volumes, get_view("primitive")(crystals).volumes)
    assert_equal(view(shown), shown)
    general = random_crystals(0, most_atoms=4)  # no symmetry: other elements and positions leave the lattice
    rng = np.random.default_rng(1)
    other = changed(_other_elements(general), frac_coords=rng.random(general.frac_coords.shape))
    assert_equal(view(other), view(general), 1e-6)


def test_symmetry_only_keeps_space_group_and_numbers_of_atoms() -> None:
    crystals = demo()
    shown = get_view("symmetry_only")(crystals)
    assert space_groups(shown) == space_groups(crystals)
    assert np.array_equal(shown.atom_counts, get_view("primitive")(crystals).atom_counts)
    np.testing.assert_allclose(shown.volumes / shown.atom_counts, 20.0)
    assert_equal(get_view("symmetry_only")(shown), shown, 1e-5)


def test_symmetry_only_removes_elements_lengths_and_free_coordinates() -> None:
    view = get_view("symmetry_only")
    rutile = known_structures()[[5]]
    shown = view(rutile)
    longer = changed(rutile, lattices=rutile.lattices * np.array([1.1, 1.1, 1.3])[None, :, None])
    assert_equal(view(longer), shown, 1e-6)
    assert_equal(view(_renamed_elements(rutile)), shown, 1e-6)
    free = rutile.to_pymatgen()[0]
    coords = [(u, u, 0) for u in (0.29, -0.29)] + [(0.5 + u, 0.5 - u, 0.5) for u in (0.29, -0.29)]
    sites = [(0, 0, 0), (0.5, 0.5, 0.5), *coords]
    other = one_crystal(free.lattice.matrix, sites, [22, 22, 8, 8, 8, 8], str(rutile.ids[0]))
    assert_equal(view(other), shown, 1e-6)


def test_origins_of_a_space_group() -> None:
    """Pm-3m (Hall number 517) has two equivalent origins, P-1 (2) has eight, P1 (1) has no choice that matters."""
    assert [len(_group(hall).origins) for hall in (517, 2, 1)] == [2, 8, 1]


# ---------------------------------------------------------------------- names and composition


def test_composed_views_apply_from_left_to_right() -> None:
    crystals = random_crystals(0)
    both = get_view("anonymous+unit_density")
    assert_equal(both(crystals), get_view("unit_density")(get_view("anonymous")(crystals)))
    assert_equal(both(crystals), get_view("unit_density+anonymous")(crystals))
    assert [part.name for part in both.parts] == ["anonymous", "unit_density"]
    assert "elements" in both.removes
    assert "density" in both.removes
    assert get_view("supercell+composition_only")(crystals).atom_counts.tolist() != (
        get_view("composition_only+supercell")(crystals).atom_counts.tolist()
    )


def test_composed_views_are_found_again_and_can_be_sent_to_another_process() -> None:
    name = "primitive+anonymous+unit_density"
    assert get_view(name) is get_view(name)
    assert pickle.loads(pickle.dumps(get_view(name))) == get_view(name)
    assert compose(get_view("primitive"), get_view("anonymous+unit_density")) == get_view(name)
    assert get_view("full+anonymous") is get_view("anonymous+full") is get_view("anonymous")
    assert get_view("full+full") is get_view("full")
    assert is_registered(name)
    assert not is_registered("primitive+mine")
    with pytest.raises(ConfigError, match="at least one"):
        compose()


def test_the_version_of_a_composed_view_grows_with_every_part() -> None:
    one, two = (View(name, name, lambda c: c, version=version) for name, version in (("one", 1), ("two", 3)))
    assert compose(one, two).version == 3
    assert compose(View("one", "one", lambda c: c, version=2), two).version == 4


@pytest.mark.parametrize("name", ["anonymous+", "+anonymous", "anonymous++unit_density", ""])
def test_empty_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="a name is missing"):
        get_view(name)


@pytest.mark.parametrize("change", [lambda c: c[[1, 0]], lambda c: c[:1]])
def test_a_view_that_changes_rows_is_refused(change: Change) -> None:
    with pytest.raises(ConfigError, match="view 'mine' changes rows or ids"):
        View("mine", "rows", change)(random_crystals(0, 2))


@pytest.mark.parametrize("name", ["../mine", "one+two", ""])
def test_names_of_views_with_special_characters_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="may contain only letters"):
        View(name, "nothing", lambda crystals: crystals)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("anonymos", r"Unknown view 'anonymos'\. Did you mean 'anonymous'"),
        ("anonymous+unit_densty", r"Unknown view 'unit_densty'\. Did you mean 'unit_density'"),
    ],
)
def test_unknown_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        get_view(name)


def test_finding_views_in_files(tmp_path: Path) -> None:
    source = "from crystalbench.data.views import View\nmine = View('mine', 'all', lambda c: c)\nnumber = 3\n"
    for file in (tmp_path / "my_views.py", tmp_path / "my+views.py"):
        file.write_text(source)
        assert get_view(f"{file}:mine").removes == "all"
    place = tmp_path / "my_views.py"
    composed = get_view(f"{place}:mine+unit_density")
    assert composed.name == "mine+unit_density"
    assert composed is get_view(f"{place}:mine+unit_density")
    assert get_view(f"anonymous+{place}:mine").name == "anonymous+mine"
    with pytest.raises(ConfigError, match="is 3, not a crystalbench"):
        get_view(f"{place}:number")


def test_a_composed_view_passes_from_the_command_to_the_leaderboard(tmp_path: Path) -> None:
    name = "anonymous+unit_density"
    words = [
        "run",
        "--suite",
        "demo",
        "--task",
        "demo_formation_energy",
        "--model",
        "dummy",
        "--limit",
        "40",
        "--offline",
    ]
    words += ["--fold", "0", "--fold", "1", "--view", "full", "--view", name, "--results", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    records = sorted(path.name for path in (tmp_path / "records").rglob(f"{name}-fold*.json"))
    assert len(records) == 2
    repeated = CliRunner().invoke(app, words)
    assert "4 of them done" in repeated.output
    results = load_results(tmp_path)
    assert set(results.scores["view"]) == {"full", name}
    comparison = compare(results, f"dummy ({name})", "dummy", task="demo_formation_energy")
    assert comparison.a == f"dummy ({name})"
    assert comparison.mean == 0
    table = pd.read_csv(tmp_path / "leaderboard.csv")
    assert set(table["view"]) == {"full", name}
    assert name in (tmp_path / "leaderboard.md").read_text()
    misspelt = CliRunner().invoke(app, [*words, "--view", "anonymus+unit_density"])
    assert misspelt.exit_code != 0
    assert "'anonymous'" in misspelt.output
