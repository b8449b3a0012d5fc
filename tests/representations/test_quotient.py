"""Quotient graphs: complete, exact, and as small as symmetry allows."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import changed, known_structures, one_crystal, random_crystals, reordered, rotated, supercells
from hypothesis import given
from hypothesis import strategies as st

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations import Arrays, CrystalGraph, QuotientGraph, SphereGraph, WeightedGraph, quotient
from crystalbench.testing.crystals import atom_order

GRAPHS = [CrystalGraph(), CrystalGraph(neighbors=5), SphereGraph(cutoff=4.0)]


def _crystals(seed: int = 0) -> Crystals:
    return concatenate([known_structures(), random_crystals(seed, 14), supercells(random_crystals(seed, 2), (2, 1, 1))])


def _edges(full: Arrays, i: int) -> list[tuple[int, int, float]]:
    """Source, neighbour and distance of all edges of a crystal's full graph."""
    part = full[[i]]
    neighbors, distances = part.values["neighbors"], part.values["distances"]
    sources = part.values.get("sources", np.repeat(np.arange(len(neighbors)), neighbors[0].size))
    return list(zip(sources.tolist(), neighbors.ravel().tolist(), distances.ravel().tolist(), strict=True))


def _neighborhoods(graph: Arrays, i: int, depth: int) -> list[tuple]:
    """Neighbourhoods of all atoms of a crystal to a depth: the element, and sorted (shell, that of the neighbour)."""
    part = graph[[i]].values
    known = [(int(z),) for z in part["numbers"]]
    for _ in range(depth):
        around: list[list] = [[] for _ in known]
        rows = zip(part["sources"], part["neighbors"], part["shells"], part["counts"], strict=True)
        for source, neighbor, shell, count in rows:
            around[source] += [(int(shell), known[neighbor])] * int(count)
        known = [(atom[0], tuple(sorted(ring))) for atom, ring in zip(known, around, strict=True)]
    return sorted(atom for atom, times in zip(known, part["multiplicities"], strict=True) for _ in range(times))


@pytest.mark.parametrize("graph", GRAPHS, ids=repr)
def test_neighbourhoods_in_the_quotient_equal_those_in_the_full_graph(graph: CrystalGraph | SphereGraph) -> None:
    crystals = _crystals()
    small, full = QuotientGraph(graph)(crystals), QuotientGraph(graph, merged=False)(crystals)
    for i in range(len(crystals)):
        assert _neighborhoods(small, i, 3) == _neighborhoods(full, i, 3)


@pytest.mark.parametrize("graph", GRAPHS, ids=repr)
def test_an_unmerged_graph_is_the_full_graph(graph: CrystalGraph | SphereGraph) -> None:
    crystals = _crystals()
    unmerged, full = QuotientGraph(graph, merged=False)(crystals), graph(crystals)
    assert np.array_equal(unmerged.values["numbers"], crystals.numbers)
    assert (unmerged.values["multiplicities"] == 1).all()
    for i in range(len(crystals)):
        part = unmerged[[i]].values
        rows = np.repeat(np.arange(len(part["counts"])), part["counts"])
        found = sorted(zip(part["sources"][rows].tolist(), part["neighbors"][rows].tolist(), strict=True))
        expected = sorted(_edges(full, i))
        assert found == [edge[:2] for edge in expected]
        distances = sorted(part["distances"][part["shells"][rows]])
        np.testing.assert_allclose(distances, sorted(edge[2] for edge in expected), atol=1e-5)


@given(seed=st.integers(0, 1000), k=st.integers(1, 15))
def test_multiplicities_and_counts_add_up_to_the_full_graph(seed: int, k: int) -> None:
    crystals = random_crystals(seed, 7)
    graph = QuotientGraph(CrystalGraph(neighbors=k))(crystals)
    sites = np.repeat(np.arange(7), np.diff(graph.offsets["site"]))
    assert np.array_equal(np.bincount(sites, graph.values["multiplicities"]), crystals.atom_counts)
    starts = graph.offsets["site"][np.repeat(np.arange(7), np.diff(graph.offsets["edge"]))]
    assert (np.bincount(starts + graph.values["sources"], graph.values["counts"]) == k).all()
    for i in range(7):
        part = graph[[i]].values
        assert sorted(np.repeat(part["numbers"], part["multiplicities"])) == sorted(crystals[[i]].numbers)
        assert (np.diff(part["sources"]) >= 0).all()
        assert (np.diff(part["distances"]) > 1e-5).all()
        assert set(part["shells"]) == set(range(len(part["distances"])))


