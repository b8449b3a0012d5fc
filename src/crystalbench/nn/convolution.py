"""The gated convolution of CGCNN over quotient graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from crystalbench.nn.fused_convolution import gated_sum, training_convolution
from crystalbench.nn.weighted import WeightedBatchNorm, softplus

if TYPE_CHECKING:
    from crystalbench.nn.edges import Edges
    from crystalbench.nn.moments import Moments


class GatedConvolution(nn.Module):
    """One convolution of CGCNN.

    v_i' = softplus(v_i + BN(Σ_j sigmoid(f_ij) · softplus(s_ij))) with (f, s)_ij = BN(W [v_i, v_j, e_ij] + b).
    W is applied in three parts, W_i v_i + W_j v_j + W_e e_ij, once per site or shell instead of once per edge: the same
    function with fewer operations. Sums and the statistics of both BN are those of the complete
    graph; edges of a `WeightedGraph` count with their weights. In training mode, one function computes all of it, with
    a backward pass written by hand (`training_convolution`).

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

    def forward(self, sites: Tensor, shells: Tensor, edges: Edges, moments: Moments | None) -> Tensor:
        """Update sites.

        Args:
            sites: (sites, F).
            shells: (shells, shell_width); in training mode without gradients.
            edges: the edges between them.
            moments: the moments of the shells, in training mode; they are not used in evaluation mode.

        Returns:
            (sites, F).

        Raises:
            ValueError: there is a single row to normalise in training mode.
        """
        if self.training:
            assert moments is not None
            result, gate_statistics, statistics = training_convolution(
                sites, self.gate, self.gate_norm, self.norm, self.signs, edges, moments
            )
            self.gate_norm.track(*gate_statistics, moments.edges_total)
            self.norm.track(*statistics, moments.sites_total)
            return result
        # Normalisation is linear then, and cheaper for weights than for edges.
        scale, shift = self.gate_norm.folded(self.signs)
        weight, bias = self.gate.weight * scale.unsqueeze(1), torch.addcmul(shift, self.gate.bias, scale)
        own, other, shell = torch.split(weight, [sites.shape[1], sites.shape[1], shells.shape[1]], dim=1)
        linear = functional.linear
        table = torch.cat([linear(sites, own, bias), linear(sites, other), linear(shells, shell)])
        scale, shift = self.norm.folded()
        summed = gated_sum(table.to(edges.counts.dtype), edges)  # which autocast would have made half of the bits
        return softplus(sites + torch.addcmul(shift, summed, scale))
