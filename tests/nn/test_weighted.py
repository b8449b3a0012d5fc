"""Layers with weighted rows agree with the ordinary layers on repeated rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from crystalbench.nn.weighted import WeightedBatchNorm, softplus


@pytest.fixture
def rows() -> Tensor:
    torch.manual_seed(0)
    return 3 * torch.randn(40, 6, dtype=torch.float64) + torch.arange(6)


@pytest.fixture
def weights() -> Tensor:
    return torch.arange(40) % 5 + 1


def _norm(kind: type[nn.BatchNorm1d]) -> nn.BatchNorm1d:
    torch.manual_seed(1)
    norm = kind(6, dtype=torch.float64)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.bias)
    return norm


def _gradients(outputs: Tensor, upon: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad((outputs * upon).sum(), inputs)


@pytest.mark.parametrize("train", [True, False])
def test_the_norm_agrees_with_repeated_rows(train: bool, rows: Tensor, weights: Tensor) -> None:
    plain, ours = _norm(nn.BatchNorm1d), _norm(WeightedBatchNorm)
    for _ in range(2):  # moves the running statistics
        plain(rows.repeat_interleave(weights, 0))
        ours(rows, weights.double())
    torch.testing.assert_close(ours.state_dict(), plain.state_dict())
    plain.train(train)
    ours.train(train)
    rows.requires_grad_()
    upon = torch.randn(40, 6, dtype=torch.float64)
    mine = ours(rows, weights.double())
    theirs = plain(rows.repeat_interleave(weights, 0))
    torch.testing.assert_close(mine.repeat_interleave(weights, 0), theirs)
    expected = _gradients(theirs, upon.repeat_interleave(weights, 0), rows, *plain.parameters())
    found = _gradients(mine, upon * weights.unsqueeze(1), rows, *ours.parameters())
    assert float(expected[0].abs().max()) > 0.1
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("train", [True, False])
def test_factors_multiply_the_result(train: bool, rows: Tensor, weights: Tensor) -> None:
    factors = torch.tensor([1, -1, 2, 1, -1, 0.5], dtype=torch.float64)
    plain, ours = (_norm(WeightedBatchNorm).train(train) for _ in range(2))
    torch.testing.assert_close(ours(rows, weights.double(), factors), factors * plain(rows, weights.double()))


def test_a_single_row_cannot_be_normalised() -> None:
    norm = WeightedBatchNorm(2)
    assert norm(torch.ones(1, 2), torch.full((1,), 2.0)).isfinite().all()  # two equal rows can
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norm(torch.ones(1, 2), torch.ones(1))


def test_softplus_agrees_with_torch() -> None:
    x = torch.cat([torch.linspace(-30, 30, 4001), torch.tensor([-1e4, -200.0, -90.0, 86.0, 88.0, 90.0, 200.0, 1e4])])
    x.requires_grad_()
    mine = softplus(x)
    exact = torch.logaddexp(x.double(), torch.zeros(())).detach()
    torch.testing.assert_close(mine.double(), exact, atol=2e-7, rtol=2e-7)
    (gradient,) = torch.autograd.grad(mine.sum(), x)
    torch.testing.assert_close(gradient, torch.sigmoid(x), atol=2e-7, rtol=1e-6)
