"""What single views keep and remove: densities, displacements, lattices, symmetry and cells."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import (
    changed,
    known_structures,
    random_crystals,
    rotated,
)
from view_checks import (
    assert_equal,
    assert_same_crystals,
    demo,
    other_elements,
    renamed_elements,
    space_groups,
)

from crystalbench import load_task
from crystalbench.data.views import get_view
from crystalbench.data.views.geometry import AMPLITUDE, VACUUM
from crystalbench.data.views.wyckoff import _group
from crystalbench.errors import UnknownNameError
from crystalbench.testing.crystals import one_crystal

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
    other = changed(other_elements(general), frac_coords=rng.random(general.frac_coords.shape))
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
    assert_equal(view(renamed_elements(rutile)), shown, 1e-6)
    free = rutile.to_pymatgen()[0]
    coords = [(u, u, 0) for u in (0.29, -0.29)] + [(0.5 + u, 0.5 - u, 0.5) for u in (0.29, -0.29)]
    sites = [(0, 0, 0), (0.5, 0.5, 0.5), *coords]
    other = one_crystal(free.lattice.matrix, sites, [22, 22, 8, 8, 8, 8], str(rutile.ids[0]))
    assert_equal(view(other), shown, 1e-6)


def test_origins_of_a_space_group() -> None:
    """Pm-3m (Hall number 517) has two equivalent origins, P-1 (2) has eight, P1 (1) has no choice that matters."""
    assert [len(_group(hall).origins) for hall in (517, 2, 1)] == [2, 8, 1]
