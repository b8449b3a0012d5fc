"""The gated convolution of CGCNN over quotient graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from crystalbench.nn.edges import sums
from crystalbench.nn.weighted import WeightedBatchNorm, log_of_sigmoid, softplus

if TYPE_CHECKING:
    from crystalbench.nn.edges import Edges


class _GatedSum(torch.autograd.Function):
    """Σ_j σ(f_ij) · softplus(s_ij) over the edges of each source, from (f, −s): (edges, 2 F) to (sites, F).

    Since softplus(s) = −log σ(−s), both halves need the same sigmoid, and the backward pass needs only its values.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, edges: Edges) -> Tensor:
        width = gates.shape[1] // 2
        opened = torch.sigmoid(gates)
        message = log_of_sigmoid(opened[:, width:])
        torch.minimum(message, gates[:, width:], out=message)
        ctx.save_for_backward(opened, message)
        ctx.edges = edges
        every = torch.arange(len(gates), device=gates.device)
        return sums(every, opened[:, :width] * message, edges.offsets, edges.counts[:, 0]).neg_()

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


class GatedConvolution(nn.Module):
    """One convolution of CGCNN.

    v_i' = softplus(v_i + BN(Σ_j sigmoid(f_ij) · softplus(s_ij))) with (f, s)_ij = BN(W [v_i, v_j, e_ij] + b).
    W is applied in three parts, W_i v_i + W_j v_j + W_e e_ij, once per site or shell instead of once per edge: the same
    function with fewer operations. Sums and the statistics of both BN are those of the complete
    graph; edges of a `WeightedGraph` count with their weights.

    Args:
        width: features of an atom, F.
        shell_width: features of a shell, that is of a distance.
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
        if not self.training:  # normalisation is linear then, and cheaper for weights than for edges
            scale, shift = self.gate_norm.folded(self.signs)
            weight, bias = weight * scale.unsqueeze(1), torch.addcmul(shift, bias, scale)
        own, other, shell = torch.split(weight, [sites.shape[1], sites.shape[1], shells.shape[1]], dim=1)
        linear = functional.linear
        table = torch.cat([linear(sites, own, bias), linear(sites, other), linear(shells, shell)])
        gates = edges.read(table)
        if self.training:
            gates = self.gate_norm(gates, edges.weights, self.signs)
        summed: Tensor = _GatedSum.apply(gates, edges)  # type: ignore[no-untyped-call]
        return softplus(sites + self.norm(summed, multiplicities))
