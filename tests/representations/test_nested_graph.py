"""Nested graphs: what is merged is equal, and sums of harmonics give the sums over all angles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import eval_legendre

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations import Arrays, CrystalGraph, NestedGraph
from crystalbench.representations.nested_graph import spherical_harmonics
from crystalbench.representations.orbits import AtomSymmetry
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
    # Six neighbours along the axes: their harmonics of degree 1 and 2 cancel.
    np.testing.assert_allclose(found["harmonics"], [[1, *[0] * 8]], atol=1e-6)
    np.testing.assert_allclose(np.abs(found["near"]).sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(np.abs(found["far"]).sum(1), 1, atol=1e-6)


@pytest.mark.parametrize(
    "crystals",
    [known_structures(), random_crystals(1), rotated(supercells(known_structures(), (1, 2, 1)))],
    ids=["known", "random", "supercells"],
)
@pytest.mark.parametrize("merged", [True, False])
def test_sums_over_angles_are_those_over_all_edges(crystals: Crystals, merged: bool) -> None:
    degree, k = 4, 12
    found = NestedGraph(neighbors=k, degree=degree, merged=merged)(crystals)
    full = CrystalGraph(neighbors=k + 1, vectors=True)(crystals)
    for i in range(len(crystals)):
        nested, graph = crystal(found, i), crystal(full, i)
        sources, neighbors = nested["sources"], nested["neighbors"]
        np.testing.assert_allclose(np.bincount(sources, nested["weights"]), 1, rtol=1e-5)
        around = np.zeros((len(nested["numbers"]), (degree + 1) ** 2))
        np.add.at(around, sources, nested["harmonics"])
        expected = _brute_force(graph, degree)
        sums = np.concatenate(
            [
                _by_degree(spherical_harmonics(nested[end].astype(float), degree) * around[sites])
                for end, sites in (("near", sources), ("far", neighbors))
            ],
            axis=1,
        )
        apart = np.abs(expected[None] - sums[:, None]).max(2)
        assert apart.min(1).max() < 2e-3  # each edge is one of those of the full graph
        there = _weights(graph).reshape(-1) > 1e-4
        assert apart[:, there].min(0).max() < 2e-3  # and each of those is represented


def _by_degree(products: np.ndarray) -> np.ndarray:
    """Sums over the components of each degree l, divided by 2l + 1: the addition theorem."""
    starts = [l**2 for l in range(round(products.shape[1] ** 0.5))]  # noqa: E741
    return np.add.reduceat(products, starts, axis=1) / np.diff([*starts, products.shape[1]])


def _weights(graph: dict[str, np.ndarray]) -> np.ndarray:
    distances = graph["distances"]
    weights = (1 - np.minimum(distances[:, :-1] / distances[:, -1:], 1) ** 2) ** 2
    return weights / weights.sum(1, keepdims=True)


def _brute_force(graph: dict[str, np.ndarray], degree: int) -> np.ndarray:
    """For each edge of a full graph, the sums of Legendre polynomials over the edges at its near and far end."""
    vectors, neighbors = graph["vectors"], graph["neighbors"][:, :-1]
    weights = _weights(graph)
    units = vectors[:, :-1] / graph["distances"][:, :-1, None]
    near = np.einsum("ajx,akx->ajk", units, units)
    far = -np.einsum("ajx,ajkx->ajk", units, units[neighbors])
    sums = [
        (w * eval_legendre(l, cosines)).sum(2).reshape(-1)
        for cosines, w in ((near, weights[:, None, :]), (far, weights[neighbors]))
        for l in range(degree + 1)  # noqa: E741
    ]
    return np.stack(sums, axis=1)


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


def test_chains_of_equal_distances_differ_by_their_angles_only() -> None:

    def zigzag(angle: float) -> Crystals:
        half = np.deg2rad(angle) / 2
        step = 2 * 1.5 * np.sin(half)
        height = 1.5 * np.cos(half)
        cell = np.diag([step, 30.0, 30.0])
        return one_crystal(cell, [[0, 0, 0], [0.5, height / 30, 0]], [6, 6])

    graphs = [NestedGraph(neighbors=2)(zigzag(angle)).values for angle in (100.0, 120.0)]
    assert [graph["numbers"].tolist() for graph in graphs] == [[6], [6]]
    np.testing.assert_allclose(graphs[0]["distances"], graphs[1]["distances"], atol=1e-5)
    around = [np.linalg.norm(graph["harmonics"][:, 4:9].sum(0)) for graph in graphs]
    assert abs(around[0] - around[1]) > 0.1


def test_a_symmetry_that_does_not_hold_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that relates unlike atoms, or turns them wrongly, must not give a wrong graph."""
    crystals = concatenate([known_structures(), random_crystals(0, 2)])
    unmerged = NestedGraph(merged=False)(crystals)
    right = AtomSymmetry.of(crystals, 1e-4)
    several = [i for i in range(len(crystals)) if len(np.unique(crystals[[i]].numbers)) > 1]
    for wrong in (
        replace(right, first=np.repeat(crystals.offsets[:-1], crystals.atom_counts)),
        replace(right, turns=right.turns @ Rotation.from_rotvec([0.1, 0.2, 0.3]).as_matrix()),
        replace(right, operations=right.operations @ Rotation.from_rotvec([0.1, 0.2, 0.3]).as_matrix()),
    ):
        monkeypatch.setattr(AtomSymmetry, "of", lambda crystals, symprec, wrong=wrong: wrong)
        found = NestedGraph()(crystals)
        for i in several:
            for name, values in unmerged[[i]].values.items():
                np.testing.assert_array_equal(found[[i]].values[name], values)


@pytest.mark.parametrize("merged", [True, False])
def test_no_crystals_have_empty_arrays(merged: bool) -> None:
    crystals = known_structures()
    complete, graph = NestedGraph(merged=merged)(crystals), NestedGraph(merged=merged)(crystals[[]])
    assert len(graph) == 0
    for name, values in complete.values.items():
        assert graph.values[name].shape == (0, *values.shape[1:])
        assert graph.values[name].dtype == values.dtype


def test_few_neighbours_that_are_equally_far_leave_an_atom_without_edges() -> None:
    cut = NestedGraph(neighbors=4)(one_crystal(3 * np.eye(3), [[0, 0, 0]], [84]))
    assert len(cut.values["sources"]) == 0
    assert cut.values["multiplicities"].tolist() == [1]


def test_wrong_arguments_and_inputs_are_refused() -> None:
    for wrong in ({"neighbors": 0}, {"degree": -1}, {"tolerance": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            NestedGraph(**wrong)
    with pytest.raises(DataError, match="these rows are compositions"):
        NestedGraph()(Compositions.from_formulas(["NaCl"]))
