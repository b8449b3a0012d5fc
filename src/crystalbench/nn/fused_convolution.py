"""The convolution of CGCNN as one operation, with a backward pass written by hand.

Little but element-wise work on edges takes time in this network, and what remains is many small operations on sites. So
one autograd function computes a whole convolution:

* **Statistics without edges.** A gate is z = W x of x = [v_i, v_j, e_ij], so its mean over the edges is W μ, and its
  variance the diagonal of W C Wᵀ with the mean μ and the covariance C of x. Those need no pass over edges with 2 F
  features: the blocks of C with the shells e are equal in all layers (`Moments`), and those with the sites v are sums
  of v over the neighbours of each site, and products of small matrices. Normalisation then scales W, and what edges
  gather is already normalised. Its backward pass needs Σ g and Σ g z over the edges for gradients g, which follow from
  the gradients of the table that edges gather from.
* **Gates in place.** σ(f) and softplus(s) = −log σ(−s) overwrite what was gathered. What the backward pass needs of an
  edge is their product's derivative with respect to f and to −s: two numbers instead of four.
* **Halves apart.** f and −s are gathered into separate arrays, since operations on halves of rows are slower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from crystalbench.nn.edges import sums
from crystalbench.nn.precision import without_autocast
from crystalbench.nn.weighted import (
    WeightedBatchNorm,
    log_of_sigmoid,
    normalised,
    normalised_backward,
    softplus_and_complement,
)

if TYPE_CHECKING:
    from crystalbench.nn.edges import Edges
    from crystalbench.nn.moments import Moments

Statistics = tuple[Tensor, Tensor]
"""Mean and variance (d,) over weighted rows."""


def gated_sum(table: Tensor, edges: Edges) -> Tensor:
    """Σ_j σ(f_ij) · softplus(s_ij) over the edges of each source.

    Args:
        table: (rows, 2 F), from which an edge gathers (f, −s) as the sum of three rows.
        edges: the edges.

    Returns:
        (sites, F).
    """
    if not (torch.is_grad_enabled() and table.requires_grad):
        return _gate(table, edges)
    result: Tensor = _GatedSum.apply(table, edges)  # type: ignore[no-untyped-call]
    return result


class _GatedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, edges: Edges) -> Tensor:
        slopes: list[Tensor] = []
        result = _gate(table, edges, slopes)
        ctx.save_for_backward(*slopes)
        ctx.edges = edges
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return torch.cat(_gate_backward(gradient, ctx.saved_tensors, ctx.edges), dim=1), None


def _gate(table: Tensor, edges: Edges, slopes: list[Tensor] | None = None) -> Tensor:
    """`gated_sum`; appends the derivatives (edges, F) of −σ(f) · softplus(s) by f and by −s to ``slopes``."""
    halves = table.view(2 * len(table), -1)
    opened, closing = (sums(rows, halves, edges.triples) for rows in edges.halves)  # f, −s
    opened.sigmoid_()
    closed = torch.sigmoid(closing)
    if slopes is not None:
        slopes.append(torch.addcmul(opened, opened, closed, value=-1))
    message = torch.minimum(log_of_sigmoid(closed, out=closed), closing, out=closed).mul_(opened)
    result = sums(edges.every, message, edges.offsets, edges.counts[:, 0]).neg_()
    if slopes is not None:
        slopes.insert(0, torch.addcmul(message, message, opened, value=-1, out=message))
    return result


def _gate_backward(gradient: Tensor, slopes: tuple[Tensor, ...], edges: Edges) -> list[Tensor]:
    """Gradients (rows, F) of both halves of the table."""
    upon = functional.embedding_bag(edges.sources, gradient.neg(), mode="sum", per_sample_weights=edges.counts)
    readers, offsets = edges.readers
    first = sums(readers, upon * slopes[0], offsets)
    return [first, sums(readers, upon.mul_(slopes[1]), offsets)]


def training_convolution(
    sites: Tensor,
    gate: nn.Linear,
    gate_norm: WeightedBatchNorm,
    norm: WeightedBatchNorm,
    signs: Tensor,
    edges: Edges,
    moments: Moments,
) -> tuple[Tensor, Statistics, Statistics]:
    """A `crystalbench.nn.convolution.GatedConvolution` in training mode, in single precision also under autocast.

    Args:
        sites: (sites, F).
        gate: the linear map of x, with 2 F outputs f and s. Its bias changes no output, and its gradient is zero.
        gate_norm: normalisation of f and s.
        norm: normalisation of the sums over edges.
        signs: (2 F,) 1 for f and −1 for s.
        edges: the edges.
        moments: the moments of the shells, which have no gradients.

    Returns:
        (sites, F), and the statistics of both normalisations.
    """
    parameters = (gate.weight, gate.bias, gate_norm.weight, gate_norm.bias, norm.weight, norm.bias)
    constants = (signs, edges, moments, gate_norm.eps, norm.eps)
    if sites.dtype in (torch.bfloat16, torch.float16):
        sites = sites.float()
    with without_autocast(sites):
        result, *statistics = _Convolution.apply(sites, *parameters, *constants)  # type: ignore[no-untyped-call]
    return result, (statistics[0], statistics[1]), (statistics[2], statistics[3])


class _Convolution(torch.autograd.Function):
    """With shares p, γ and β of the norm, y = s ⊙ (W x − W μ) + β for s = γ / √(σ² + ε), and σ² = diag(W C Wᵀ).

    For g = ∂L/∂y: ∂L/∂s = Σ g ⊙ W (x − μ), and ∂L/∂σ² = −s / 2 (σ² + ε) ∂L/∂s =: t / 2. So with
    Q = Σ g (x − μ)ᵀ, ∂L/∂W = s Q + t W C, and ∂L/∂x = Wᵀ (s g) + p (Wᵀ t W (x − μ) − Wᵀ s Σ g).
    """

    @staticmethod
    def forward(
        ctx: Any,
        sites: Tensor,
        weight: Tensor,
        bias: Tensor,
        gate_scale: Tensor,
        gate_shift: Tensor,
        norm_scale: Tensor,
        norm_shift: Tensor,
        signs: Tensor,
        edges: Edges,
        moments: Moments,
        gate_eps: float,
        norm_eps: float,
    ) -> tuple[Tensor, ...]:
        count, width = sites.shape
        means = moments.of_sites @ sites  # of the sources, and of the neighbours
        centred = sites - means[0]  # which makes the covariance more exact, and changes no result
        own, other, mean, covariance = _covariance(centred, means[1] - means[0], edges, moments)
        turned = weight @ covariance
        variance = (turned * weight).sum(1).clamp_(min=0)
        inverse = torch.rsqrt(variance + gate_eps)
        scale = gate_scale * signs * inverse
        scaled = weight * scale.unsqueeze(1)
        table = sites.new_empty(edges.table_rows, 2 * width)
        shift = torch.addmv(gate_shift * signs, scaled, mean, alpha=-1)
        torch.addmm(shift, centred, scaled[:, :width].t(), out=table[:count])
        torch.mm(centred, scaled[:, width : 2 * width].t(), out=table[count : 2 * count])
        torch.mm(moments.shells, scaled[:, 2 * width :].t(), out=table[2 * count :])
        slopes: list[Tensor] = []
        summed = _gate(table, edges, slopes)
        outer, norm_mean, norm_variance, saved = normalised(
            summed, moments.site_shares, norm_scale, norm_shift, norm_eps
        )
        result, closed = softplus_and_complement(outer.add_(sites))
        gate_mean = torch.addmv(bias, weight, torch.cat([means.flatten(), moments.mean]))
        ctx.edges, ctx.moments = edges, moments
        ctx.save_for_backward(
            *(weight, scaled, scale, inverse, signs, turned, mean, centred, own, other, closed, *slopes, *saved)
        )
        statistics = gate_mean, variance, norm_mean, norm_variance
        ctx.mark_non_differentiable(*statistics)
        return result, *statistics

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        with without_autocast(gradient):
            return *_Convolution._gradients(ctx, gradient), None, None, None, None, None

    @staticmethod
    def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        edges: Edges = ctx.edges
        moments: Moments = ctx.moments
        weight, scaled, scale, inverse, signs, turned, mean, centred, own, other, closed, *rest = ctx.saved_tensors
        slopes, saved = rest[:2], rest[2:]
        count, width = centred.shape
        d_sites = torch.addcmul(gradient, gradient, closed, value=-1)
        d_summed, d_norm_scale, d_norm_shift = normalised_backward(d_sites, saved)
        tables = _gate_backward(d_summed, slopes, edges)
        parts = slice(count), slice(count, 2 * count), slice(2 * count, None)  # sources, neighbours, shells
        d_weight, halves = torch.empty_like(weight), (slice(width), slice(width, None))
        columns = slice(width), slice(width, 2 * width), slice(2 * width, None)
        for half, d_table in zip(halves, tables, strict=True):
            for part, read, inputs in zip(parts, columns, (centred, centred, moments.shells), strict=True):
                torch.mm(d_table[part].t(), inputs, out=d_weight[half, read])
                if inputs is centred:
                    d_sites.addmm_(d_table[part], scaled[half, read])
        d_gate_shift = torch.cat([d_table[:count].sum(0) for d_table in tables])
        d_weight.addr_(d_gate_shift, mean, alpha=-1)
        d_scale = (weight * d_weight).sum(1)
        turn = (d_scale * scale * inverse.square()).neg_()
        d_weight.mul_(scale.unsqueeze(1)).addcmul_(turned, turn.unsqueeze(1))
        # What the statistics add to the gradients of the sites.
        mixed = weight[:, : 2 * width].t() @ (weight * turn.unsqueeze(1))
        constant = torch.addmv(scaled[:, : 2 * width].t() @ d_gate_shift, mixed, mean)
        back = sums(*moments.to_neighbors[:1], centred, *moments.to_neighbors[1:])
        d_sites.addmm_(own, mixed[:width].t())
        d_sites.addmm_(back, mixed[width:, :width].t()).addmm_(other, mixed[width:, width:].t())
        d_sites.addmm_(moments.of_sites.t(), constant.view(2, width), alpha=-1)
        d_bias = torch.zeros_like(d_gate_shift)
        gradients = d_weight, d_bias, d_scale * signs * inverse, d_gate_shift * signs, d_norm_scale, d_norm_shift
        return d_sites, *gradients


def _covariance(
    centred: Tensor, offset: Tensor, edges: Edges, moments: Moments
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The mean and covariance of x over the edges, and what they are made of.

    Args:
        centred: (sites, F) features v of the sites, with the mean zero over the sources of the edges.
        offset: (F,) their mean over the neighbours.
        edges: the edges.
        moments: the moments of the shells.

    Returns:
        (sites, 2 F + G) the sums of p x over the edges of each source; (sites, F + G) those of p [v_j, e_ij] over the
        edges of each neighbour j; (2 F + G,) the mean of x; (2 F + G, 2 F + G) its covariance.
    """
    width, (of_sources, of_neighbors) = centred.shape[1], moments.of_sites.unsqueeze(2)
    neighbors, weights = moments.from_neighbors
    around = sums(neighbors, centred, edges.offsets, weights)
    own = torch.cat([centred * of_sources, around, moments.around_sources], dim=1)
    other = torch.cat([centred * of_neighbors, moments.around_neighbors], dim=1)
    first, second = centred.t() @ own, centred.t() @ other
    mean = torch.cat([torch.zeros_like(offset), offset, moments.mean])
    rows = [first, torch.cat([first[:, width : 2 * width].t(), second], dim=1)]
    rows.append(torch.cat([first[:, 2 * width :].t(), second[:, width:].t(), moments.second], dim=1))
    return own, other, mean, torch.cat(rows).addr_(mean, mean, alpha=-1)
