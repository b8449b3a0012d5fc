"""Periodic graphs: the pairs that pymatgen finds, with vectors and images that fit the positions."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import isolated_atom, known_structures, one_crystal, random_crystals, repeatable, rotated
from hypothesis import given
from hypothesis import strategies as st

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import concatenate
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations import Arrays, PeriodicGraph, SphereGraph


def edges_of(graph: Arrays, i: int) -> dict[str, np.ndarray]:
    """The arrays of the edges of crystal i."""
    rows = slice(graph.offsets["edge"][i], graph.offsets["edge"][i + 1])
    return {name: graph.values[name][rows] for name in ("sources", "neighbors", "vectors", "images")}


@repeatable(15)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_pairs_are_those_of_pymatgen(seed: int) -> None:
    crystals = random_crystals(seed, n=5, most_atoms=5).wrapped()
    graph = PeriodicGraph(cutoff=4.5)(crystals)
    for i in range(len(crystals)):
        edges = edges_of(graph, i)
        lengths = np.linalg.norm(edges["vectors"], axis=1)
        mine = zip(edges["sources"], edges["neighbors"], edges["images"].tolist(), lengths, strict=True)
        found = sorted((int(a), int(b), tuple(image), float(d)) for a, b, image, d in mine)
        theirs = [
            (a, int(n.index), tuple(int(k) for k in n.image), float(n.nn_distance))
            for a, row in enumerate(crystals.structure(i).get_all_neighbors(4.5))
            for n in row
        ]
        assert [pair[:3] for pair in found] == [pair[:3] for pair in sorted(theirs)]
        np.testing.assert_allclose([p[3] for p in found], [p[3] for p in sorted(theirs)], atol=2e-6)


def test_vectors_follow_from_positions_images_and_lattice() -> None:
    crystals = concatenate([known_structures(), random_crystals(1, 6)])
    graph = PeriodicGraph(cutoff=6.0)(crystals)
    for i in range(len(crystals)):
        edges, lattice = edges_of(graph, i), graph.values["lattices"][i]
        positions = graph.values["positions"][crystals.offsets[i] : crystals.offsets[i + 1]]
        expected = positions[edges["neighbors"]] + edges["images"] @ lattice - positions[edges["sources"]]
        np.testing.assert_allclose(edges["vectors"], expected, atol=2e-5)
        fractional = positions @ np.linalg.inv(lattice)
        assert (fractional > -1e-5).all() and (fractional < 1 + 1e-5).all()


def test_edges_ascend_by_source_and_distance_and_every_pair_has_two() -> None:
    graph = PeriodicGraph()(known_structures())
    for i in range(len(known_structures())):
        edges = edges_of(graph, i)
        assert (np.diff(edges["sources"]) >= 0).all()
        lengths = np.linalg.norm(edges["vectors"].astype(float), axis=1)
        same = np.diff(edges["sources"]) == 0
        assert (np.diff(lengths)[same] > -1e-5).all()
        pairs = list(zip(edges["sources"], edges["neighbors"], map(tuple, edges["images"].tolist()), strict=True))
        assert {(b, a, tuple(-k for k in image)) for a, b, image in pairs} == set(pairs)


def test_without_isolated_atoms_the_edges_are_those_of_the_sphere_graph() -> None:
    crystals = known_structures()
    one, other = PeriodicGraph(cutoff=5.0)(crystals), SphereGraph(cutoff=5.0)(crystals)
    assert np.array_equal(one.values["sources"], other.values["sources"])
    np.testing.assert_allclose(np.linalg.norm(one.values["vectors"], axis=1), other.values["distances"], atol=1e-6)


def test_an_isolated_atom_has_no_edges() -> None:
    graph = PeriodicGraph()(concatenate([isolated_atom(), known_structures()[:1]]))
    assert graph.offsets["edge"][1] == 0 < graph.offsets["edge"][2]


def test_a_shell_on_the_cutoff_is_complete() -> None:
    cubic = one_crystal(np.eye(3) * 2.5, [[0, 0, 0]], [84])
    turned = rotated(cubic)
    for crystal in (cubic, turned):
        assert np.diff(PeriodicGraph(cutoff=2.5)(crystal).offsets["edge"]).tolist() == [6]


def test_no_crystals_have_no_edges() -> None:
    empty = PeriodicGraph()(random_crystals(3, 2)[:0])
    assert len(empty) == 0
    assert empty.values["vectors"].shape == (0, 3)


def test_wrong_inputs_and_cutoffs_are_refused() -> None:
    with pytest.raises(DataError, match="needs crystal structures"):
        PeriodicGraph()(Compositions.from_formulas(["NaCl"]))
    for cutoff in (0.0, -1.0, float("inf")):
        with pytest.raises(ConfigError, match="needs a positive cutoff"):
            PeriodicGraph(cutoff=cutoff)


def test_a_failed_search_names_the_crystal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise DataError("no memory")

    monkeypatch.setattr("crystalbench.representations.periodic_graph.pairs_within", fails)
    crystals = random_crystals(0, 1)
    with pytest.raises(DataError, match=f"{crystals.ids[0]}: no memory"):
        PeriodicGraph()(crystals)
