"""Weighted moments of what the edges of a batch connect, for statistics over edges that need no pass over the edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from crystalbench.nn.edges import NEIGHBORS, SHELLS, sums
from crystalbench.nn.precision import without_autocast

if TYPE_CHECKING:
    from crystalbench.nn.edges import Edges


@dataclass(frozen=True, eq=False)
class Moments:
    """The part of the moments of x_ij = [v_i, v_j, e_ij] over the edges that does not depend on the sites' features v.

    An edge has the share p_ij of the weight of all edges, with the sum 1. Over the complete graph, x has the mean
    Σ p x and the second moments Σ p x xᵀ. The blocks with shells e only, and the sums of p e over the edges of each
    site, are equal in all layers of a network; `crystalbench.nn.fused_convolution` adds those with v.

    Attributes:
        shells: (shells, G) features of the shells, without gradients.
        from_neighbors: (edges,) int32 neighbour, and share p, of the edges by source.
        to_neighbors: (edges,) int32 source of the edges by neighbour; (sites + 1,) int32, where those of each neighbour
            begin; (edges,) their shares.
        of_sites: (2, sites) sums of the shares of the edges of a site: as a source, and as a neighbour.
        around_sources: (sites, G) Σ p e over the edges of each source.
        around_neighbors: (sites, G) the same for each neighbour.
        mean: (G,) Σ p e over all edges.
        second: (G, G) Σ p e eᵀ over all edges.
        site_shares: (sites,) the share of each site in the atoms.
        edges_total: (), the sum of the weights of all edges.
        sites_total: (), the number of atoms.
    """

    shells: Tensor
    from_neighbors: tuple[Tensor, Tensor]
    to_neighbors: tuple[Tensor, Tensor, Tensor]
    of_sites: Tensor
    around_sources: Tensor
    around_neighbors: Tensor
    mean: Tensor
    second: Tensor
    site_shares: Tensor
    edges_total: Tensor
    sites_total: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, edges: Edges, shells: Tensor, multiplicities: Tensor) -> Moments:
        """Compute the moments of a batch.

        Args:
            edges: the edges.
            shells: (shells, G) features of the shells.
            multiplicities: (sites,) float, the number of atoms that a site represents.

        Raises:
            ValueError: a single edge or site with the weight 1 cannot be normalised.
        """
        if (len(edges.rows) == 1 and edges.weights.item() == 1) or (
            len(multiplicities) == 1 and multiplicities.item() == 1
        ):
            raise ValueError("expected more than 1 value per channel when training")
        with without_autocast(shells):
            return cls._of(edges, shells, multiplicities)

    @classmethod
    def _of(cls, edges: Edges, shells: Tensor, multiplicities: Tensor) -> Moments:
        edges_total, sites_total = edges.weights.sum(), multiplicities.sum()
        shares = edges.weights / edges_total
        column = shares.unsqueeze(1)
        read, ends = edges.readers_of(NEIGHBORS)
        of_sites = [sums(edges.every, column, edges.offsets), sums(read, column, ends)]
        by_shell, shell_ends = edges.readers_of(SHELLS)
        weighted = shells * sums(by_shell, column, shell_ends)
        sources, neighbors, shell_of = edges.rows.t()
        neighbors, shell_of = neighbors - len(multiplicities), shell_of - 2 * len(multiplicities)
        to_neighbors = sources[read], ends, shares[read]
        return cls(
            shells,
            (neighbors, shares),
            to_neighbors,
            torch.cat(of_sites, 1).t().contiguous(),
            sums(shell_of, shells, edges.offsets, shares),
            sums(shell_of[read], shells, ends, to_neighbors[2]),
            weighted.sum(0),
            shells.t() @ weighted,
            multiplicities / sites_total,
            edges_total,
            sites_total,
        )
