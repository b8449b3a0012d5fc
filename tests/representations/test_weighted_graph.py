"""Weighted graphs: complete, of total weight k, and continuous."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import (
    atom_order,
    changed,
    isolated_atom,
    known_structures,
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
from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations import Arrays, CrystalGraph, SphereGraph, WeightedGraph, weighted_graph
from crystalbench.representations.neighbors.weights import shared_weights
from crystalbench.testing.crystals import other_cells

seeds = st.integers(0, 2**32 - 1)
FCC = one_crystal(np.eye(3) * 3.61, [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], [29] * 4)
BCC = one_crystal(np.eye(3) * 2.87, [[0, 0, 0], [0.5, 0.5, 0.5]], [26] * 2)
HALITE = known_structures()[[1]]


def _sources(graph: Arrays) -> np.ndarray:
    """(edges,) sources, counted over all crystals."""
    return graph.values["sources"] + np.repeat(graph.offsets["atom"][:-1], np.diff(graph.offsets["edge"]))


def _moments(graph: Arrays) -> np.ndarray:
    """(atoms, 4) weighted sums over neighbours of smooth functions of their distances and elements."""
    values, starts = graph.values, np.repeat(graph.offsets["atom"][:-1], np.diff(graph.offsets["edge"]))
    numbers, d = values["numbers"][values["neighbors"] + starts], values["distances"].astype(float)
    terms = np.stack([np.ones(len(d)), d, np.cos(2 * d), numbers / 50 * np.sin(d)], axis=1)
    found = np.zeros((len(values["numbers"]), 4))
    np.add.at(found, _sources(graph), terms * values["weights"][:, None])
    return found


@pytest.mark.parametrize(
    ("crystals", "expected"),
    [
        (FCC, {3.61 / 2**0.5: [1.0] * 12}),
        (BCC, {2.87 * 0.75**0.5: [1.0] * 8, 2.87: [4 / 6] * 6}),
        (HALITE, {2.82: [1.0] * 6, 2.82 * 2**0.5: [0.5] * 12}),
    ],
    ids=["fcc", "bcc", "rock salt"],
)
def test_a_shell_that_does_not_fit_shares_what_is_left(crystals: Crystals, expected: dict[float, list[float]]) -> None:
    graph = WeightedGraph()(crystals).values
    for atom in range(len(crystals.numbers)):
        rows = graph["sources"] == atom
        distances = np.repeat(list(expected), [len(weights) for weights in expected.values()])
        np.testing.assert_allclose(graph["distances"][rows], distances, rtol=1e-6)
        np.testing.assert_allclose(graph["weights"][rows], np.concatenate(list(expected.values())), rtol=1e-6)


def test_without_cut_shells_it_is_the_crystal_graph() -> None:
    plain, graph = CrystalGraph()(FCC).values, WeightedGraph()(FCC).values
    assert np.array_equal(np.sort(graph["neighbors"].reshape(4, 12)), np.sort(plain["neighbors"]))
    assert (graph["weights"] == 1).all()


@repeatable(15)
@given(seed=seeds, k=st.integers(1, 20), softening=st.floats(0.01, 1.0))
def test_weights_sum_to_k_and_equal_the_definition_for_all_neighbours(seed: int, k: int, softening: float) -> None:
    crystals = concatenate([random_crystals(seed, 5), known_structures()])
    graph = WeightedGraph(k, softening)(crystals)
    sources, weights = _sources(graph), graph.values["weights"]
    np.testing.assert_allclose(np.bincount(sources, weights), k, rtol=1e-5)
    assert (weights >= 0).all()
    assert (weights <= 1).all()
    reach = float(graph.values["distances"].max()) + 1.0
    sphere = SphereGraph(cutoff=reach)(crystals)
    for atom in range(len(crystals.numbers)):
        mine, around = sources == atom, sphere.values["distances"][_sources(sphere) == atom].astype(float)
        expected = shared_weights(np.sort(around)[None], k, softening)[0]
        # Weights of the farthest neighbours may be lost to rounding.
        found = np.zeros_like(expected)
        found[: mine.sum()] = weights[mine]
        np.testing.assert_allclose(found, expected, atol=2e-4)


@repeatable(10)
@given(seed=seeds)
def test_the_description_of_a_crystal_does_not_matter(seed: int) -> None:
    crystals = concatenate([random_crystals(seed, 5), known_structures()])
    graph, order = WeightedGraph(), atom_order(crystals, seed)
    expected = _moments(graph(crystals))
    for other in (rotated(crystals, seed), translated(crystals, seed), other_cells(crystals, seed)):
        np.testing.assert_allclose(_moments(graph(other)), expected, atol=1e-4)
    np.testing.assert_allclose(_moments(graph(reordered(crystals, order))), expected[order], atol=1e-4)


def test_every_copy_in_a_supercell_has_the_neighbours_of_the_cell() -> None:
    crystals = known_structures()
    for i in range(len(crystals)):
        one = _moments(WeightedGraph()(crystals[[i]]))
        many = _moments(WeightedGraph()(supercells(crystals[[i]], (2, 1, 3))))
        np.testing.assert_allclose(np.unique(many.round(3), axis=0), np.unique(one.round(3), axis=0), atol=2e-3)


@pytest.mark.parametrize("size", [1e-3, 1e-4, 1e-5])
def test_sums_over_neighbours_are_continuous(size: float) -> None:
    """Displaced atoms of complete shells change sums by a multiple of the displacement."""
    crystals = supercells(concatenate([FCC, BCC, known_structures()]), (2, 2, 1))
    noise = np.random.default_rng(0).uniform(-size, size, (len(crystals.numbers), 3))
    inverse = np.linalg.inv(crystals.lattices)[crystals.owners]
    moved = changed(crystals, frac_coords=crystals.frac_coords + np.einsum("ai,aij->aj", noise, inverse))
    change = np.abs(_moments(WeightedGraph()(moved)) - _moments(WeightedGraph()(crystals))).max(1)
    assert change.max() < 150 * size + 1e-5


def test_an_isolated_atom_has_neighbours() -> None:
    graph = WeightedGraph()(isolated_atom(150.0)).values
    np.testing.assert_allclose(graph["distances"], [150.0] * 6 + [150 * 2**0.5] * 12, rtol=1e-6)
    np.testing.assert_allclose(graph["weights"], [1.0] * 6 + [0.5] * 12, rtol=1e-6)


def test_atoms_at_the_same_position_are_not_neighbours() -> None:
    graph = WeightedGraph()(one_crystal(np.eye(3) * 3, [[0, 0, 0], [1, 0, 0]], [3, 9]))
    assert graph.values["distances"].min() == pytest.approx(3.0)


def test_neither_other_crystals_nor_the_size_of_chunks_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = concatenate([random_crystals(0, 9), known_structures(), isolated_atom(60.0)])
    together = WeightedGraph()(crystals)
    monkeypatch.setattr(weighted_graph, "_CHUNK", 2)
    for other in (WeightedGraph()(crystals), Arrays.concatenated([WeightedGraph()(crystals[[i]]) for i in range(19)])):
        for name, array in together.values.items():
            np.testing.assert_allclose(other.values[name], array, rtol=1e-6, err_msg=name)


def test_no_crystals() -> None:
    graph = WeightedGraph()(random_crystals(0, 3)[[]])
    assert len(graph) == len(graph.values["weights"]) == 0


def test_options_and_inputs_are_checked() -> None:
    with pytest.raises(ConfigError, match="at least one neighbour"):
        WeightedGraph(neighbors=0)
    with pytest.raises(ConfigError, match="softening = 0"):
        WeightedGraph(softening=0)
    with pytest.raises(DataError, match="needs crystal structures"):
        WeightedGraph()(Compositions.from_formulas(["NaCl"]))
    assert WeightedGraph(softening=0.2).key != WeightedGraph().key


def test_a_failed_search_names_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("crystalbench.representations.neighbors.search.find_points_in_spheres", fails)
    with pytest.raises(DataError, match="crystal-0: neighbours within"):
        WeightedGraph()(random_crystals(0, 2))
