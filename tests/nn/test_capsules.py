"""Capsules: symmetry, couplings that compete, and each number of iterations against plain formulas."""

from __future__ import annotations

import pytest
import torch
from e3nn import o3
from torch import Tensor

from crystalbench.nn import batches
from crystalbench.nn.batches import Batch
from crystalbench.nn.capsules import CapsuleRouting, Capsules, presence, squashing

WIDTH, CHANNELS, CAPSULES = 6, 4, 3
COUNTS = (3, 5)


def batch_of(counts: tuple[int, ...] = COUNTS) -> Batch:
    numbers = torch.tensor(counts)
    owners = torch.repeat_interleave(numbers)
    return Batch(torch.arange(len(counts)), {}, {"atom": owners}, {"atom": numbers})


def layer(iterations: int, lmax: int = 2) -> CapsuleRouting:
    torch.manual_seed(1)
    return CapsuleRouting(WIDTH, CHANNELS, CAPSULES, iterations, lmax).double()


def atoms(lmax: int = 2) -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    count = sum(COUNTS)
    return torch.randn(count, WIDTH).double(), 2 * torch.randn((lmax + 1) ** 2, count, CHANNELS).double()


def squash(vectors: Tensor) -> Tensor:
    """Vectors of the same directions as vectors (..., d), squashed."""
    return vectors * squashing(vectors.square().mean(-1, keepdim=True))


def votes_of(routing: CapsuleRouting, scalars: Tensor, tensors: Tensor) -> Tensor:
    """Votes (N, K, F + (lmax + 1)² C) of the atoms: features and pose, side by side."""
    features = routing.vote(scalars).unflatten(-1, (CAPSULES, -1))
    poses = routing.pose_vote(tensors).unflatten(-1, (CAPSULES, -1)).movedim(0, 2)
    return torch.cat([features, poses.flatten(2)], dim=-1)


@torch.no_grad()
def plain(routing: CapsuleRouting, scalars: Tensor, tensors: Tensor) -> tuple[Tensor, Tensor]:
    """Couplings (N, K) and capsules (K, d) of a single crystal: Procedure 1 of Sabour et al. as a loop."""
    votes = votes_of(routing, scalars, tensors)
    logits = torch.zeros(len(votes), CAPSULES).double() if routing.logits is None else routing.logits(scalars)
    for iteration in range(max(1, routing.iterations)):
        couplings = torch.softmax(logits, dim=1)
        capsules = torch.zeros_like(votes[0])
        for i in range(len(votes)):
            for k in range(CAPSULES):
                capsules[k] += CAPSULES / len(votes) * couplings[i, k] * votes[i, k]
        if iteration + 1 < routing.iterations:
            for i in range(len(votes)):
                for k in range(CAPSULES):
                    logits[i, k] += votes[i, k] @ squash(capsules)[k] / votes.shape[2] ** 0.5
    return couplings, capsules


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("lmax", [0, 1, 2])
@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_couplings_are_invariant_and_poses_rotate(iterations: int, lmax: int) -> None:
    routing, (scalars, tensors) = layer(iterations, lmax), atoms(lmax)
    before = routing(scalars, tensors, batch_of())
    turn = o3.rand_matrix(dtype=torch.float64)
    for operation in (turn, -turn):
        turned = torch.block_diag(
            *(o3.Irrep(degree, (-1) ** degree).D_from_matrix(operation) for degree in range(lmax + 1))
        ).double()
        after = routing(scalars, torch.einsum("ml,lnc->mnc", turned, tensors), batch_of())
        for name in ("couplings", "shares", "presences", "features"):
            close(getattr(after, name), getattr(before, name), 1e-5)
        close(after.poses, turned @ before.poses, 1e-5)
        if lmax:
            assert (after.poses - before.poses).abs().max() > 0.05


@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_routing_equals_the_published_procedure(iterations: int) -> None:
    routing, (scalars, tensors) = layer(iterations), atoms()
    found = routing(scalars, tensors, batch_of())
    start = 0
    for i, count in enumerate(COUNTS):
        rows = slice(start, start + count)
        couplings, capsules = plain(routing, scalars[rows], tensors[:, rows])
        close(found.couplings[rows], couplings)
        close(torch.cat([found.features[i], found.poses[i].flatten(1)], dim=1), capsules)
        start += count


def test_capsules_do_not_depend_on_the_order_of_atoms_or_on_repeated_cells() -> None:
    routing, (scalars, tensors) = layer(3), atoms()
    expected = routing(scalars, tensors, batch_of())
    order = torch.tensor([2, 0, 1, 7, 3, 6, 4, 5])
    close(routing(scalars[order], tensors[:, order], batch_of()).poses, expected.poses)
    twice = torch.tensor([0, 1, 2, 0, 1, 2, *range(3, 8), *range(3, 8)])
    repeated = routing(scalars[twice], tensors[:, twice], batch_of((6, 10)))
    close(repeated.couplings, expected.couplings[twice])
    for name in ("shares", "presences", "features", "poses"):
        close(getattr(repeated, name), getattr(expected, name))


