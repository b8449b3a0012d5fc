"""Operations with hand-written backward passes, compared with autograd and with finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional

from crystalbench.models.sen_published import passes
from crystalbench.models.sen_published.passes import FastSELU, attend, gated
from crystalbench.nn.batches import offsets_of
from crystalbench.nn.edges import Segments


def _random(*shape: int, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return (2 * torch.randn(*shape, dtype=torch.float64)).requires_grad_()


@pytest.fixture(params=[0, 1 << 15])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pass by exp, and the ordinary one for few numbers."""
    monkeypatch.setattr(passes, "_FEW", request.param)


@pytest.mark.usefixtures("few")
def test_selu_agrees_with_torch() -> None:
    x = torch.cat([torch.linspace(-30, 30, 4001), torch.tensor([-1e4, -200.0, -1e-8, 0.0, 1e-8, 200.0, 1e4])])
    x.requires_grad_()
    mine, exact = FastSELU()(x), functional.selu(x.detach().double())
    torch.testing.assert_close(mine.double(), exact, atol=3e-7, rtol=2e-7)
    (gradient,) = torch.autograd.grad(mine.sum(), x)
    (expected,) = torch.autograd.grad(functional.selu(x).sum(), x)
    torch.testing.assert_close(gradient, expected, atol=3e-7, rtol=1e-6)


@pytest.mark.usefixtures("few")
def test_gated_agrees_with_its_formula() -> None:
    gates = _random(7, 6)
    torch.testing.assert_close(gated(gates), functional.selu(gates[:, :3] * torch.sigmoid(gates[:, 3:])))
    assert gradcheck(gated, gates)


@pytest.mark.parametrize("empty", [[0.0, 0.0, 0.0], [0.02, 1.0, 30.0]])
def test_attention_is_a_weighted_softmax(empty: list[float]) -> None:
    rows, queries, weights = _random(9, 4), _random(3, 4, seed=1), torch.rand(9, dtype=torch.float64) + 0.1
    counts, more = torch.tensor([2, 6, 1]), torch.tensor(empty, dtype=torch.float64)
    segments = Segments.of(torch.repeat_interleave(counts), offsets_of(counts))

    def attended(rows: Tensor, queries: Tensor) -> Tensor:
        return attend(rows, queries, segments, weights.log(), more.log())

    expected = []
    for part, query, weight, extra in zip(rows.split([2, 6, 1]), queries, weights.split([2, 6, 1]), more, strict=True):
        powers = weight * (part @ query).exp()
        expected.append(powers @ part / (powers.sum() + extra))
    torch.testing.assert_close(attended(rows, queries), torch.stack(expected))
    assert gradcheck(attended, (rows, queries))
    assert torch.isfinite(attended(1e4 * rows, queries)).all()
