"""CGCNN's gated convolution over quotient graphs.

What costs time is element-wise work on the edges. So there are few passes over them, and backward passes are written
out where automatic ones would take more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from crystalbench.models.weighted import WeightedBatchNorm, logarithm, softplus

if TYPE_CHECKING:
    from crystalbench.models.batches import Batch


@dataclass(frozen=True, eq=False)
class Edges:
    """The edges of a batch of quotient graphs.

    An edge reads three rows of a table, which has one for each site as a source, one for each site as a neighbour, and
    one for each shell.

    Attributes:
        rows: (edges, 3) int64 rows of the table.
        counts: (edges, 1) float, the neighbours of an atom that an edge stands for.
        weights: (edges,) float, the edges of the whole graph that an edge stands for.
        offsets: (sites + 1,) int64, where the edges of each source begin.
        readers: (3 edges,) int64, the edges that read the rows of the table, row after row.
        reader_offsets: (2 sites + shells + 1,) int64, where the edges that read each row begin.
    """

    rows: Tensor
    counts: Tensor
    weights: Tensor
    offsets: Tensor
    readers: Tensor
    reader_offsets: Tensor

    @classmethod
    def of(cls, batch: Batch) -> Edges:
        """Those of a batch of `QuotientGraph`."""
        sources, sites, shells = batch["sources"], len(batch["numbers"]), len(batch["distances"])
        rows = torch.stack([sources, batch["neighbors"] + sites, batch["shells"] + 2 * sites])
        counts = batch["counts"].to(batch["distances"].dtype)
        weights = counts * batch["multiplicities"][sources]
        ordered, readers = torch.sort(rows.flatten(), stable=True)
        # Not torch.bincount, which waits for a GPU.
        offsets = torch.searchsorted(ordered, torch.arange(2 * sites + shells + 1, device=rows.device))
        readers = readers % max(1, len(sources))
        return cls(rows.t().contiguous(), counts.unsqueeze(1), weights, offsets[: sites + 1], readers, offsets)

    @property
    def sources(self) -> Tensor:
        """(edges, 1) int64 the site at which each edge begins."""
        return self.rows[:, :1]


class _Read(torch.autograd.Function):
    """The sum of the three rows that each edge reads: table (rows, d) to (edges, d)."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, edges: Edges) -> Tensor:
        ctx.edges = edges
        return functional.embedding_bag(edges.rows, table, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _sums(ctx.edges.readers, gradient, ctx.edges.reader_offsets), None


class _GatedSum(torch.autograd.Function):
    """Σ_j σ(f_ij) · softplus(s_ij) over the edges of each source, from (f, −s): (edges, 2 F) to (sites, F).

    As softplus(s) = −log σ(−s), both halves need the same sigmoid, whose values are all that the backward pass needs.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, edges: Edges) -> Tensor:
        width = gates.shape[1] // 2
        opened = torch.sigmoid(gates)
        message = logarithm(opened[:, width:])
        torch.minimum(message, gates[:, width:], out=message)
        ctx.save_for_backward(opened, message)
        ctx.edges = edges
        every = torch.arange(len(gates), device=gates.device)
        return _sums(every, opened[:, :width] * message, edges.offsets, edges.counts[:, 0]).neg_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        opened, message = ctx.saved_tensors
        edges: Edges = ctx.edges
        width = message.shape[1]
        d_gates = torch.empty_like(opened)
        upon, first = d_gates[:, width:], d_gates[:, :width]
        weighted = functional.embedding_bag(edges.sources, gradient.neg(), mode="sum", per_sample_weights=edges.counts)
        torch.mul(weighted, opened[:, :width], out=upon)
        torch.mul(upon, message, out=first)
        return d_gates.addcmul_(d_gates, opened, value=-1), None


def _sums(rows: Tensor, values: Tensor, offsets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Sums of segments of chosen rows: the fastest there is, and the order of its additions is always the same."""
    return functional.embedding_bag(
        rows, values, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


class GatedConvolution(nn.Module):
    """One convolution of CGCNN.

    v_i' = softplus(v_i + BN(Σ_j sigmoid(f_ij) · softplus(s_ij))) with (f, s)_ij = BN(W [v_i, v_j, e_ij] + b).
    W is applied in three parts, W_i v_i + W_j v_j + W_e e_ij: once for a site, a site and a shell, and not for every
    edge, the same mathematics with fewer operations. Sums and the statistics of both BN are those of the whole graph.

    Args:
        width: features of an atom, F.
        shell_width: features of a distance.
    """

    signs: Tensor

    def __init__(self, width: int, shell_width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * width + shell_width, 2 * width)
        self.gate_norm = WeightedBatchNorm(2 * width)
        self.norm = WeightedBatchNorm(width)
        self.register_buffer("signs", torch.ones(2 * width).index_fill_(0, torch.arange(width, 2 * width), -1), False)

    def forward(self, sites: Tensor, shells: Tensor, edges: Edges, multiplicities: Tensor) -> Tensor:
        """Update sites.

        Args:
            sites: (sites, F).
            shells: (shells, shell_width).
            edges: the edges between them.
            multiplicities: (sites,) float.

        Returns:
            (sites, F).
        """
        weight: Tensor = self.gate.weight
        bias: Tensor = self.gate.bias
        if not self.training:  # the normalisation is linear then, and cheaper on the weights than on the edges
            scale, shift = self.gate_norm.folded(self.signs)
            weight, bias = weight * scale.unsqueeze(1), torch.addcmul(shift, bias, scale)
        own, other, shell = torch.split(weight, [sites.shape[1], sites.shape[1], shells.shape[1]], dim=1)
        linear = functional.linear
        table = torch.cat([linear(sites, own, bias), linear(sites, other), linear(shells, shell)])
        gates: Tensor = _Read.apply(table, edges)  # type: ignore[no-untyped-call]
        if self.training:
            gates = self.gate_norm(gates, edges.weights, self.signs)
        summed: Tensor = _GatedSum.apply(gates, edges)  # type: ignore[no-untyped-call]
        return softplus(sites + self.norm(summed, multiplicities))
