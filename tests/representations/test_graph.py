from __future__ import annotations

import numpy as np
import pytest
from helpers import (
    CRYSTAL_SYSTEMS,
    atom_order,
    cell_from_parameters,
    cell_of,
    changed,
    moved_by_lattice_vectors,
    one_crystal,
    random_crystals,
    reordered,
    repeatable,
    rotated,
    supercells,
    translated,
)
from hypothesis import given
from hypothesis import strategies as st

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations import CrystalGraph

seeds = st.integers(0, 2**32 - 1)


def all_distances(crystals: Crystals, i: int, radius: float) -> list[list[np.ndarray]]:
    """Distances (atom, neighbouring atom) of crystal i to all periodic images within a radius, by brute force."""
    lattice = crystals.lattices[i]
    frac = crystals.frac_coords[crystals.offsets[i] : crystals.offsets[i + 1]]
    frac = frac - np.floor(frac)
    heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)  # between the planes of the cell
    most = (np.ceil(radius / heights) + 1).astype(int)
    images = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), -1).reshape(-1, 3)
    found = []
    for atom in frac:
        row = []
        for other in frac:
            lengths = np.linalg.norm((other - atom + images) @ lattice, axis=1)
            row.append(np.sort(lengths[(lengths > 1e-8) & (lengths <= radius)]))
        found.append(row)
    return found


def check_against_brute_force(crystals: Crystals, k: int = 12) -> None:
    graph = CrystalGraph(neighbors=k)(crystals)
    neighbors, distances = graph.values["neighbors"], graph.values["distances"]
    for i in range(len(crystals)):
        atoms = slice(crystals.offsets[i], crystals.offsets[i + 1])
        expected = all_distances(crystals, i, float(distances[atoms].max()) + 0.01)
        for a, (chosen, lengths) in enumerate(zip(neighbors[atoms], distances[atoms], strict=True)):
            nearest = np.sort(np.concatenate(expected[a]))[:k]
            np.testing.assert_allclose(np.sort(lengths), nearest, atol=1e-5)
            for other in np.unique(chosen):  # each distance belongs to the neighbour in its column
                mine = np.sort(lengths[chosen == other])
                np.testing.assert_allclose(mine, expected[a][other][: len(mine)], atol=1e-5)
        assert np.array_equal(graph.values["numbers"][atoms], crystals.numbers[atoms])


@repeatable(20)
@given(seed=seeds)
def test_random_crystals_of_all_systems_match_brute_force(seed: int) -> None:
    check_against_brute_force(random_crystals(seed, n=7, most_atoms=5))


@pytest.mark.parametrize("system", CRYSTAL_SYSTEMS)
def test_one_atom_cells_match_brute_force(system: str) -> None:
    cell = cell_of(system, np.random.default_rng(7))
    check_against_brute_force(one_crystal(cell, [[0.3, -1.2, 5.9]], 29), k=24)


@pytest.mark.parametrize(
    "cell",
    [
        cell_from_parameters(4, 5, 6, 25, 30, 20),
        cell_from_parameters(3, 4, 5, 115, 120, 118),
        [[3, 0, 0], [30, 3, 0], [-40, 35, 3]],  # a cubic lattice, sheared
        [[2.5, 0, 0], [0, 2.5, 0], [0, 0, 80]],  # a layer in vacuum
        [[60, 0, 0], [0, 60, 0], [0, 0, 2.5]],  # a wire in vacuum
        [[0, 0, 4], [0, 5, 0], [6, 0, 0]],  # left-handed
    ],
)
def test_extreme_cells_match_brute_force(cell: np.ndarray) -> None:
    coords = np.random.default_rng(3).uniform(-3, 3, (3, 3))
    check_against_brute_force(one_crystal(cell, coords, [8, 22, 56]))


def test_sheared_cell_has_the_distances_of_the_plain_one() -> None:
    plain, sheared = np.eye(3) * 3.0, np.array([[3.0, 0, 0], [30, 3, 0], [-39, 36, 3]])
    graphs = [CrystalGraph()(one_crystal(cell, [[0, 0, 0]], 84)).values["distances"] for cell in (plain, sheared)]
    np.testing.assert_allclose(graphs[0], [[3.0] * 6 + [3 * np.sqrt(2)] * 6], atol=1e-6)
    np.testing.assert_allclose(graphs[1], graphs[0], atol=1e-5)


def test_isolated_atom_in_a_huge_cell_keeps_all_its_edges() -> None:
    graph = CrystalGraph()(one_crystal(np.eye(3) * 150.0, [[0.5, 0.5, 0.5]], 54))
    np.testing.assert_allclose(graph.values["distances"], [[150.0] * 6 + [150 * np.sqrt(2)] * 6], rtol=1e-6)
    assert np.array_equal(graph.values["neighbors"], np.zeros((1, 12)))


def test_three_hundred_atoms_match_brute_force() -> None:
    rng = np.random.default_rng(11)
    crystals = one_crystal(cell_from_parameters(15, 16, 17, 80, 95, 100), rng.uniform(-1, 2, (300, 3)), [26] * 300)
    graph = CrystalGraph()(crystals)
    cart = crystals.wrapped().cart_coords
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3) @ crystals.lattices[0]
    lengths = np.linalg.norm(cart[None, :, None] + images - cart[:, None, None], axis=-1).reshape(300, -1)
    nearest = np.sort(lengths, axis=1)[:, 1:13]  # the first is the atom itself
    np.testing.assert_allclose(graph.values["distances"], nearest, atol=1e-5)


