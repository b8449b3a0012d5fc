"""The layers of the published SEN compared with their definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import (
    batch_of,
    known_structures,
    one_crystal,
    random_crystals,
)
from torch import Tensor, nn
from torch.nn import functional

from crystalbench.data.crystals import Crystals
from crystalbench.models.sen_published.blocks import (
    CompositionEncoder,
    Graph,
    MessagePassing,
    PartCapsules,
    Set2Set,
    affine,
    edge_weights,
)
from crystalbench.models.sen_published.model import SENPublished
from crystalbench.nn.batches import Batch
from crystalbench.nn.edges import Segments
from crystalbench.representations import SphereGraph
from crystalbench.representations.quotient import SITE
from crystalbench.representations.sphere_graph import EDGE


def read(crystals: Crystals) -> Batch:
    """A batch of crystals, as input of the network."""
    batch: Batch = batch_of(SENPublished(), crystals)
    return batch


def test_neighbours_fade_out_before_the_cutoff() -> None:
    distances = torch.tensor([0.5, 3.9, 4.0, 4.25, 4.5, 4.75, 5.0, 5.001, 80.0])
    quarter = 0.5 + 0.5 * math.cos(math.pi / 4)
    expected = torch.tensor([1, 1, 1, quarter, 0.5, 1 - quarter, 0, 0, 0])
    torch.testing.assert_close(edge_weights(distances, 5.0, 1.0), expected, atol=1e-6, rtol=0)


def plain_message_passing(block: MessagePassing, v: Tensor, e: Tensor, u: Tensor, batch: Batch, w: Tensor) -> Any:
    """The formulas of `MessagePassing`, edge by edge, atom by atom and crystal by crystal, in double precision."""

    def phi(layer: nn.Linear, *inputs: Tensor) -> Tensor:
        h, a = functional.linear(torch.cat(inputs), layer.weight.double(), layer.bias.double()).chunk(2)
        return functional.selu(h * torch.sigmoid(a))

    crystal, sources, multiplicities = batch.owners[SITE], batch["sources"], batch["multiplicities"].double()
    before = v, e, u
    v, e, u = (functional.layer_norm(x, x.shape[1:]) for x in before)
    new_e = torch.stack(
        [phi(block.edge, v[i], v[j], e[k], u[crystal[i]]) for k, (i, j) in enumerate(zip(sources, batch["neighbors"]))]  # noqa: B905
    )
    totals, weights, new_v, new_u = [], [], [], []
    for i in range(len(v)):
        mine = sources == i
        totals.append((w[mine, None] * new_e[mine]).sum(0))
        weights.append(w[mine].sum())
        new_v.append(phi(block.atom, totals[i] / (weights[i] + 0.01), v[i], u[crystal[i]]))
    totals, weights, new_v = torch.stack(totals), torch.stack(weights), torch.stack(new_v)
    for c in range(batch.size):
        mine = (crystal == c) * multiplicities
        mean = mine @ totals / (mine @ weights + 0.01 * mine.sum())
        new_u.append(phi(block.state, mean, mine @ new_v / mine.sum(), u[c]))
    return tuple(x + 0.6 * new for x, new in zip(before, (new_v, new_e, torch.stack(new_u)), strict=True))


@pytest.fixture(scope="module")
def symmetric() -> Batch:
    """Sites of several atoms, and edges of several neighbours."""
    batch = read(known_structures()[:5])
    assert batch["multiplicities"].unique().numel() > 2
    assert batch["counts"].unique().numel() > 3
    return batch


@pytest.mark.parametrize("of_shells", [False, True])
def test_message_passing_agrees_with_its_formulas(of_shells: bool, symmetric: Batch) -> None:
    torch.manual_seed(0)
    batch = symmetric
    block = MessagePassing(6)
    nn.init.normal_(block.edge.bias)
    level = "distances" if of_shells else "sources"
    v, e, u = (torch.randn(k, 6) for k in (len(batch["numbers"]), len(batch[level]), batch.size))
    weights = edge_weights(batch["distances"].double(), 5.0, 1.0)[batch["shells"]] * batch["counts"]
    with torch.no_grad():
        found = block(v, e, u, Graph.of(batch, 5.0, 1.0), of_shells=of_shells)
        e = e[batch["shells"]] if of_shells else e
        expected = plain_message_passing(block, v.double(), e.double(), u.double(), batch, weights)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-5, rtol=1e-5)


def test_set2set_agrees_with_pytorch_geometric() -> None:
    from torch_geometric.nn import aggr  # here, because it takes seconds

    torch.manual_seed(0)
    batch = read(random_crystals(4, 9))
    rows = torch.randn(len(batch["numbers"]), 12)
    mine, theirs = Set2Set(12, steps=4), aggr.Set2Set(12, processing_steps=4)
    with torch.no_grad():
        for name, parameter in mine.lstm.named_parameters():
            getattr(theirs.lstm, f"{name}_l0").copy_(parameter)
        expected = theirs(mine.project(rows), batch.owners[SITE])
        found = mine(rows, Segments.of_level(batch, SITE), torch.ones(len(rows)), torch.zeros(batch.size))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_set2set_weights_rows_and_the_empty_row() -> None:
    torch.manual_seed(0)
    batch = read(one_crystal(np.eye(3) * 4.5, [[0, 0, 0], [0.5, 0.5, 0.4]], [3, 9]))
    segments = Segments.of_level(batch, EDGE)
    rows, weights, empty = torch.randn(len(batch["counts"]), 8), torch.rand(len(batch["counts"])), torch.tensor([0.02])
    layer = Set2Set(8, steps=1)
    with torch.no_grad():
        query, _ = layer.lstm(torch.zeros(1, 16))
        powers = weights * (rows @ layer.project.weight.T @ query[0]).exp()
        expected = (powers[:, None] * rows).sum(0) / (powers.sum() + 0.02)
        found = layer(rows, segments, weights, empty)
        torch.testing.assert_close(found[0, 8:], layer.project(expected), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(layer(rows, segments, weights * 0, empty)[0, 8:], layer.project.bias)
        assert torch.isfinite(layer(rows * 1e4, segments, weights, empty)).all()


def test_atoms_and_edges_are_weighted_as_in_the_complete_graph(symmetric: Batch) -> None:
    segments, weights, empty = Graph.of(symmetric, 5.0, 1.0).sets(symmetric)
    n, atoms = symmetric.size, known_structures()[:5].atom_counts
    totals = segments.sum(torch.ones(len(weights), 1), weights)[:, 0]
    edges = SphereGraph()(known_structures()[:5])
    expected = edge_weights(torch.from_numpy(np.array(edges.values["distances"])), 5.0, 1.0)
    sums = torch.stack([part.sum() for part in expected.split(np.diff(edges.offsets[EDGE]).tolist())])
    torch.testing.assert_close(totals[:n], torch.from_numpy(atoms).float())
    torch.testing.assert_close(totals[n:], sums)
    torch.testing.assert_close(empty[n:], 0.01 * torch.from_numpy(atoms).float())
    assert not empty[:n].any()


def test_compositions_are_independent_and_depend_on_fractions() -> None:
    torch.manual_seed(0)
    encoder = CompositionEncoder(16)
    cell, coords = np.eye(3) * 5, np.random.default_rng(0).random((4, 3))
    made = [one_crystal(cell, coords[: len(z)], z) for z in ([22, 8, 8], [8, 22], [8, 22, 22, 8], [22, 8, 26, 3], [8])]
    with torch.no_grad():
        rutile, half, double, _, oxygen = alone = [encoder(read(c))[0] for c in made]
        joined = [np.concatenate([getattr(c, name) for c in made]) for name in ("lattices", "frac_coords", "numbers")]
        together = encoder(read(Crystals.from_flat(*joined, [len(c.numbers) for c in made])))
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(half, double, atol=1e-6, rtol=1e-5)
    assert (rutile - half).abs().max() > 1e-3
    assert (oxygen - half).abs().max() > 1e-3


def test_poses_are_affine_transformations() -> None:
    rows = affine(torch.tensor([1.0, 2.0, 0.0, 0.0, 0.1, -0.2]))  # scaled by selu + 0.01, moved
    scale = 1.0507009873554805
    moved = [math.tanh(0.5), math.tanh(-1.0)]
    expected = torch.tensor([scale + 0.01, 0, moved[0], 0, 2 * scale + 0.01, moved[1]])
    torch.testing.assert_close(rows, expected)
    parameters = torch.randn(20, 6, dtype=torch.float64)
    rows = affine(parameters).view(20, 2, 3)
    scales = functional.selu(parameters[:, :2]) + 0.01
    torch.testing.assert_close(torch.linalg.det(rows[:, :, :2]), scales.prod(1))  # neither turn nor shear changes areas
    turn = 2 * math.pi * parameters[:, 2]
    expected = torch.stack([turn.sin(), turn.cos()], dim=1) * scales[:, 1:]
    torch.testing.assert_close(rows[:, 1, :2], expected)


def test_presences_are_noisy_while_training_only() -> None:
    torch.manual_seed(0)
    capsules, vectors = PartCapsules(16, noise=2.0), torch.randn(4, 16)
    exact = PartCapsules(16, noise=0.0)
    exact.load_state_dict(capsules.state_dict())
    with torch.no_grad():
        noisy = [capsules(vectors).presences for _ in range(300)]
        assert not torch.equal(noisy[0], noisy[1])
        assert torch.equal(exact(vectors).presences, exact(vectors).presences)
        capsules.eval()
        assert torch.equal(capsules(vectors).presences, exact(vectors).presences)
        moved = torch.stack([n.log() - exact(vectors).presences.log() for n in noisy])
    moved = moved - moved.mean(2, keepdim=True)  # logits are known up to a constant
    assert abs(float(moved.var(0).mean()) - 16 / 12 * 15 / 16) < 0.05  # uniform in [-2, 2], less the mean of 16
