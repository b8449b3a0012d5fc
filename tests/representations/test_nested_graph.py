"""Nested graphs: what is merged is equal, and sums over pairs are sums over all edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import eval_legendre

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations import Arrays, CrystalGraph, NestedGraph
from crystalbench.testing.crystals import known_structures, one_crystal, random_crystals, rotated, supercells


def crystal(arrays: Arrays, i: int) -> dict[str, np.ndarray]:
    """The arrays of one crystal, with their own indices."""
    return {name: arrays[np.array([i])].values[name] for name in arrays.values}


def test_simple_cubic_has_one_site_and_its_shells() -> None:
    cubic = one_crystal(3 * np.eye(3), [[0, 0, 0]], [84])
    found = NestedGraph(neighbors=6, degree=2)(cubic).values
    assert found["numbers"].tolist() == [84]
    assert found["sources"].tolist() == [0]
    np.testing.assert_allclose(found["weights"], [1], rtol=1e-6)
    np.testing.assert_allclose(found["distances"], [3])
    # Six neighbours along the axes: P_2 averages to zero, P_1 too.
    np.testing.assert_allclose(found["polynomials"], [[1, 0, 0], [1, 0, 0]], atol=1e-6)
    assert found["far"].tolist() == [0, 1]


@pytest.mark.parametrize("crystals", [known_structures(), random_crystals(1)], ids=["known", "random"])
def test_sums_over_pairs_are_sums_over_all_edges(crystals: Crystals) -> None:
    degree, k = 4, 12
    found = NestedGraph(neighbors=k, degree=degree)(crystals)
    full = CrystalGraph(neighbors=k + 1, vectors=True)(crystals)
    for i in range(len(crystals)):
        nested, graph = crystal(found, i), crystal(full, i)
        edges, far = nested["edges"], nested["far"]
        np.testing.assert_allclose(np.bincount(nested["sources"], nested["weights"]), 1, rtol=1e-5)
        expected = _brute_force(graph, degree)
        for end in (0, 1):
            chosen = far == end
            sums = np.stack(
                [np.bincount(edges[chosen], nested["polynomials"][chosen, l]) for l in range(degree + 1)],  # noqa: E741
                axis=1,
            )
            for row in sums:  # each edge is one of those of the full graph
                assert np.abs(expected[end] - row).max(1).min() < 2e-3


def _brute_force(graph: dict[str, np.ndarray], degree: int) -> list[np.ndarray]:
    """For each edge of a full graph, the sums over the edges at its near and far end."""
    distances, vectors, neighbors = graph["distances"], graph["vectors"], graph["neighbors"][:, :-1]
    weights = (1 - np.minimum(distances[:, :-1] / distances[:, -1:], 1) ** 2) ** 2
    weights = weights / weights.sum(1, keepdims=True)
    units = vectors[:, :-1] / distances[:, :-1, None]
    near = np.einsum("ajx,akx->ajk", units, units)
    far = -np.einsum("ajx,ajkx->ajk", units, units[neighbors])
    return [
        np.stack([(w * eval_legendre(l, cosines)).sum(2) for l in range(degree + 1)], axis=-1).reshape(-1, degree + 1)  # noqa: E741
        for cosines, w in ((near, weights[:, None, :]), (far, weights[neighbors]))
    ]


def test_merging_gives_the_size_of_the_asymmetric_unit() -> None:
    crystals = known_structures()
    graphs = NestedGraph()(crystals)
    sites = dict(zip(crystals.ids.tolist(), np.diff(graphs.offsets["site"]).tolist(), strict=True))
    expected = {
        "copper": 1,
        "halite": 2,
        "perovskite": 3,
        "zinc": 1,
        "wurtzite": 2,
        "rutile": 2,
        "quartz": 2,
        "boride": 2,
    }
    assert {name: sites[name] for name in expected} == expected
    unmerged = NestedGraph(merged=False)(crystals)
    np.testing.assert_array_equal(np.diff(unmerged.offsets["site"]), crystals.atom_counts)
    atoms = [graphs[np.array([i])].values["multiplicities"].sum() for i in range(len(crystals))]
    np.testing.assert_array_equal(atoms, crystals.atom_counts)


def test_supercells_and_rotations_have_the_same_graph() -> None:
    crystals = known_structures()
    graphs = NestedGraph()(crystals)
    for changed, factor in ((supercells(crystals, (2, 1, 1)), 2), (rotated(crystals), 1)):
        other = NestedGraph()(changed)
        for i in range(len(crystals)):
            one, two = crystal(graphs, i), crystal(other, i)
            assert len(one["distances"]) == len(two["distances"])
            np.testing.assert_array_equal(factor * one["multiplicities"], two["multiplicities"])
            for name in ("distances", "weights"):
                np.testing.assert_allclose(np.sort(one[name]), np.sort(two[name]), atol=2e-4)


def test_left_and_right_handed_neighbours_differ_by_their_angles_only() -> None:
    """Two chains of equal distances and different angles have different graphs, and equal ones without angles."""

    def zigzag(angle: float) -> Crystals:
        half = np.deg2rad(angle) / 2
        step = 2 * 1.5 * np.sin(half)
        height = 1.5 * np.cos(half)
        cell = np.diag([step, 30.0, 30.0])
        return one_crystal(cell, [[0, 0, 0], [0.5, height / 30, 0]], [6, 6])

    graphs = [NestedGraph(neighbors=2)(zigzag(angle)).values for angle in (100.0, 120.0)]
    assert [graph["numbers"].tolist() for graph in graphs] == [[6], [6]]
    np.testing.assert_allclose(graphs[0]["distances"], graphs[1]["distances"], atol=1e-5)
    assert np.abs(graphs[0]["polynomials"] - graphs[1]["polynomials"]).max() > 0.1


def test_wrong_arguments_and_inputs_are_refused() -> None:
    for wrong in ({"neighbors": 0}, {"degree": -1}, {"tolerance": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            NestedGraph(**wrong)
    with pytest.raises(DataError, match="these rows are compositions"):
        NestedGraph()(Compositions.from_formulas(["NaCl"]))
