"""Layers over quotient graphs, in which each row is weighted by how often it occurs in the complete graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class WeightedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of weighted rows: `nn.BatchNorm1d` of rows that are repeated ``weights`` times."""

    def forward(self, rows: Tensor, weights: Tensor, factors: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Normalise.

        Args:
            rows: (n, d).
            weights: (n,) float, number of equal rows that each represents.
            factors: (d,) factors of the result.

        Raises:
            ValueError: there is a single row in training mode.
        """
        if not self.training:
            scale, shift = self.folded(factors)
            return torch.addcmul(shift, rows, scale)
        if len(rows) == 1 and weights.item() == 1:
            raise ValueError("expected more than 1 value per channel when training")
        weight, bias = (self.weight, self.bias) if factors is None else (self.weight * factors, self.bias * factors)
        total = weights.sum()
        result: Tensor
        arguments = (rows, weights / total, weight, bias, self.eps)
        result, mean, variance = _Normalised.apply(*arguments)  # type: ignore[no-untyped-call]
        self.track(mean, variance, total)
        return result

    def folded(self, factors: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Scale and shift (d,) of the normalisation in evaluation mode."""
        assert self.running_mean is not None and self.running_var is not None  # they are tracked
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        shift = self.bias - self.running_mean * scale
        return (scale, shift) if factors is None else (scale * factors, shift * factors)

    @torch.no_grad()
    def track(self, mean: Tensor, variance: Tensor, total: Tensor) -> None:
        """Include a batch in the running statistics.

        Args:
            mean: (d,) weighted mean of the rows.
            variance: (d,) weighted variance, divided by ``total``.
            total: (), the sum of the weights.
        """
        assert self.running_mean is not None and self.running_var is not None  # they are tracked
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (total / (total - 1)), self.momentum)
        self.num_batches_tracked += 1


class _Normalised(torch.autograd.Function):
    """Normalisation by the weighted mean and variance of the rows, in few passes over them.

    With weights p (sum 1), μ = Σ p z, σ² = Σ p (z − μ)² and y = γ (z − μ) / σ + β:
    ∂L/∂z = γ / σ (g − p (Σ g + (z − μ) / σ² Σ g (z − μ))) for g = ∂L/∂y. Ioffe and Szegedy, ICML 2015, has p = 1/n.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, shares: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        result, mean, variance, saved = normalised(rows, shares, weight, bias, eps)
        ctx.save_for_backward(*saved)
        ctx.mark_non_differentiable(mean, variance)
        return result, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        d_rows, d_weight, d_bias = normalised_backward(gradient, ctx.saved_tensors)
        return d_rows, None, d_weight, d_bias, None


def normalised(
    rows: Tensor, shares: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
    """The result, mean and variance of `_Normalised`, and what `normalised_backward` needs."""
    mean = shares @ rows
    centred = rows - mean
    result = centred * centred
    variance = shares @ result
    inverse = torch.rsqrt(variance + eps)
    torch.addcmul(bias, centred, weight * inverse, out=result)
    return result, mean, variance, (centred, shares, weight, inverse)


def normalised_backward(gradient: Tensor, saved: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of rows, weight and bias of `normalised`."""
    centred, shares, weight, inverse = saved
    total = gradient.sum(0)
    scratch = gradient * centred
    slope = scratch.sum(0) * inverse
    scale = weight * inverse
    torch.addcmul(scale * total, centred, scale * inverse * slope, out=scratch)
    d_rows = gradient * scale
    d_rows.addcmul_(shares.unsqueeze(1), scratch, value=-1)
    return d_rows, slope, total


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        result, closed = softplus_and_complement(x)
        ctx.save_for_backward(closed)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (closed,) = ctx.saved_tensors
        return torch.addcmul(gradient, gradient, closed, value=-1)


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x), with an absolute error of about 1e-7 in single precision."""
    result: Tensor = _Softplus.apply(x)  # type: ignore[no-untyped-call]
    return result


def softplus_and_complement(x: Tensor) -> tuple[Tensor, Tensor]:
    """softplus(x) = −log σ(−x), and σ(−x), which is 1 minus its derivative.

    This is faster than log1p, with an absolute error of the same size.
    """
    closed = torch.sigmoid(-x)
    return torch.maximum(x, log_of_sigmoid(closed).neg_()), closed


def log_of_sigmoid(sigmoid: Tensor, out: Tensor | None = None) -> Tensor:
    """Logarithm of a sigmoid σ(u), finite even if σ(u) underflows.

    It is then larger than u, so the minimum of u and the result is log σ(u).

    Args:
        sigmoid: σ(u).
        out: where to write the result, such as ``sigmoid`` itself.
    """
    return torch.clamp(sigmoid, min=torch.finfo(sigmoid.dtype).tiny, out=out).log_()
