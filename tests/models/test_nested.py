"""The nested graph network: equal atoms and edges computed once, angles seen, continuous when atoms move."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from crystalbench.data.crystals import Crystals
from crystalbench.models.nested import Around, Nested, NestedEncoder
from crystalbench.nn.batches import DeviceArrays
from crystalbench.nn.radial import expand_distances
from crystalbench.representations import NestedGraph
from crystalbench.testing.crystals import known_structures, one_crystal, random_crystals

SMALL: dict[str, Any] = {"width": 8, "edge_width": 4, "layers": 2, "degree": 3}


def embeddings(crystals: Crystals, *, merged: bool = True, degree: int = 3, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    encoder = NestedEncoder(8, 4, 2, degree).eval()
    data = DeviceArrays(NestedGraph(degree=degree, merged=merged)(crystals), "cpu")
    with torch.no_grad():
        found: torch.Tensor = encoder(data.batch(np.arange(len(crystals))))
    return found


def test_merging_equal_atoms_and_edges_changes_nothing() -> None:
    for crystals in (known_structures(), random_crystals(3)):
        torch.testing.assert_close(embeddings(crystals), embeddings(crystals, merged=False), rtol=1e-3, atol=1e-4)


def test_crystals_do_not_depend_on_their_batch() -> None:
    crystals = known_structures()
    one_by_one = torch.cat([embeddings(crystals[np.array([i])]) for i in range(len(crystals))])
    torch.testing.assert_close(embeddings(crystals), one_by_one, rtol=1e-4, atol=1e-5)


def test_angles_are_seen_unless_the_degree_is_zero() -> None:
    def zigzag(angle: float) -> Crystals:
        half = np.deg2rad(angle) / 2
        cell = np.diag([3 * np.sin(half), 40.0, 40.0])
        return one_crystal(cell, [[0, 0, 0], [0.5, 1.5 * np.cos(half) / 40, 0]], [6, 6])

    pair = [embeddings(zigzag(angle), degree=3) for angle in (100.0, 130.0)]
    assert (pair[0] - pair[1]).abs().max() > 1e-4


@pytest.mark.parametrize("degree", [0, 2, 5])
def test_edges_hear_the_sums_over_angles(degree: int) -> None:
    """Against a sum over all pairs of edges, with the cosines of their angles."""
    crystals = random_crystals(2, n=2)
    batch = DeviceArrays(NestedGraph(degree=degree, merged=False)(crystals), "cpu").batch(np.arange(2))
    sources, neighbors, weights = batch["sources"], batch["neighbors"], batch["weights"]
    around = Around.of(batch, torch.zeros(len(sources), 1))
    messages = torch.randn(degree + 1, len(sources), 2, requires_grad=True)
    expected = []
    for sites, directions in ((sources, batch["near"]), (neighbors, batch["far"])):
        meets = sites[:, None] == sources
        for l in range(degree + 1):  # noqa: E741
            angles = torch.special.legendre_polynomial_p(directions @ batch["near"].T, l)
            expected.append((meets * weights * angles) @ messages[l])
    heard, total = around.heard(messages), torch.cat(expected, dim=1)
    torch.testing.assert_close(heard, total, rtol=1e-4, atol=1e-5)
    factors = torch.randn_like(heard)
    found, wanted = (torch.autograd.grad((x * factors).sum(), messages)[0] for x in (heard, total))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_sums_over_the_edges_of_a_site() -> None:
    batch = DeviceArrays(NestedGraph()(known_structures()), "cpu").batch(np.arange(4))
    radial = expand_distances(batch["distances"], torch.arange(0, 8, 0.5), 0.5)
    around = Around.of(batch, radial)
    ones = around.to_sites(torch.ones(len(batch["distances"]), 1))
    torch.testing.assert_close(ones, torch.ones(len(batch["numbers"]), 1))


def test_small_displacements_change_embeddings_little() -> None:
    crystals = known_structures()
    moved = Crystals(
        ids=crystals.ids,
        lattices=crystals.lattices,
        frac_coords=crystals.frac_coords + 2e-5 * np.random.default_rng(0).normal(size=crystals.frac_coords.shape),
        numbers=crystals.numbers,
        offsets=crystals.offsets,
    )
    assert (embeddings(moved) - embeddings(crystals)).abs().max() < 5e-3


def test_hyperparameters_shape_the_network() -> None:
    network = Nested(**SMALL).encoder()
    assert network.width == 12
    assert len(network.layers) == 2
