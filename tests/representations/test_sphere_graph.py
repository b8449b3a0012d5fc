from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from helpers import (
    CRYSTAL_SYSTEMS,
    atom_order,
    cell_from_parameters,
    cell_of,
    moved_by_lattice_vectors,
    one_crystal,
    random_crystals,
    read_only,
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
from crystalbench.representations import CRYSTAL, Arrays, SphereGraph

seeds = st.integers(0, 2**32 - 1)


def edges_of(graph: Arrays, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sources, neighbours and distances of crystal i."""
    rows = slice(graph.offsets["edge"][i], graph.offsets["edge"][i + 1])
    return tuple(graph.values[name][rows] for name in ("sources", "neighbors", "distances"))  # type: ignore[return-value]


def neighborhoods(graph: Arrays, i: int) -> list[list[tuple[int, float]]]:
    """For each atom of crystal i, its sorted pairs of the neighbour's atomic number and a distance to 1e-4 Å."""
    numbers = graph.values["numbers"][graph.offsets["atom"][i] : graph.offsets["atom"][i + 1]]
    sources, neighbors, distances = edges_of(graph, i)
    found: list[list[tuple[int, float]]] = [[] for _ in numbers]
    for source, neighbor, distance in zip(sources, neighbors, distances, strict=True):
        found[source].append((int(numbers[neighbor]), float(distance)))
    return [sorted(row) for row in found]


def check_equal(one: list[list[tuple[int, float]]], other: list[list[tuple[int, float]]]) -> None:
    assert [[z for z, _ in row] for row in one] == [[z for z, _ in row] for row in other]
    for row, same in zip(one, other, strict=True):
        np.testing.assert_allclose([d for _, d in row], [d for _, d in same], atol=2e-6)


def check_against_pymatgen(crystals: Crystals, cutoff: float) -> None:
    """Where every atom has neighbours within the cutoff, the edges are those of `get_all_neighbors`."""
    graph = SphereGraph(cutoff=cutoff)(crystals)
    for i in range(len(crystals)):
        mine: list[list[tuple[int, float]]] = [[] for _ in range(crystals.atom_counts[i])]
        for source, neighbor, distance in zip(*edges_of(graph, i), strict=True):
            mine[source].append((int(neighbor), float(distance)))
        theirs = [[(n.index, n.nn_distance) for n in row] for row in crystals.structure(i).get_all_neighbors(cutoff)]
        assert all(theirs)
        for row, expected in zip(mine, theirs, strict=True):
            row, expected = sorted(row), sorted(expected)
            assert [k for k, _ in row] == [k for k, _ in expected]
            np.testing.assert_allclose([d for _, d in row], [d for _, d in expected], atol=1e-6)


# ---------------------------------------------------------------------- the definition


@repeatable(15)
@given(seed=seeds)
def test_random_crystals_of_all_systems_match_pymatgen(seed: int) -> None:
    check_against_pymatgen(random_crystals(seed, n=7, most_atoms=5), cutoff=8.0)


@pytest.mark.parametrize("system", CRYSTAL_SYSTEMS)
def test_one_atom_cells_match_pymatgen(system: str) -> None:
    check_against_pymatgen(one_crystal(cell_of(system, np.random.default_rng(7)), [[0.3, -1.2, 5.9]], 29), cutoff=9.0)


@pytest.mark.parametrize(
    "cell",
    [
        cell_from_parameters(4, 5, 6, 25, 30, 20),
        [[3, 0, 0], [30, 3, 0], [-40, 35, 3]],  # a cubic lattice, sheared
        [[2.5, 0, 0], [0, 2.5, 0], [0, 0, 80]],  # a layer in vacuum
        [[60, 0, 0], [0, 60, 0], [0, 0, 2.5]],  # a wire in vacuum
        [[0, 0, 4], [0, 5, 0], [6, 0, 0]],  # left-handed
    ],
)
def test_extreme_cells_match_pymatgen(cell: np.ndarray) -> None:
    coords = np.random.default_rng(3).uniform(0, 1, (3, 3))
    check_against_pymatgen(one_crystal(cell, coords, [8, 22, 56]), cutoff=6.0)


def test_two_hundred_atoms_match_pymatgen() -> None:
    rng = np.random.default_rng(11)
    cell = cell_from_parameters(13, 14, 15, 80, 95, 100)
    check_against_pymatgen(one_crystal(cell, rng.random((200, 3)), [26] * 200), cutoff=5.0)


def test_rock_salt_has_the_shells_of_the_textbook() -> None:
    coords = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5], [0.5] * 3]
    graph = SphereGraph(cutoff=5.0)(one_crystal(np.eye(3) * 5.64, coords, [11] * 4 + [17] * 4))
    for source, row in enumerate(neighborhoods(graph, 0)):
        own, other = (11, 17) if source < 4 else (17, 11)
        shells = [(other, 2.82)] * 6 + [(own, 2.82 * 2**0.5)] * 12 + [(other, 2.82 * 3**0.5)] * 8
        check_equal([row], [sorted(shells)])


