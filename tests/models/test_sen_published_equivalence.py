"""`sen_published` over quotient graphs is the same function as its plain formulas over all atoms and edges."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from helpers import TARGETS, batch_of, known_structures, one_crystal, random_crystals, supercells
from torch import Tensor, nn
from torch.nn import functional

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.data.samples import Samples
from crystalbench.data.views import get_view
from crystalbench.models.sen_published.blocks import (
    CompositionEncoder,
    MessagePassing,
    PartCapsules,
    Set2Set,
    affine,
    edge_weights,
)
from crystalbench.models.sen_published.model import SENPublished, SENPublishedEncoder
from crystalbench.nn.batches import Batch, DeviceArrays
from crystalbench.representations import Arrays, SphereGraph
from crystalbench.targets import Kind

TOLERANCE = 1e-5


# ---------------------------------------------------------------------- the plain network


def plain_embeddings(encoder: SENPublishedEncoder, complete: Arrays) -> Tensor:
    """The plain formulas of the encoder on complete graphs, crystal by crystal, with the encoder's weights."""
    vectors = torch.stack([_vector(encoder, complete[[k]]) for k in range(len(complete))])
    values, presences = _capsules(encoder.part_capsules, vectors)
    return torch.cat([values, values * presences, vectors], dim=1)


def _vector(encoder: SENPublishedEncoder, complete: Arrays) -> Tensor:
    numbers, i, j = (
        torch.from_numpy(complete.values[name].astype(int)) for name in ("numbers", "sources", "neighbors")
    )
    distances = torch.from_numpy(complete.values["distances"]).double()
    w = edge_weights(distances, encoder.cutoff, encoder.softening).unsqueeze(1)
    v = _dense(encoder.embed_atoms, encoder.elements(numbers))
    e = _dense(encoder.embed_edges, torch.exp(-(((distances[:, None] - encoder.centers) / 0.5) ** 2)))
    u = _dense(encoder.embed_state, encoder.first_state)
    for loop in encoder.loops:
        v, e, u = _loop(loop, v, e, u, i, j, w)
    of_atoms = _set2set(encoder.set2set, v, torch.ones(len(v), 1))
    of_edges = _set2set(
        encoder.set2set, torch.cat([e, e.new_zeros(1, e.shape[1])]), torch.cat([w, w.new_tensor([[0.01 * len(v)]])])
    )
    opened = torch.sigmoid(encoder.gate(_composition(encoder.composition, numbers)))
    norm, *dense = encoder.crystal
    return _dense(dense, norm(torch.cat([of_atoms * opened, of_edges, u[0]])))


def _dense(layers: nn.Sequential | list[nn.Module], rows: Tensor) -> Tensor:
    for layer in layers:
        rows = layer(rows) if isinstance(layer, nn.Linear) else functional.selu(rows)
    return rows


def _loop(loop: MessagePassing, v: Tensor, e: Tensor, u: Tensor, i: Tensor, j: Tensor, w: Tensor) -> list[Tensor]:
    def phi(layer: nn.Linear, *inputs: Tensor) -> Tensor:
        h, a = layer(torch.cat(inputs, dim=1)).chunk(2, dim=1)
        return functional.selu(h * torch.sigmoid(a))

    before = v, e, u
    v, e, u = (norm(x) for norm, x in zip(loop.norms, before, strict=True))
    new_e = phi(loop.edge, v[i], v[j], e, u.expand(len(e), -1))
    totals, weights = (torch.zeros(len(v), x.shape[1], dtype=x.dtype).index_add(0, i, x) for x in (w * new_e, w))
    new_v = phi(loop.atom, totals / (weights + 0.01), v, u.expand(len(v), -1))
    mean_e = totals.sum(0, keepdim=True) / (weights.sum() + 0.01 * len(v))
    new_u = phi(loop.state, mean_e, new_v.mean(0, keepdim=True), u)
    return [x + 0.6 * new for x, new in zip(before, (new_v, new_e, new_u), strict=True)]


def _set2set(layer: Set2Set, rows: Tensor, weights: Tensor) -> Tensor:
    rows = layer.project(rows)
    query = result = memory = rows.new_zeros(1, rows.shape[1])
    for _ in range(3):
        query, memory = layer.lstm(torch.cat([query, result], dim=1), (query, memory))
        powers = weights * (rows @ query.T).exp()
        result = (powers * rows).sum(0, keepdim=True) / powers.sum()
    return torch.cat([query, result], dim=1)[0]


def _composition(encoder: CompositionEncoder, numbers: Tensor) -> Tensor:
    elements, counts = numbers.unique(return_counts=True)
    fractions = (counts / counts.sum()).to(encoder.embedding.weight.dtype)[:, None]
    rows = encoder.norm(encoder.start(torch.cat([encoder.embedding(elements), fractions], dim=1)))
    k = len(elements)
    for _ in range(3):
        both = torch.cat([rows.repeat_interleave(k, 0), rows.repeat(k, 1)], dim=1)
        pairs = functional.silu(encoder.pair(both))
        powers = encoder.pair_logit(pairs).exp() * fractions.repeat(k, 1)
        sums, totals = (x.view(k, k, -1).sum(1) for x in (powers * pairs, powers))
        rows = encoder.norm(rows + encoder.message(sums / totals))
    pooled = functional.silu(encoder.pool(rows))
    powers = encoder.pool_logit(pooled).exp() * fractions
    return encoder.result((powers * pooled).sum(0) / powers.sum())


