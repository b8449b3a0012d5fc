"""Sums over neighbours of messages times spherical harmonics, and the transposed sums over components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crystalbench.nn.edges import Segments, sums

_Factors = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class HarmonicSums:
    """Sums over the edges of S sites: Σ_e Y_m(e) x_l(e) for every component m, of degree l, with messages x.

    The transposed map reads tensors t at the sites: Σ_m Y_m(e) t_m for every degree l and edge e, over the components
    m of l. Both, and their gradients, are sums of indexed rows, without an array of edges times components.

    Attributes:
        to_sites: rows of messages, factors and offsets of the sums for each component and site.
        to_edges: rows of tensors, factors and offsets of the sums for each degree and edge.
        sites: number of sites.
    """

    to_sites: _Factors
    to_edges: _Factors
    sites: int

    @classmethod
    def of(cls, edges: Segments, harmonics: Tensor, order: Tensor | None = None) -> HarmonicSums:
        """The sums over some edges.

        Args:
            edges: by site.
            harmonics: (edges, (lmax + 1)²) factors Y, without gradients.
            order: (edges,) numbers of the edges, in the order of ``edges``; by default, they are in this order. The
                harmonics and messages are in the order of the numbers.
        """
        count, size = harmonics.shape
        sites = len(edges.offsets) - 1
        every = torch.arange(count, dtype=torch.int32, device=harmonics.device)
        numbers = every if order is None else order.to(torch.int32)
        owners = edges.owners.to(torch.int32)
        if order is not None:
            owners = torch.empty_like(owners).index_copy(0, order, owners)
        first, begins, rows, factors, offsets, start = [], [], [], [], [], 0
        for degree in range(round(size**0.5)):
            width = 2 * degree + 1
            components = slice(degree**2, (degree + 1) ** 2)
            block = torch.arange(components.start, components.stop, dtype=torch.int32, device=harmonics.device)
            first.append((numbers + degree * count).expand(width, -1).flatten())
            begins.append((block.unsqueeze(1) * count + edges.offsets[:-1]).flatten())
            rows.append((owners.unsqueeze(1) + block * sites).flatten())
            factors.append(harmonics[:, components].flatten())
            offsets.append(start + width * every)
            start += width * count
        end = every.new_full((1,), size * count)  # `new_tensor` would wait for a GPU
        ordered = harmonics if order is None else harmonics.index_select(0, order)
        return cls(
            (torch.cat(first), ordered.t().flatten(), torch.cat([*begins, end]).to(torch.int32)),
            (torch.cat(rows), torch.cat(factors), torch.cat([*offsets, end])),
            sites,
        )

    def __call__(self, messages: Tensor) -> Tensor:
        """Messages (lmax + 1, edges, C) for each degree to ((lmax + 1)², S, C)."""
        shape = len(messages) ** 2, self.sites, messages.shape[-1]
        result: Tensor = _Sum.apply(messages, self.to_sites, self.to_edges, shape)  # type: ignore[no-untyped-call]
        return result

    def read(self, tensors: Tensor) -> Tensor:
        """Tensors ((lmax + 1)², S, C) to (lmax + 1, edges, C) for each degree."""
        degrees = round(len(tensors) ** 0.5)
        shape = degrees, (len(self.to_edges[2]) - 1) // degrees, tensors.shape[-1]
        result: Tensor = _Sum.apply(tensors, self.to_edges, self.to_sites, shape)  # type: ignore[no-untyped-call]
        return result


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, factors: _Factors, transposed: _Factors, shape: tuple[int, ...]) -> Tensor:
        ctx.transposed, ctx.shape = transposed, values.shape
        return _summed(values, factors).view(shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return _summed(gradient, ctx.transposed).view(ctx.shape), None, None, None


def _summed(values: Tensor, factors: _Factors) -> Tensor:
    rows, weights, offsets = factors
    return sums(rows, values.flatten(0, 1), offsets, weights.to(values.dtype))
