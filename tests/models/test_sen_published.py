"""The published SEN: invariances, the contract of models, and its capsules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers import (
    TARGETS,
    atom_order,
    batch_of,
    changed,
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

from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Samples
from crystalbench.errors import ConfigError
from crystalbench.models import Runtime, search_space
from crystalbench.models.sen_published.model import SENPublished, SENPublishedEncoder
from crystalbench.nn.batches import Batch
from crystalbench.representations import QuotientGraph, SphereGraph
from crystalbench.targets import Kind

QUICK: dict[str, Any] = {"epochs": 2, "width": 16, "layers": 2, "head_width": 8, "batch_size": 16}


def fitted(kind: Kind = Kind.REGRESSION, seed: int = 0, **options: Any) -> SENPublished:
    model = SENPublished(**{**QUICK, **options})
    model.runtime = Runtime(seed=seed)
    train, valid = (random_crystals(s, 24, most_atoms=4) for s in (1, 2))
    return model.fit(samples_of(read_only(train), kind), samples_of(read_only(valid), kind))


def predicted(model: SENPublished, crystals: Crystals, kind: Kind = Kind.REGRESSION) -> np.ndarray:
    samples = Samples(read_only(crystals), TARGETS[kind])
    return model.predict(samples).checked(samples.target, samples.ids).values


def read(crystals: Crystals) -> Batch:
    """A batch of crystals, as input of the network."""
    batch: Batch = batch_of(SENPublished(), crystals)
    return batch


def random_encoder(seed: int = 0, width: int = 64) -> SENPublishedEncoder:
    torch.manual_seed(seed)
    return SENPublishedEncoder(width, 3).eval()


@pytest.fixture(scope="module")
def slightly_trained() -> SENPublished:
    return fitted(epochs=10, width=32, layers=3)


@pytest.fixture(scope="module")
def crystals() -> Crystals:
    return random_crystals(3, 21, most_atoms=5)


# ---------------------------------------------------------------------- invariance


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
        one, other = (
            encoder(read(crystals)),
            encoder(read(change(crystals, seed))),
        )
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
def test_predictions_are_continuous_at_the_cutoff(seed: int) -> None:
    encoder = random_encoder(seed)
    lengths = [5 - 1e-4, 5 - 1e-6, 5.0, 5 + 1e-6, 5 + 1e-5, 5 + 2e-5, 5 + 1e-4]
    with torch.no_grad():  # simple cubic, and body centred: some neighbours are at the cutoff
        for coords, numbers in (([[0, 0, 0]], [84]), ([[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17])):
            cells = [one_crystal(np.eye(3) * a, coords, numbers) for a in lengths]
            rows = torch.cat([encoder(read(rotated(cell, seed))) for cell in cells])
            # In the second, near neighbours move by as much as the cell grows.
            torch.testing.assert_close(rows, rows[[2]].expand_as(rows), atol=1e-3 * float(rows.abs().max()), rtol=0)


def test_crystals_of_a_batch_do_not_influence_each_other(crystals: Crystals, slightly_trained: SENPublished) -> None:
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
    assert min(abs(values[0] - values[1]), abs(values[0] - values[2])) > 1e-4


# ---------------------------------------------------------------------- edge cases


def test_edge_cases_are_predicted(slightly_trained: SENPublished) -> None:
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
    encoder(read(isolated)).square().sum().backward()
    gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in gradients)
    assert sum(float(g.abs().sum()) for g in gradients) > 0


def test_distances_beyond_the_cutoff_do_not_matter() -> None:
    encoder = random_encoder()
    with torch.no_grad():
        rows = encoder(torch_batch := read(_cubes([8.0, 20.0, 150.0])))
    assert torch_batch["counts"].tolist() == [6, 6, 6]
    torch.testing.assert_close(rows, rows[[0]].expand_as(rows), atol=1e-6, rtol=1e-5)


def _cubes(edges: list[float]) -> Crystals:
    lattices = np.eye(3) * np.array(edges)[:, None, None]
    return Crystals.from_flat(lattices, np.zeros((len(edges), 3)), [54] * len(edges), [1] * len(edges))


# ---------------------------------------------------------------------- the contract of models


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_target_is_predicted_reproducibly(kind: Kind) -> None:
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
    for name in ("width", "layers"):
        with pytest.raises(ConfigError, match=f"{name} = 0; it must be at least 1"):
            SENPublished(**{name: 0})
    for name in ("cutoff", "softening"):
        with pytest.raises(ConfigError, match=f"{name} = 0.0; it must be greater than 0"):
            SENPublished(**{name: 0.0})
    with pytest.raises(ConfigError, match=r"softening = 6\.0; it must not be larger than the cutoff, 5"):
        SENPublished(softening=6)
    with pytest.raises(ConfigError, match="presence_noise = -1; it must be at least 0"):
        SENPublished(presence_noise=-1)


# ---------------------------------------------------------------------- reading it


def test_capsules_can_be_read(crystals: Crystals) -> None:
    encoder = random_encoder(width=16)
    batch = read(crystals)
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