def _capsules(layer: PartCapsules, vectors: Tensor) -> tuple[Tensor, Tensor]:
    positions = _dense(layer.spread, vectors).view(len(vectors), 16, -1)
    attention = torch.softmax(layer.position_logits(positions), dim=1)
    seen = torch.einsum("npk,npkd->nkd", attention, layer.parts(positions).view(len(vectors), 16, 16, -1))
    parts = torch.cat([affine(seen[..., :6]), seen[..., 6:22]], dim=-1)
    return layer.value(parts)[..., 0], torch.softmax(seen[..., 22], dim=1)


# ---------------------------------------------------------------------- the comparison


def _crystals(name: str) -> Crystals:
    if name == "asymmetric":  # no two atoms of a crystal are equal
        isolated = one_crystal(np.eye(3) * 40, [[0.1, 0.2, 0.3]], 18)
        return concatenate([random_crystals(0, 16, most_atoms=8), isolated])
    if name == "symmetric":  # of every crystal system
        return concatenate([known_structures(), random_crystals(1, 14, most_atoms=2)])
    if name == "supercells":
        return supercells(known_structures()[:6], (2, 1, 2))
    return get_view("anonymous")(known_structures())


def rows(crystals: Crystals) -> Samples:
    return Samples(crystals, TARGETS[Kind.REGRESSION])


class Unmerged(SENPublished):
    """Reads every atom."""

    merges_equal_atoms = False


@dataclass(frozen=True)
class Case:
    """The same crystals as inputs of our network and of the plain one.

    Attributes:
        ours: quotient graphs.
        complete: graphs of all atoms.
        single_element: all atoms are of one element.
    """

    ours: Arrays
    complete: Arrays
    single_element: bool

    def batch(self, order: np.ndarray | None = None) -> Batch:
        """A batch for our network."""
        return DeviceArrays(self.ours, "cpu").batch(np.arange(len(self.ours)) if order is None else order)


@pytest.fixture(scope="module", params=["asymmetric", "symmetric", "supercells", "no chemistry", "not merged"])
def case(request: pytest.FixtureRequest) -> Case:
    merged = request.param != "not merged"
    crystals = _crystals(request.param if merged else "symmetric")
    ours, complete = (SENPublished if merged else Unmerged)().inputs(rows(crystals)), SphereGraph()(crystals)
    gain = len(complete.values["numbers"]) / len(ours.values["numbers"])
    assert gain == 1 if request.param in ("asymmetric", "not merged") else gain > 1.5
    return Case(ours, complete, single_element=len(np.unique(crystals.numbers)) == 1)


@pytest.fixture
def encoders() -> tuple[SENPublishedEncoder, SENPublishedEncoder]:
    """Our encoder, and one with the same weights in double precision, for the plain formulas."""
    torch.manual_seed(0)
    ours = SENPublishedEncoder(64, 3)
    for module in ours.modules():  # anything but what new ones have
        if isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
        if isinstance(module, nn.LayerNorm | nn.Linear):
            nn.init.normal_(module.bias, std=0.3)
    return ours, copy.deepcopy(ours).double()


@pytest.mark.parametrize("train", [False, True])
def test_outputs_are_equal(train: bool, encoders: tuple[SENPublishedEncoder, SENPublishedEncoder], case: Case) -> None:
    ours, plain = (encoder.train(train) for encoder in encoders)
    order = np.random.default_rng(2).permutation(len(case.ours))  # our batches need not keep the order of the data
    with torch.no_grad():
        mine, theirs = ours(case.batch(order)), plain_embeddings(plain, case.complete)[order]
    assert theirs.std(0).mean() > 0.02
    torch.testing.assert_close(mine.double(), theirs, atol=TOLERANCE, rtol=0)


def test_gradients_are_equal(encoders: tuple[SENPublishedEncoder, SENPublishedEncoder], case: Case) -> None:
    ours, plain = encoders
    upon = torch.from_numpy(np.random.default_rng(1).normal(size=(len(case.ours), ours.width)))
    (ours(case.batch()) * upon.float()).sum().backward()
    (plain_embeddings(plain, case.complete) * upon).sum().backward()
    zero = set()
    for (name, one), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert other.grad is not None
        largest = float(other.grad.abs().max())
        if largest < 1e-10:
            zero.add(name)
        mine = torch.zeros_like(other) if one.grad is None else one.grad.double()
        torch.testing.assert_close(mine, other.grad, atol=TOLERANCE * max(0.1, largest), rtol=0)
    # A softmax sees neither what is added to all its logits, nor logits of a single element.
    biases = {"composition.pair_logit.bias", "composition.pool_logit.bias", "part_capsules.position_logits.bias"}
    assert zero - biases <= {"composition.pair_logit.weight", "composition.pool_logit.weight"}
    assert zero == biases or case.single_element


def test_noise_is_per_crystal_and_not_per_atom() -> None:
    crystals = _crystals("symmetric")
    torch.manual_seed(0)
    encoder = SENPublishedEncoder(64, 3, noise=2.0).train()
    found = []
    for kind in (SENPublished, Unmerged):
        batch = batch_of(kind(), crystals)
        torch.manual_seed(1)
        found.append(encoder(batch))
    torch.testing.assert_close(*found, atol=TOLERANCE, rtol=0)
    assert (found[0] - encoder(batch)).abs().max() > 1e-3