@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_a_row_may_represent_several_equal_atoms(iterations: int) -> None:
    routing, (scalars, tensors) = layer(iterations), atoms()
    weights = torch.tensor([2.0, 1, 3, 1, 1, 4, 1, 2]).double()
    repeats = torch.repeat_interleave(torch.arange(8), weights.long())
    found = routing(scalars, tensors, batch_of(), weights=weights)
    expected = routing(scalars[repeats], tensors[:, repeats], batch_of((6, 9)))
    close(found.couplings[repeats], expected.couplings)
    for name in ("shares", "presences", "features", "poses"):
        close(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_groups_of_crystals_of_similar_size_give_the_same_capsules(
    iterations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = (2, 12, 1, 3, 1, 4, 12)
    torch.manual_seed(2)
    scalars = torch.randn(sum(counts), WIDTH).double()
    tensors = torch.randn(9, sum(counts), CHANNELS).double()
    weights = torch.arange(1, sum(counts) + 1).double()
    results = []
    for padded, groups in ((10**6, 1), (12, 4)):
        monkeypatch.setattr(batches, "_PADDED", padded)
        assert len(batch_of(counts).places("atom")) == groups
        inputs = [scalars.clone().requires_grad_(), tensors.clone().requires_grad_()]
        found = layer(iterations)(*inputs, batch_of(counts), weights=weights)
        outputs = [found.couplings, found.shares, found.presences, found.features, found.poses]
        results.append([*outputs, *torch.autograd.grad(sum(o.square().sum() for o in outputs), inputs)])
    for one, several in zip(*results, strict=True):
        close(several, one)


@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_couplings_and_shares_sum_to_one_over_the_capsules(iterations: int) -> None:
    found = layer(iterations)(*atoms(), batch_of())
    close(found.couplings.sum(1), torch.ones(sum(COUNTS)).double())
    close(found.shares.sum(1), torch.ones(len(COUNTS)).double())
    assert ((found.presences > 0) & (found.presences < 1)).all()


def test_without_iterations_couplings_are_equal_and_with_one_they_are_learned() -> None:
    scalars, tensors = atoms()
    equal = torch.full((sum(COUNTS), CAPSULES), 1 / CAPSULES, dtype=torch.float64)
    close(layer(0)(scalars, tensors, batch_of()).couplings, equal)
    routing = layer(1)
    assert routing.logits is not None
    learned = torch.softmax(routing.logits(scalars), dim=1)
    close(routing(scalars, tensors, batch_of()).couplings, learned)
    routing.iterations = 3
    assert (routing(scalars, tensors, batch_of()).couplings - learned).abs().max() > 0.01


def test_a_capsule_that_agrees_more_takes_atoms_from_the_others() -> None:
    """All atoms have the same vote for the first capsule and zero votes for the others; then the first one grows."""

    def routed(length: float) -> Capsules:
        routing = layer(3)
        with torch.no_grad():
            for parameter in (*routing.vote.parameters(), *routing.pose_vote.parameters()):
                parameter.zero_()
            routing.vote.bias[:WIDTH] = length
        found: Capsules = routing(*atoms(), batch_of())
        return found

    weak, strong = routed(0.5), routed(2.0)
    assert (strong.couplings[:, 0] > weak.couplings[:, 0]).all()
    assert (strong.couplings[:, 1:] < weak.couplings[:, 1:]).all()
    assert (strong.presences[:, 0] > weak.presences[:, 0]).all()


def test_squashing_keeps_the_direction_and_bounds_the_length() -> None:
    vectors = torch.tensor([[3, 4], [0.3, 0.4], [300, 400], [0, 0]], dtype=torch.float64)
    squashed, lengths = squash(vectors), presence(vectors)
    close(lengths[:2], torch.tensor([12.5 / 13.5, 0.125 / 1.125], dtype=torch.float64))
    close(squashed[:3].square().mean(1).sqrt(), lengths[:3], 1e-3)
    close(squashed[:3, 0] / squashed[:3, 1], torch.full((3,), 0.75).double())
    assert lengths[2] < 1
    assert squashed[3].tolist() == [0, 0]


def test_capsules_that_vanish_have_a_gradient() -> None:
    vectors = torch.zeros(1, 4, requires_grad=True)
    squash(vectors).sum().backward()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()
    assert vectors.grad.abs().min() > 0
