"""Sums over neighbours of messages times spherical harmonics, the first step of a network that sees directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crystalbench.nn.edges import Segments, sums
from crystalbench.nn.equivariant import SLICES


@dataclass(frozen=True, eq=False)
class HarmonicSums:
    """Sums over the edges of S sites: Σ_e Y_m(e) x_l(e) for every component m, of degree l, with messages x.

    Both passes are sums of indexed rows, without an array of edges times components.

    Attributes:
        forward: rows of messages, factors and offsets of the sums for each component and site.
        backward: rows of gradients, factors and offsets of the sums for each degree and edge.
        sites: number of sites.
    """

    forward: tuple[Tensor, Tensor, Tensor]
    backward: tuple[Tensor, Tensor, Tensor]
    sites: int

    @classmethod
    def of(cls, edges: Segments, harmonics: Tensor) -> HarmonicSums:
        """The sums over some edges.

        Args:
            edges: by source.
            harmonics: (edges, (lmax + 1)²) factors Y, without gradients.
        """
        count, size = harmonics.shape
        sites = len(edges.offsets) - 1
        every = torch.arange(count, dtype=torch.int32, device=harmonics.device)
        owners = edges.owners.to(torch.int32)
        first, begins, rows, factors, offsets, start = [], [], [], [], [], 0
        for degree, components in enumerate(s for s in SLICES if s.stop <= size):
            width = components.stop - components.start
            block = torch.arange(components.start, components.stop, dtype=torch.int32, device=harmonics.device)
            first.append((every + degree * count).expand(width, -1).flatten())
            begins.append((block.unsqueeze(1) * count + edges.offsets[:-1]).flatten())
            rows.append((owners.unsqueeze(1) + block * sites).flatten())
            factors.append(harmonics[:, components].flatten())
            offsets.append(start + width * every)
            start += width * count
        end = every.new_full((1,), size * count)  # `new_tensor` would wait for a GPU
        return cls(
            (torch.cat(first), harmonics.t().flatten(), torch.cat([*begins, end]).to(torch.int32)),
            (torch.cat(rows), torch.cat(factors), torch.cat([*offsets, end])),
            sites,
        )

    def __call__(self, messages: Tensor) -> Tensor:
        """Messages (lmax + 1, edges, C) for each degree to ((lmax + 1)², S, C)."""
        result: Tensor = _HarmonicSum.apply(messages, self)  # type: ignore[no-untyped-call]
        return result


class _HarmonicSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, messages: Tensor, of: HarmonicSums) -> Tensor:
        ctx.of, ctx.shape = of, messages.shape
        rows, factors, offsets = of.forward
        summed = sums(rows, messages.flatten(0, 1), offsets, factors.to(messages.dtype))
        return summed.view(len(messages) ** 2, of.sites, messages.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        rows, factors, offsets = ctx.of.backward
        summed = sums(rows, gradient.flatten(0, 1), offsets, factors.to(gradient.dtype))
        return summed.view(ctx.shape), None
