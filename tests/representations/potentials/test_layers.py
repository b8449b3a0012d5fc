"""Layers are found by bonds, and their binding is that of the springs between them."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from toys import STIFFNESS, Springs

from crystalbench.data.views.rows import OneCrystal
from crystalbench.representations.potentials.layers import GAPS, LAYER_LABELS, find_layers, layer_columns


def cell_of(structure: Structure) -> OneCrystal:
    numbers = np.array([site.specie.Z for site in structure], dtype=np.uint8)
    return OneCrystal(np.array(structure.lattice.matrix), structure.frac_coords, numbers)


GRAPHITE = Structure.from_spacegroup(
    "P6_3/mmc", Lattice.hexagonal(2.46, 6.71), ["C", "C"], [(0, 0, 0.25), (1 / 3, 2 / 3, 0.25)]
)
SHEET = Structure(Lattice.hexagonal(2.46, 20), ["C", "C"], [(1 / 3, 2 / 3, 0.99), (2 / 3, 1 / 3, 0.01)])
HALITE = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)])
NITROGEN = Structure(Lattice.cubic(6), ["N", "N"], [(0, 0, 0), (0.18, 0, 0)])
CHAIN = Structure(Lattice.orthorhombic(1.3, 8, 8), ["C"], [(0, 0, 0)])


def test_the_layers_of_graphite_are_found() -> None:
    layers = find_layers(cell_of(GRAPHITE))
    assert layers is not None
    assert sorted(map(len, layers.atoms)) == [2, 2]
    assert layers.area == pytest.approx(2.46**2 * np.sqrt(3) / 2)
    np.testing.assert_allclose(np.abs(layers.normal), [0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(layers.thicknesses, 0, atol=1e-9)


def test_a_layer_across_the_boundary_of_the_cell_is_one_piece() -> None:
    layers = find_layers(cell_of(SHEET))
    assert layers is not None
    np.testing.assert_allclose(layers.thicknesses, [0.4])


def test_the_plane_need_not_be_spanned_by_vectors_of_the_cell() -> None:
    lattice = Lattice(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1]]) @ GRAPHITE.lattice.matrix)
    sheared = Structure(lattice, GRAPHITE.species, GRAPHITE.cart_coords, coords_are_cartesian=True)
    layers = find_layers(cell_of(sheared))
    assert layers is not None
    assert layers.area == pytest.approx(2.46**2 * np.sqrt(3) / 2)


@pytest.mark.parametrize("structure", [HALITE, CHAIN, NITROGEN], ids=["halite", "chain", "nitrogen"])
def test_other_crystals_have_no_layers(structure: Structure) -> None:
    assert find_layers(cell_of(structure)) is None
    assert np.isnan(layer_columns(Springs(), cell_of(structure))).all()


def test_binding_is_the_energy_of_the_springs_between_layers() -> None:
    """Square sheets above each other: one spring per atom and gap."""
    edge = 2.4
    coords, numbers = np.array([[0, 0, 0], [0, 0, 0.5]]), np.array([50, 50], dtype=np.uint8)
    cell = OneCrystal(np.diag([edge, edge, 9.0]), coords, numbers)
    columns = dict(zip(LAYER_LABELS, layer_columns(Springs(), cell), strict=True))
    assert columns["number of layers"] == 2
    assert columns["given gap"] == pytest.approx(4.5)
    assert columns["given binding per atom"] == pytest.approx(0, abs=1e-9)
    # At 2.5 Å the spring between sheets is at rest. Other shifts and gaps are longer than the springs reach.
    assert columns["area per atom"] == pytest.approx(edge**2)
    assert columns["thickness of a layer"] == 0
    np.testing.assert_allclose([columns[f"binding per atom at a gap of {g} Å"] for g in GAPS], 0, atol=1e-6)


def test_a_given_stack_is_compared_with_its_layers() -> None:
    class Longer(Springs):
        reach = 3.3

    # Bromine: bonds up to 3 Å.
    cell = OneCrystal(np.diag([2.5, 2.5, 3.2]), np.zeros((1, 3)), np.array([35], dtype=np.uint8))
    columns = dict(zip(LAYER_LABELS, layer_columns(Longer(), cell), strict=True))
    stretched = STIFFNESS / 2 * 0.7**2
    assert columns["given gap"] == pytest.approx(3.2)
    assert columns["given binding per atom"] == pytest.approx(-1000 * stretched)
    assert columns["given binding per area"] == pytest.approx(-1000 * stretched / 2.5**2)
    assert columns["binding of the best stack per atom"] == pytest.approx(0, abs=1e-6)
    assert columns["gap of the best stack"] == 2.5
