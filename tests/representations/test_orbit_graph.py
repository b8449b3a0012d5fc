"""Orbit graphs: one atom of each orbit, with sums of spherical harmonics that are those of all neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from e3nn import o3
from helpers import changed, known_structures, one_crystal, random_crystals, rotated, supercells

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations import CrystalGraph, OrbitGraph
from crystalbench.representations.orbit_graph import harmonics, tensor_means
from crystalbench.representations.orbits import Orbits


def _rutile() -> Crystals:
    u = 0.305
    oxygen = [[u, u, 0], [1 - u, 1 - u, 0], [0.5 + u, 0.5 - u, 0.5], [0.5 - u, 0.5 + u, 0.5]]
    return one_crystal(np.diag([4.59, 4.59, 2.96]), [[0, 0, 0], [0.5, 0.5, 0.5], *oxygen], [22, 22, 8, 8, 8, 8])


def test_harmonics_are_those_of_e3nn() -> None:
    vectors = np.random.default_rng(0).standard_normal((20, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = o3.spherical_harmonics([0, 1, 2], torch.from_numpy(vectors), True, "component").numpy()
    np.testing.assert_allclose(harmonics(vectors), expected, atol=1e-12)


def test_tensors_of_degree_two_turn_with_a_rotation() -> None:
    turn = o3.rand_matrix(2, dtype=torch.float64)
    expected = o3.Irrep("2e").D_from_matrix(turn).numpy()
    found = tensor_means(np.einsum("nac,nbd->nacbd", turn, turn))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_rutile_has_two_sites_and_its_point_group() -> None:
    for crystal in (_rutile(), supercells(_rutile(), (2, 1, 1)), rotated(supercells(_rutile(), (1, 2, 3)))):
        graph = OrbitGraph()(crystal)
        assert sorted(graph.values["numbers"]) == [8, 22]
        atoms = len(crystal.numbers)
        np.testing.assert_array_equal(np.sort(graph.values["multiplicities"]), [atoms // 3, 2 * atoms // 3])
        np.testing.assert_array_equal(graph.values["numbers"][graph.values["sites"]], crystal.numbers)
        np.testing.assert_allclose(graph.values["vector_means"], 0, atol=1e-6)  # the inversion
        mean = graph.values["tensor_means"][0]
        np.testing.assert_allclose(mean @ mean, mean, atol=1e-6)
        assert np.trace(mean) == pytest.approx(1, abs=1e-6)  # 4/mmm leaves one tensor of degree 2, along its axis


def test_sums_over_edges_are_those_over_all_neighbours() -> None:
    crystals = concatenate([known_structures(), random_crystals(0, 5)])
    graph, full = OrbitGraph(neighbors=12)(crystals), CrystalGraph(13, vectors=True)(crystals)
    assert len(graph.values["numbers"]) < 0.8 * len(crystals.numbers)
    for i in range(len(crystals)):
        part, complete = graph[[i]].values, full[[i]].values
        distances, vectors = complete["distances"].astype(float), complete["vectors"].astype(float)
        weights = (1 - np.minimum(distances[:, :-1] / distances[:, -1:], 1) ** 2) ** 2
        found = weights[..., None] * harmonics(vectors[:, :-1] / distances[:, :-1, None])
        for site in range(len(part["numbers"])):
            edges = part["sources"] == site
            atoms = np.flatnonzero(part["sites"] == site)
            assert len(atoms) == part["multiplicities"][site]
            for neighbor in range(len(part["numbers"])):
                chosen = edges & (part["neighbors"] == neighbor)
                there = part["sites"][complete["neighbors"][:, :-1]] == neighbor
                total = part["harmonics"][chosen].sum(0)
                sums = np.einsum("nk,nkm->nm", there, found)[atoms]
                assert np.abs(sums - total).max(1).min() < 2e-3  # those of the first atom; the others are turned
                for rows in (slice(0, 1), slice(1, 4), slice(4, 9)):
                    lengths = np.linalg.norm(sums[:, rows], axis=1)
                    np.testing.assert_allclose(lengths, np.linalg.norm(total[rows]), atol=2e-3)


def test_the_weights_end_at_the_first_neighbour_left_out() -> None:
    """A cubic lattice with 6 neighbours: none of the next shell is left, and all of the first have (1 − 1/2)²."""
    graph = OrbitGraph(neighbors=6)(one_crystal(3 * np.eye(3), [[0, 0, 0]], [84]))
    np.testing.assert_allclose(graph.values["distances"], [3], atol=1e-6)
    np.testing.assert_allclose(graph.values["harmonics"][0], [6 * 0.25, *[0] * 8], atol=1e-6)
    cut = OrbitGraph(neighbors=4)(one_crystal(3 * np.eye(3), [[0, 0, 0]], [84]))
    assert len(cut.values["sources"]) == 0


def test_equal_crystals_have_shells_of_their_own() -> None:
    """The last distance of a crystal is the first one of the next."""
    cubic = one_crystal(3 * np.eye(3), [[0, 0, 0]], [84])
    graph = OrbitGraph(neighbors=6)(changed(cubic[[0, 0]], ids=np.array(["a", "b"])))
    np.testing.assert_array_equal(graph.offsets["shell"], [0, 1, 2])
    np.testing.assert_array_equal(graph.values["shells"], [0, 0])


def test_crystals_without_symmetry_are_not_merged() -> None:
    crystals = random_crystals(3, 10)
    merged, single = OrbitGraph()(crystals), OrbitGraph(merged=False)(crystals)
    general = np.isclose(merged.values["vector_means"], np.eye(3)).all((1, 2))
    assert general.any()
    for i in np.flatnonzero(general):
        for name, values in single[[i]].values.items():
            np.testing.assert_allclose(merged[[i]].values[name], values, atol=1e-7)


def test_orbits_whose_atoms_differ_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that relates unlike atoms must not give a wrong graph."""
    crystals = concatenate([_rutile(), random_crystals(0, 1)])
    correct = OrbitGraph()(crystals)

    def wrong(crystals: Crystals, symprec: float) -> Orbits:
        found = Orbits.single(crystals)
        found.first[crystals.offsets[1] :] = crystals.offsets[1]
        found.squares[:] = found.rotations[:] = 0
        return found

    monkeypatch.setattr(Orbits, "of", wrong)
    found = OrbitGraph()(crystals)
    assert len(found.values["numbers"]) == len(crystals.numbers) > len(correct.values["numbers"])
    for name, size in (("vector_means", 3), ("tensor_means", 5)):
        np.testing.assert_allclose(found.values[name][1], np.eye(size), atol=1e-6)
        np.testing.assert_allclose(found.values[name][0], 0)  # no unlike atoms: as the search says


