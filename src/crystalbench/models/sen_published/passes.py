"""Element-wise operations of `sen_published` with hand-written backward passes, which are faster than autograd's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from crystalbench.nn.edges import sums

if TYPE_CHECKING:
    from crystalbench.nn.edges import Segments

_ALPHA, _SCALE = 1.6732632423543772, 1.0507009873554805  # of selu
_FEW = 1 << 15  # number of elements below which one slow operation takes less time than several fast ones


class FastSELU(nn.Module):
    """`nn.SELU` computed by exp, which is faster than expm1, with an absolute error of the same size."""

    def forward(self, x: Tensor) -> Tensor:
        """Element-wise selu of x."""
        result: Tensor = _SELU.apply(x)  # type: ignore[no-untyped-call]
        return result


class _SELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        result = _selu(x)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        return _selu_backward(gradient, result)


def _selu(x: Tensor) -> Tensor:
    if x.numel() < _FEW:
        return functional.selu(x)
    below = x.clamp(max=0).exp_().sub_(1)
    return x.clamp(min=0).add_(below, alpha=_ALPHA).mul_(_SCALE)


def _selu_backward(gradient: Tensor, result: Tensor) -> Tensor:
    slope: Tensor = torch.ops.aten.elu_backward(gradient, _ALPHA, _SCALE, 1.0, True, result)
    return slope


def gated(gates: Tensor) -> Tensor:
    """Values times attention, selu(h ⊙ sigmoid(a)) of (h, a): (rows, 2 F) to (rows, F).

    The published network sums twelve such pairs, which a convolution over inputs arranged as an image computes, and its
    attention is a softmax over the F features, under which most of an update vanishes.
    """
    result: Tensor = _Gated.apply(gates)  # type: ignore[no-untyped-call]
    return result


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor) -> Tensor:
        values, logits = gates.chunk(2, dim=-1)
        opened = torch.sigmoid(logits)
        product = values * opened
        result = _selu(product)
        ctx.save_for_backward(opened, product, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        opened, product, result = ctx.saved_tensors
        width = opened.shape[1]
        slope = _selu_backward(gradient, result)
        d_gates = gradient.new_empty(len(gradient), 2 * width)
        first = torch.mul(slope, opened, out=d_gates[:, :width])
        torch.sub(slope, first, out=d_gates[:, width:]).mul_(product)  # h σ(a) (1 − σ(a))
        return d_gates


def attend(rows: Tensor, queries: Tensor, segments: Segments, log_weights: Tensor, log_empty: Tensor) -> Tensor:
    """Σ_i a_i x_i (n, F) with a the weighted softmax of x_i · q over each crystal.

    Args:
        rows: (rows, F) x.
        queries: (n, F) q, one for each crystal.
        segments: the rows of each crystal.
        log_weights: (rows,) logarithms of the weights.
        log_empty: (n,) logarithms of the weights of an additional zero row for each crystal.
    """
    result: Tensor = _Attend.apply(rows, queries, segments, log_weights, log_empty)  # type: ignore[no-untyped-call]
    return result


class _Attend(torch.autograd.Function):
    """For g = ∂L/∂(Σ a x): ∂L/∂s_i = a_i (g · x_i − g · Σ a x) of the logits s, and ∂L/∂x_i = a_i g + ∂L/∂s_i q."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, queries: Tensor, segments: Segments, log_weights: Tensor, log_empty: Tensor
    ) -> Tensor:
        owners = segments.owners
        queries = queries.index_select(0, owners)
        logits = (rows * queries).sum(1).add_(log_weights)
        largest = log_empty.scatter_reduce(0, owners, logits, "amax")
        powers = (logits - largest.index_select(0, owners)).exp_()
        total = (log_empty - largest).exp_().index_add_(0, owners, powers)
        shares = powers.div_(total.index_select(0, owners))
        result = sums(segments.every, rows, segments.offsets, shares)
        ctx.save_for_backward(rows, queries, shares, result)
        ctx.segments = segments
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, queries, shares, result = ctx.saved_tensors
        segments: Segments = ctx.segments
        upon = gradient.index_select(0, segments.owners)
        inner = (gradient * result).sum(1).index_select(0, segments.owners)
        d_logits = (rows * upon).sum(1).sub_(inner).mul_(shares)
        d_rows = upon.mul_(shares.unsqueeze(1)).addcmul_(queries, d_logits.unsqueeze(1))
        return d_rows, sums(segments.every, rows, segments.offsets, d_logits), None, None, None