def test_arrays_are_laid_out_as_described() -> None:
    crystals = read_only(random_crystals(3, 9))
    graph = SphereGraph(cutoff=6.0)(crystals)
    assert {name: (layout.level, layout.points_to) for name, layout in graph.layouts.items()} == {
        "numbers": ("atom", None),
        "sources": ("edge", "atom"),
        "neighbors": ("edge", "atom"),
        "distances": ("edge", None),
    }
    assert [graph.values[name].dtype for name in graph.layouts] == [np.uint8, np.int32, np.int32, np.float32]
    assert np.array_equal(graph.values["numbers"], crystals.numbers)
    assert CRYSTAL not in graph.offsets
    for i in range(len(crystals)):
        sources, neighbors, distances = edges_of(graph, i)
        assert np.array_equal(np.lexsort((distances, sources)), np.arange(len(sources)))
        assert np.array_equal(np.unique(sources), np.arange(crystals.atom_counts[i]))  # each atom has edges
        assert neighbors.min() >= 0
        assert neighbors.max() < crystals.atom_counts[i]


@repeatable(10)
@given(seed=seeds)
def test_every_edge_has_its_reverse(seed: int) -> None:
    crystals = random_crystals(seed, n=7, most_atoms=4)
    graph = SphereGraph(cutoff=7.5)(crystals)
    for i in range(len(crystals)):
        sources, neighbors, distances = edges_of(graph, i)
        there, back = np.lexsort((distances, neighbors, sources)), np.lexsort((distances, sources, neighbors))
        assert np.array_equal(sources[there], neighbors[back])
        assert np.array_equal(neighbors[there], sources[back])
        np.testing.assert_allclose(distances[there], distances[back], atol=2e-6)


# ---------------------------------------------------------------------- invariance


@pytest.mark.parametrize("change", [translated, moved_by_lattice_vectors, rotated])
@pytest.mark.parametrize("seed", range(4))
def test_edges_do_not_depend_on_the_description(change: Callable[[Crystals, int], Crystals], seed: int) -> None:
    crystals = random_crystals(seed, 14)
    one, other = SphereGraph()(crystals), SphereGraph()(change(crystals, seed))
    for i in range(len(crystals)):
        check_equal(neighborhoods(one, i), neighborhoods(other, i))


@pytest.mark.parametrize("seed", range(4))
def test_atoms_may_come_in_any_order(seed: int) -> None:
    crystals = random_crystals(seed, 14)
    order = atom_order(crystals, seed)
    one, other = SphereGraph()(crystals), SphereGraph()(reordered(crystals, order))
    for i in range(len(crystals)):
        start, end = crystals.offsets[i], crystals.offsets[i + 1]
        rows = neighborhoods(one, i)
        check_equal([rows[k - start] for k in order[start:end]], neighborhoods(other, i))


@pytest.mark.parametrize("times", [(2, 1, 1), (1, 2, 3), (2, 2, 2)])
def test_supercells_repeat_the_edges(times: tuple[int, int, int]) -> None:
    crystals = random_crystals(5, 14, most_atoms=4)
    one, many = SphereGraph()(crystals), SphereGraph()(supercells(crystals, times))
    for i in range(len(crystals)):
        check_equal(neighborhoods(one, i) * int(np.prod(times)), neighborhoods(many, i))