def test_known_crystals() -> None:
    names = list(known_structures().ids)
    graph = QuotientGraph(SphereGraph(cutoff=3.0))(known_structures())
    sites = dict(zip(names, np.diff(graph.offsets["site"]), strict=True))
    # As many as orbits of the space group, whose atoms no distance can distinguish.
    assert sites == {
        "copper": 1, "halite": 2, "perovskite": 3, "zinc": 1, "wurtzite": 2, "rutile": 2, "quartz": 2, "boride": 2,
        "zirconia": 3,
    }  # fmt: skip
    halite = graph[[names.index("halite")]].values
    assert halite["multiplicities"].tolist() == [4, 4]
    assert halite["sources"].tolist() == [0, 1]
    assert halite["neighbors"].tolist() == [1, 0]
    assert halite["counts"].tolist() == [6, 6]
    np.testing.assert_allclose(halite["distances"], [2.82], rtol=1e-6)


@pytest.mark.parametrize("graph", [SphereGraph(cutoff=4.0), SphereGraph(cutoff=2.0), WeightedGraph()], ids=repr)
def test_supercells_have_the_same_sites(graph: SphereGraph | WeightedGraph) -> None:
    crystals = concatenate([known_structures(), random_crystals(3, 7)])
    small, large = (QuotientGraph(graph)(c) for c in (crystals, supercells(crystals, (1, 2, 2))))
    assert np.array_equal(small.offsets["site"], large.offsets["site"])
    assert np.array_equal(4 * small.values["multiplicities"], large.values["multiplicities"])
    np.testing.assert_allclose(small.values["counts"], large.values["counts"], atol=1e-5)


def test_counts_of_a_weighted_graph_are_sums_of_weights() -> None:
    crystals = _crystals()
    graph = QuotientGraph(WeightedGraph(neighbors=12))(crystals)
    starts = graph.offsets["site"][np.repeat(np.arange(len(crystals)), np.diff(graph.offsets["edge"]))]
    np.testing.assert_allclose(np.bincount(starts + graph.values["sources"], graph.values["counts"]), 12, rtol=1e-6)
    halite = graph[[1]].values
    assert halite["neighbors"].tolist() == [1, 0, 0, 1]
    np.testing.assert_allclose(halite["counts"], [6, 6, 6, 6], rtol=1e-6)  # the second shell has 12 atoms, half each


def test_graphs_depend_neither_on_orientation_nor_on_the_order_of_atoms() -> None:
    crystals = _crystals(1)
    graph = QuotientGraph(SphereGraph(cutoff=4.0))
    one = graph(crystals)
    for other in (graph(rotated(crystals)), graph(reordered(crystals, atom_order(crystals)))):
        for i in range(len(crystals)):
            assert _neighborhoods(one, i, 2) == _neighborhoods(other, i, 2)


def test_without_elements_more_atoms_are_equal() -> None:
    halite = known_structures()[[1]]
    graph = QuotientGraph(SphereGraph(cutoff=3.0))
    alike = changed(halite, numbers=np.full_like(halite.numbers, 6))
    assert len(graph(alike).values["numbers"]) == 1


def test_tolerance() -> None:
    crystal = one_crystal(np.diag([4.0, 4.0, 4.0]), [[0, 0, 0], [0.5 + 1e-4, 0, 0]], [1, 1])  # 4e-4 Å off the middle
    assert len(QuotientGraph(tolerance=1e-5)(crystal).values["numbers"]) == 1  # equal neighbourhoods
    shells = [
        len(QuotientGraph(CrystalGraph(neighbors=2), tolerance=t)(crystal).values["distances"]) for t in (1e-5, 1e-3)
    ]
    assert shells == [2, 1]
    mean = QuotientGraph(CrystalGraph(neighbors=2), tolerance=1e-3)(crystal).values["distances"]
    np.testing.assert_allclose(mean, [2.0], rtol=1e-6)


def test_the_size_of_chunks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = _crystals()
    full = QuotientGraph()(crystals)
    monkeypatch.setattr(quotient, "_CHUNK", 2)
    chunks = QuotientGraph()(crystals)
    for name, array in full.values.items():
        assert np.array_equal(array, chunks.values[name]), name


def test_no_crystals() -> None:
    graph = QuotientGraph()(random_crystals(0, 3)[[]])
    assert len(graph) == 0
    assert all(len(array) == 0 for array in graph.values.values())


def test_colliding_colours_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotient, "mixed", lambda values: np.zeros(len(values), np.uint64))
    with pytest.raises(RuntimeError, match="collision"):
        QuotientGraph()(random_crystals(0, 7))


def test_options_and_inputs_are_checked() -> None:
    with pytest.raises(ConfigError, match="tolerance"):
        QuotientGraph(tolerance=-1.0)
    with pytest.raises(DataError, match="needs crystal structures"):
        QuotientGraph()(Compositions.from_formulas(["NaCl"]))
    keys = {QuotientGraph(g, merged=m).key for g in GRAPHS for m in (True, False)}
    assert len(keys) == 6