def test_a_crystal_without_a_result_of_the_search_has_no_symmetry() -> None:
    twice = one_crystal(4 * np.eye(3), [[0, 0, 0], [1e-5, 0, 0], [0.5, 0.5, 0.5]], [11, 17, 11])
    orbits = Orbits.of(twice, 1e-4)
    assert len(np.unique(orbits.first)) >= 2
    assert np.isfinite(OrbitGraph()(twice).values["harmonics"]).all()


def test_slightly_broken_symmetry_changes_little() -> None:
    crystal = _rutile()
    noise = np.random.default_rng(0).normal(size=crystal.frac_coords.shape)
    exact = OrbitGraph()(crystal)
    for size, sites in ((1e-6, 2), (1e-2, 6)):
        moved = OrbitGraph()(changed(crystal, frac_coords=crystal.frac_coords + size / 4.59 * noise))
        assert len(moved.values["numbers"]) == sites
        total, expected = (
            np.bincount(g.values["sources"], g.values["harmonics"][:, 0]) @ g.values["multiplicities"]
            for g in (moved, exact)
        )
        assert total == pytest.approx(expected, abs=100 * size)


@pytest.mark.parametrize("merged", [True, False])
def test_no_crystals_have_empty_arrays(merged: bool) -> None:
    graph = OrbitGraph(merged=merged)(_rutile()[[]])
    complete = OrbitGraph(merged=merged)(_rutile())
    assert len(graph) == 0
    for name, values in complete.values.items():
        assert graph.values[name].shape == (0, *values.shape[1:])
        assert graph.values[name].dtype == values.dtype


def test_wrong_input_is_refused() -> None:
    with pytest.raises(DataError, match="compositions"):
        OrbitGraph()(Compositions.from_formulas(["NaCl"]))
    with pytest.raises(ConfigError, match="neighbors = 0"):
        OrbitGraph(neighbors=0)
    with pytest.raises(ConfigError, match="tolerance = 0"):
        OrbitGraph(tolerance=0)