@repeatable(15)
@given(seed=seeds, k=st.integers(1, 30))
def test_every_atom_has_k_neighbours_in_ascending_order(seed: int, k: int) -> None:
    crystals = random_crystals(seed, n=5, largest_z=118)
    graph = CrystalGraph(neighbors=k)(crystals)
    assert graph.values["neighbors"].shape == graph.values["distances"].shape == (len(crystals.numbers), k)
    assert (np.diff(graph.values["distances"], axis=1) >= -1.1e-5).all()  # closer than 1e-5 Å is one shell
    assert (graph.values["distances"] > 0).all()
    assert (graph.values["neighbors"] >= 0).all()
    assert (graph.values["neighbors"] < crystals.atom_counts[crystals.owners][:, None]).all()


@repeatable(15)
@given(seed=seeds)
def test_distances_do_not_change_with_the_description_of_a_crystal(seed: int) -> None:
    crystals = random_crystals(seed, n=7, most_atoms=4)
    distances = CrystalGraph()(crystals).values["distances"]
    order = atom_order(crystals, seed)
    for other, expected in (
        (rotated(crystals, seed), distances),
        (translated(crystals, seed), distances),
        (moved_by_lattice_vectors(crystals, seed), distances),
        (reordered(crystals, order), distances[order]),
    ):
        np.testing.assert_allclose(np.sort(CrystalGraph()(other).values["distances"]), np.sort(expected), atol=3e-5)


@repeatable(8)
@given(seed=seeds, times=st.tuples(*[st.integers(1, 3)] * 3))
def test_every_copy_in_a_supercell_has_the_distances_of_the_cell(seed: int, times: tuple[int, int, int]) -> None:
    crystals = random_crystals(seed, n=3, most_atoms=3)
    large = CrystalGraph()(supercells(crystals, times))
    for i in range(len(crystals)):
        small = np.sort(CrystalGraph()(crystals[[i]]).values["distances"])
        copies = np.sort(large[[i]].values["distances"]).reshape(np.prod(times), *small.shape)
        np.testing.assert_allclose(copies, np.broadcast_to(small, copies.shape), atol=3e-5)


# Half of the last two is in the middle between multiples of 1e-5 Å: rounding would split the shell at random.
@pytest.mark.parametrize("edge", [5.6, 5.60001, 5.61237])
def test_a_cut_shell_prefers_light_elements_and_does_not_depend_on_noise(edge: float) -> None:
    # The sites of rock salt, each with a different element: one of the six nearest neighbours is left out.
    coords = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]])
    coords = np.concatenate([coords, [[0.5, 0.5, 0.5]]])
    numbers = np.array([11, 12, 13, 14, 17, 35, 53, 85])  # eight different elements on the sites
    crystals = one_crystal(np.eye(3) * edge, coords, numbers)
    chosen = numbers[CrystalGraph(neighbors=5)(crystals).values["neighbors"]]
    shells = CrystalGraph(neighbors=6)(crystals)
    for a in range(8):
        first_shell = np.sort(numbers[shells.values["neighbors"][a]])
        assert np.allclose(shells.values["distances"][a], edge / 2, atol=1e-5)
        assert np.array_equal(np.sort(chosen[a]), first_shell[:5])
    for seed in range(5):
        other = translated(rotated(crystals, seed), seed)
        assert np.array_equal(numbers[CrystalGraph(neighbors=5)(other).values["neighbors"]], chosen)


def test_the_heaviest_element_is_kept() -> None:
    graph = CrystalGraph()(one_crystal(np.eye(3) * 4, [[0, 0, 0]], 118))
    assert graph.values["numbers"].tolist() == [118]


def test_two_atoms_at_the_same_position_are_not_neighbours() -> None:
    graph = CrystalGraph()(one_crystal(np.eye(3) * 3, [[0, 0, 0], [1, 0, 0]], [3, 9]))
    assert graph.values["distances"].min() == pytest.approx(3.0)


def test_graphs_of_no_crystals() -> None:
    graph = CrystalGraph()(random_crystals(0, 3)[[]])
    assert len(graph) == 0
    assert graph.values["neighbors"].shape == (0, 12)


def test_compositions_are_refused() -> None:
    with pytest.raises(DataError, match="needs crystal structures"):
        CrystalGraph()(Compositions.from_formulas(["NaCl"]))


def test_a_graph_without_neighbours_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one neighbour"):
        CrystalGraph(neighbors=0)


def test_a_failed_search_names_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("crystalbench.representations.neighbors.search.find_points_in_spheres", fails)
    with pytest.raises(DataError, match=r"crystal-0: neighbours within .* Å cannot be found \(no room\)"):
        CrystalGraph()(random_crystals(0, 2))


def test_inputs_are_not_changed() -> None:
    crystals = random_crystals(5)
    before = changed(crystals, frac_coords=crystals.frac_coords.copy(), lattices=crystals.lattices.copy()).digest
    CrystalGraph()(crystals)
    assert changed(crystals).digest == before