@pytest.mark.parametrize("seed", range(10))
def test_a_shell_on_the_cutoff_is_not_divided_by_round_off(seed: int) -> None:
    cubic = one_crystal(np.eye(3) * 5.0, [[0, 0, 0]], 84)
    turned = translated(rotated(cubic, seed), seed)
    graph = SphereGraph(cutoff=5.0)(turned)
    np.testing.assert_allclose(graph.values["distances"], [5.0] * 6, atol=1e-6)
    body_centred = one_crystal(np.eye(3) * 5.0, [[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17])
    graph = SphereGraph(cutoff=5.0)(translated(rotated(body_centred, seed), seed))
    assert graph.offsets["edge"].tolist() == [0, 2 * (8 + 6)]


def test_a_shell_on_the_cutoff_is_not_divided_by_the_digits_of_a_file() -> None:
    graph = SphereGraph(cutoff=5.0)(one_crystal(np.diag([5 - 4e-6, 5.0, 5 + 4e-6]), [[0, 0, 0]], 84))
    assert graph.offsets["edge"].tolist() == [0, 6]
    graph = SphereGraph(cutoff=5.0)(one_crystal(np.diag([4.9, 4.9, 5 + 1e-4]), [[0, 0, 0]], 84))
    assert graph.offsets["edge"].tolist() == [0, 4]


# ---------------------------------------------------------------------- no atom is left out


def test_an_isolated_atom_has_its_first_shell() -> None:
    graph = SphereGraph()(one_crystal(np.eye(3) * 150.0, [[0.5, 0.5, 0.5]], 54))
    np.testing.assert_allclose(graph.values["distances"], [150.0] * 6, rtol=1e-6)
    assert np.array_equal(graph.values["neighbors"], np.zeros(6))


def test_only_isolated_atoms_have_long_edges() -> None:
    # Two atoms close to each other, one far away whose nearest ones are the copies of itself in two directions.
    coords = [[0, 0, 0], [0.1, 0, 0], [0.5, 0, 0]]
    graph = SphereGraph()(one_crystal(np.diag([40.0, 9.0, 9.0]), coords, [6, 8, 79]))
    assert neighborhoods(graph, 0)[:2] == [[(8, 4.0)], [(6, 4.0)]]
    check_equal(neighborhoods(graph, 0)[2:], [[(79, 9.0)] * 4])


def test_isolated_atoms_of_one_crystal_find_shells_at_different_distances() -> None:
    coords = [[0, 0, 0], [0.05, 0, 0], [0.5, 0, 0]]  # 6 Å apart; then 54 and 60 Å
    graph = SphereGraph()(one_crystal(np.diag([120.0, 200.0, 200.0]), coords, [2, 10, 18]))
    check_equal(neighborhoods(graph, 0), [[(10, 6.0)], [(2, 6.0)], [(10, 54.0)]])


@pytest.mark.parametrize("seed", range(10))
def test_the_first_shell_of_an_isolated_atom_is_complete(seed: int) -> None:
    crystals = one_crystal(np.eye(3) * 6.1, [[0, 0, 0], [0.5, 0.5, 0.5]], [54, 36])
    graph = SphereGraph(cutoff=5.0)(translated(rotated(crystals, seed), seed))
    check_equal(neighborhoods(graph, 0), [[(36, 6.1 * 0.75**0.5)] * 8, [(54, 6.1 * 0.75**0.5)] * 8])


@pytest.mark.parametrize("power", range(1, 6))
def test_a_shell_on_the_surface_of_a_growing_sphere_is_complete(power: int) -> None:
    radius = 5.0 * 1.25**power
    graph = SphereGraph(cutoff=5.0)(one_crystal(np.diag([radius - 4e-6, radius, radius + 4e-6]), [[0, 0, 0]], 54))
    np.testing.assert_allclose(graph.values["distances"], [radius] * 6, atol=1e-5)


def test_two_atoms_at_the_same_position_are_not_neighbours() -> None:
    graph = SphereGraph()(one_crystal(np.eye(3) * 3, [[0, 0, 0], [1, 0, 0]], [3, 9]))
    assert graph.values["distances"].min() == pytest.approx(3.0)


# ---------------------------------------------------------------------- empty, independent and invalid inputs


def test_selection_of_no_crystals_gives_empty_arrays() -> None:
    graph = SphereGraph()(random_crystals(0, 3)[[]])
    assert len(graph) == 0
    assert graph.values["distances"].shape == graph.values["sources"].shape == (0,)


def test_rows_do_not_depend_on_each_other() -> None:
    crystals = random_crystals(8, 9)
    together, alone = SphereGraph()(crystals), SphereGraph()(crystals[[6]])
    for one, other in zip(edges_of(together, 6), edges_of(alone, 0), strict=True):
        assert np.array_equal(one, other)


def test_compositions_are_refused() -> None:
    with pytest.raises(DataError, match="a sphere graph needs crystal structures"):
        SphereGraph()(Compositions.from_formulas(["NaCl"]))


@pytest.mark.parametrize("cutoff", [0.0, -1.0, np.inf, np.nan])
def test_a_cutoff_must_be_a_positive_number(cutoff: float) -> None:
    with pytest.raises(ConfigError, match=r"cutoff = .*needs a positive cutoff"):
        SphereGraph(cutoff=cutoff)


def test_a_failed_search_names_the_crystal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("crystalbench.representations.neighbors.search.find_points_in_spheres", fails)
    with pytest.raises(DataError, match="crystal-0: neighbours within 5 Å cannot be found"):
        SphereGraph()(random_crystals(0, 2))
