"""The published SEN: what it may not notice, what every model owes, and its parts against their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers import (
    TARGETS,
    atom_order,
    changed,
    known_structures,
    moved_by_lattice_vectors,
    one_crystal,
    random_crystals,
    read_only,
    reordered,
    rotated,
    samples_of,
    supercells,
    translated,
)
from optuna.distributions import CategoricalDistribution
from torch import Tensor, nn
from torch.nn import functional

from crystalbench.crystals import Crystals
from crystalbench.errors import ConfigError
from crystalbench.models import Runtime, search_space
from crystalbench.models.batches import Batch, DeviceArrays
from crystalbench.models.edges import Segments
from crystalbench.models.sen_published import SENPublished, SENPublishedEncoder
from crystalbench.models.sen_published_blocks import (
    Composition,
    CompositionEncoder,
    Graph,
    MessagePassing,
    PartCapsules,
    Set2Set,
    affine,
    edge_weights,
)
from crystalbench.representations import QuotientGraph, SphereGraph
from crystalbench.representations.quotient import SITE
from crystalbench.representations.sphere_graph import EDGE
from crystalbench.samples import Kind, Samples

QUICK: dict[str, Any] = {"epochs": 2, "width": 16, "layers": 2, "head_width": 8, "batch_size": 16}


def fitted(kind: Kind = Kind.REGRESSION, seed: int = 0, **options: Any) -> SENPublished:
    model = SENPublished(**{**QUICK, **options})
    model.runtime = Runtime(seed=seed)
    train, valid = (random_crystals(s, 24, most_atoms=4) for s in (1, 2))
    return model.fit(samples_of(read_only(train), kind), samples_of(read_only(valid), kind))


def predicted(model: SENPublished, crystals: Crystals, kind: Kind = Kind.REGRESSION) -> np.ndarray:
    samples = Samples(read_only(crystals), TARGETS[kind])
    return model.predict(samples).checked(samples.target, samples.ids).values


def batch_of(crystals: Crystals, cutoff: float = 5.0) -> Batch:
    arrays = QuotientGraph(SphereGraph(cutoff=cutoff))(crystals)
    return DeviceArrays(arrays, "cpu").batch(np.arange(len(crystals)))


def random_encoder(seed: int = 0, width: int = 64) -> SENPublishedEncoder:
    torch.manual_seed(seed)
    return SENPublishedEncoder(width, 3).eval()


@pytest.fixture(scope="module")
def slightly_trained() -> SENPublished:
    return fitted(epochs=10, width=32, layers=3)


@pytest.fixture(scope="module")
def crystals() -> Crystals:
    return random_crystals(3, 21, most_atoms=5)


# ---------------------------------------------------------------------- what it may not notice


def mirrored(crystals: Crystals, seed: int) -> Crystals:
    return rotated(changed(crystals, lattices=-crystals.lattices), seed)


def shuffled(crystals: Crystals, seed: int) -> Crystals:
    return reordered(crystals, atom_order(crystals, seed))


def repeated(crystals: Crystals, seed: int) -> Crystals:
    return supercells(crystals, [(2, 1, 1), (1, 2, 3), (2, 2, 2)][seed])


CHANGES = [rotated, mirrored, translated, moved_by_lattice_vectors, shuffled, repeated]
Change = Callable[[Crystals, int], Crystals]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", CHANGES)
def test_an_untrained_embedding_is_invariant(change: Change, seed: int, crystals: Crystals) -> None:
    encoder = random_encoder(seed)
    with torch.no_grad():
        one, other = encoder(batch_of(crystals)), encoder(batch_of(change(crystals, seed)))
    assert one.std(0).mean() > 0.05  # crystals differ
    scale = one.abs().amax(1, keepdim=True)
    assert ((other - one).abs() <= 1e-4 * scale).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", CHANGES)
def test_a_prediction_is_invariant(
    change: Change, seed: int, crystals: Crystals, slightly_trained: SENPublished
) -> None:
    one, other = (predicted(slightly_trained, c) for c in (crystals, change(crystals, seed)))
    assert one.std() > 0.1
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-4 * one.std())


@pytest.mark.parametrize("seed", range(5))
def test_shells_near_the_cutoff_do_not_make_it_jump(seed: int) -> None:
    encoder = random_encoder(seed)
    lengths = [5 - 1e-4, 5 - 1e-6, 5.0, 5 + 1e-6, 5 + 1e-5, 5 + 2e-5, 5 + 1e-4]
    with torch.no_grad():  # simple cubic, and body centred: neighbours on the cutoff beside others
        for coords, numbers in (([[0, 0, 0]], [84]), ([[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17])):
            cells = [one_crystal(np.eye(3) * a, coords, numbers) for a in lengths]
            rows = torch.cat([encoder(batch_of(rotated(cell, seed))) for cell in cells])
            # In the second, near neighbours move by as much as the cell grows.
            torch.testing.assert_close(rows, rows[[2]].expand_as(rows), atol=1e-3 * float(rows.abs().max()), rtol=0)


def test_crystals_of_a_batch_do_not_see_each_other(crystals: Crystals, slightly_trained: SENPublished) -> None:
    together = predicted(slightly_trained, crystals)
    order = np.random.default_rng(0).permutation(len(crystals))
    np.testing.assert_allclose(predicted(slightly_trained, crystals[order]), together[order], rtol=1e-5)
    for k in (0, 11, 20):
        np.testing.assert_allclose(predicted(slightly_trained, crystals[[k]]), together[[k]], rtol=1e-5)


def test_it_sees_distances_elements_and_fractions(slightly_trained: SENPublished) -> None:
    salt = one_crystal(np.eye(3) * 3.5, [[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17])
    stretched = changed(salt, lattices=salt.lattices * 1.02)
    other = changed(salt, numbers=np.array([55, 35], dtype=np.uint8))
    values = [predicted(slightly_trained, c)[0] for c in (salt, stretched, other)]
    assert min(abs(values[0] - values[1]), abs(values[0] - values[2])) > 1e-3


# ---------------------------------------------------------------------- strange crystals


def test_strange_crystals_are_predicted(slightly_trained: SENPublished) -> None:
    rng = np.random.default_rng(0)
    elements = Crystals.from_flat(np.tile(np.eye(3) * 3, (118, 1, 1)), np.zeros((118, 3)), np.arange(1, 119), [1] * 118)
    large = one_crystal(np.eye(3) * 14, rng.random((200, 3)), rng.integers(1, 104, 200))
    isolated = one_crystal(np.eye(3) * 40, [[0.1, 0.2, 0.3]], 99)
    partly = one_crystal(np.eye(3) * 30, [[0, 0, 0], [0.1, 0, 0], [0.5, 0.5, 0.5]], [8, 1, 2])
    for crystals in (elements, large, isolated, partly):
        assert np.isfinite(predicted(slightly_trained, crystals)).all()


def test_isolated_atoms_have_finite_gradients() -> None:
    encoder = random_encoder().train()
    isolated = Crystals.from_flat(np.tile(np.eye(3) * 30, (2, 1, 1)), [[0, 0, 0]] * 3, [2, 10, 18], [1, 2])
    encoder(batch_of(isolated)).square().sum().backward()
    gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in gradients)
    assert sum(float(g.abs().sum()) for g in gradients) > 0


def test_the_distance_to_something_far_away_does_not_matter() -> None:
    encoder = random_encoder()
    with torch.no_grad():
        rows = encoder(torch_batch := batch_of(_cubes([8.0, 20.0, 150.0])))
    assert torch_batch["counts"].tolist() == [6, 6, 6]
    torch.testing.assert_close(rows, rows[[0]].expand_as(rows), atol=1e-6, rtol=1e-5)


def _cubes(edges: list[float]) -> Crystals:
    lattices = np.eye(3) * np.array(edges)[:, None, None]
    return Crystals.from_flat(lattices, np.zeros((len(edges), 3)), [54] * len(edges), [1] * len(edges))


# ---------------------------------------------------------------------- what every model owes


@pytest.mark.parametrize("kind", Kind)
def test_it_predicts_every_kind_and_repeats_itself(kind: Kind) -> None:
    test = random_crystals(3, 15)
    torch.manual_seed(1)
    one = predicted(model := fitted(kind), test, kind)
    assert np.array_equal(predicted(model, test, kind), one)
    torch.manual_seed(2)  # whatever happened before
    assert np.array_equal(predicted(fitted(kind), test, kind), one)
    assert not np.array_equal(predicted(fitted(kind, seed=1), test, kind), one)
    assert (model.n_parameters or 0) > 0


def test_it_learns() -> None:
    train = samples_of(random_crystals(5, 40, most_atoms=3))
    model = SENPublished(**{**QUICK, "epochs": 30, "width": 32, "head_width": 32})
    model.fit(train, train)
    errors = np.abs(predicted(model, train.crystals) - train.targets)
    assert errors.mean() < 0.1 * np.abs(train.targets - train.targets.mean()).mean()


def test_search_space_and_options() -> None:
    for parameter, distribution in search_space(SENPublished).items():
        categorical = isinstance(distribution, CategoricalDistribution)
        ends = distribution.choices if categorical else (distribution.low, distribution.high)  # type: ignore[attr-defined]
        for value in ends:
            SENPublished(**{parameter: value}).encoder()
    assert SENPublished(cutoff=4.0).representation == QuotientGraph(SphereGraph(cutoff=4.0))
    for name in ("width", "layers", "cutoff", "softening"):
        with pytest.raises(ConfigError, match=f"{name} = 0; it must be positive"):
            SENPublished(**{name: 0})
    with pytest.raises(ConfigError, match="softening = 6; it must not be larger than the cutoff, 5"):
        SENPublished(softening=6)
    with pytest.raises(ConfigError, match="presence_noise = -1; it must not be negative"):
        SENPublished(presence_noise=-1)


# ---------------------------------------------------------------------- its parts


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
    batch = batch_of(known_structures()[:5])
    assert batch["multiplicities"].unique().numel() > 2
    assert batch["counts"].unique().numel() > 3
    return batch


@pytest.mark.parametrize("of_shells", [False, True])
def test_message_passing_is_what_its_formulas_say(of_shells: bool, symmetric: Batch) -> None:
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


def test_set2set_is_that_of_pytorch_geometric() -> None:
    from torch_geometric.nn import aggr  # here, because it takes seconds

    torch.manual_seed(0)
    batch = batch_of(random_crystals(4, 9))
    rows = torch.randn(len(batch["numbers"]), 12)
    mine, theirs = Set2Set(12, steps=4), aggr.Set2Set(12, processing_steps=4)
    with torch.no_grad():
        for name, parameter in mine.lstm.named_parameters():
            getattr(theirs.lstm, f"{name}_l0").copy_(parameter)
        expected = theirs(mine.project(rows), batch.owners[SITE])
        found = mine(rows, Segments.of_level(batch, SITE), torch.ones(len(rows)), torch.zeros(batch.size))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_set2set_with_weights_counts_rows_and_the_row_of_zeros() -> None:
    torch.manual_seed(0)
    batch = batch_of(one_crystal(np.eye(3) * 4.5, [[0, 0, 0], [0.5, 0.5, 0.4]], [3, 9]))
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


def test_atoms_and_edges_are_read_as_in_the_whole_graph(symmetric: Batch) -> None:
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


def test_composition_of_a_batch() -> None:
    crystals = Crystals.from_flat(
        np.tile(np.eye(3) * 5, (3, 1, 1)),
        np.random.default_rng(0).random((10, 3)),
        [8, 22, 8, 8, 38, 3, 3, 1, 9, 1],
        [5, 2, 3],
    )
    batch = batch_of(crystals)
    assert len(batch["numbers"]) < 10  # the two atoms of the second are equal
    found = Composition.of(batch)
    assert found.numbers.tolist() == [8, 22, 38, 3, 1, 9]
    assert found.elements.owners.tolist() == [0, 0, 0, 1, 2, 2]
    torch.testing.assert_close(found.fractions, torch.tensor([0.6, 0.2, 0.2, 1, 2 / 3, 1 / 3]))
    everyone = [(i, j) for group in ([0, 1, 2], [3], [4, 5]) for i in group for j in group]
    assert list(zip(found.own.tolist(), found.other.tolist(), strict=True)) == everyone
    assert found.pairs.offsets.tolist() == [0, 3, 6, 9, 10, 12, 14]


def test_a_composition_does_not_see_other_compositions_and_knows_fractions() -> None:
    torch.manual_seed(0)
    encoder = CompositionEncoder(16)
    cell, coords = np.eye(3) * 5, np.random.default_rng(0).random((4, 3))
    made = [one_crystal(cell, coords[: len(z)], z) for z in ([22, 8, 8], [8, 22], [8, 22, 22, 8], [22, 8, 26, 3], [8])]
    with torch.no_grad():
        rutile, half, double, _, oxygen = alone = [encoder(batch_of(c))[0] for c in made]
        joined = [np.concatenate([getattr(c, name) for c in made]) for name in ("lattices", "frac_coords", "numbers")]
        together = encoder(batch_of(Crystals.from_flat(*joined, [len(c.numbers) for c in made])))
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


def test_capsules_can_be_read(crystals: Crystals) -> None:
    encoder = random_encoder(width=16)
    batch = batch_of(crystals)
    with torch.no_grad():
        said, embedding = encoder.capsules(batch), encoder(batch)
    n = len(crystals)
    assert said.poses.shape == (n, 16, 6)
    assert said.features.shape == (n, 16, 16)
    torch.testing.assert_close(said.presences.sum(1), torch.ones(n))
    assert embedding.shape == (n, encoder.width) == (n, 2 * 16 + 16)
    torch.testing.assert_close(embedding[:, :16], said.values)
    torch.testing.assert_close(embedding[:, 16:32], said.values * said.presences)
    torch.testing.assert_close(encoder.crystals(batch), embedding[:, 32:])


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
