"""The edges of quotient graphs: gathering rows of sites and shells, and sums over edges.

Networks over these graphs spend most time in element-wise operations on edges. So there are few of these, with
hand-written backward passes where those of autograd would be slower.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from crystalbench.nn.batches import Batch, offsets_of

SOURCES, NEIGHBORS, SHELLS = range(3)
"""The parts of a table from which edges gather rows, in this order."""


@dataclass(frozen=True, eq=False)
class Edges:
    """The edges of a batch of quotient graphs.

    An edge gathers three rows of a table, which has one row for each site as a source, one for each site as a
    neighbour, and one for each shell.

    Attributes:
        rows: (edges, 3) int32 rows of the table; sums over int32 rows are a quarter faster than over int64.
        counts: (edges, 1) float, number of neighbours of an atom that an edge represents, or the sum of their weights.
        weights: (edges,) float, counts times the number of atoms that the source represents.
        offsets: (sites + 1,) int32, index of the first edge of each source.
        table_rows: number of rows of the table.
    """

    rows: Tensor
    counts: Tensor
    weights: Tensor
    offsets: Tensor
    table_rows: int

    @classmethod
    def of(cls, batch: Batch) -> Edges:
        """The edges of a batch of `QuotientGraph`."""
        sources, sites, shells = batch["sources"], len(batch["numbers"]), len(batch["distances"])
        rows = torch.stack([sources, batch["neighbors"] + sites, batch["shells"] + 2 * sites])
        counts = batch["counts"].to(batch["distances"].dtype)
        weights = counts * batch["multiplicities"][sources]
        offsets = _group_offsets(sources, sites)
        return cls(rows.t().to(torch.int32), counts.unsqueeze(1), weights, offsets, 2 * sites + shells)

    @functools.cached_property
    def readers(self) -> tuple[Tensor, Tensor]:
        """The edges that gather each row of the table, for gradients.

        Returns:
            Edges sorted by row of the table (3 edges,), and where those of each row begin (table rows + 1,), int32.
        """
        ordered, order = torch.sort(self.rows.t().flatten(), stable=True)
        readers = order.to(torch.int32).remainder_(max(1, len(self.rows)))
        return readers, _group_offsets(ordered, self.table_rows)

    def readers_of(self, part: int) -> tuple[Tensor, Tensor]:
        """The edges that gather each row of one part of the table.

        Returns:
            Edges sorted by row (edges,), and where those of each row begin (rows + 1,), int32.
        """
        readers, offsets = self.readers
        count, sites = len(self.rows), len(self.offsets) - 1
        ends = offsets[part * sites : (part + 1) * sites + 1 if part < SHELLS else None]
        return readers[part * count : (part + 1) * count], ends - part * count

    @functools.cached_property
    def every(self) -> Tensor:
        """(edges,) int32, all edges."""
        return torch.arange(len(self.rows), dtype=torch.int32, device=self.rows.device)

    @functools.cached_property
    def triples(self) -> Tensor:
        """(edges + 1,) int32, where the rows that each edge gathers begin in ``rows.flatten()``."""
        return torch.arange(0, 3 * len(self.rows) + 1, 3, dtype=torch.int32, device=self.rows.device)

    @functools.cached_property
    def halves(self) -> tuple[Tensor, Tensor]:
        """(3 edges,) int32 each: ``rows.flatten()`` if the rows of the table are divided into two halves."""
        first = 2 * self.rows.flatten()
        return first, first + 1

    @property
    def sources(self) -> Tensor:
        """(edges, 1) int32, the source of each edge."""
        return self.rows[:, :1]

    def read(self, table: Tensor, first: int = SOURCES, last: int = SHELLS) -> Tensor:
        """The sum of the rows that each edge gathers: (edges, d).

        Args:
            table: (rows, d) the table, or only its parts from ``first`` to ``last``, inclusive.
            first: the first part.
            last: the last part.
        """
        result: Tensor = _Read.apply(table, self, first, last)  # type: ignore[no-untyped-call]
        return result


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, edges: Edges, first: int, last: int) -> Tensor:
        rows = edges.rows[:, first : last + 1]
        if begin := first * (len(edges.offsets) - 1):  # without the first part, rows are shifted
            rows = rows - begin
        ctx.edges, ctx.first, ctx.last, ctx.table = edges, first, last, slice(begin, begin + len(table) + 1)
        return functional.embedding_bag(rows.contiguous(), table, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        readers, offsets = ctx.edges.readers
        before = ctx.first * len(gradient)
        readers, offsets = readers[before : (ctx.last + 1) * len(gradient)], offsets[ctx.table]
        return sums(readers, gradient, offsets - before if before else offsets), None, None, None


def _group_offsets(ascending: Tensor, groups: int) -> Tensor:
    """(groups + 1,) int32, first row of each group; `torch.bincount` would wait for a GPU."""
    every = torch.arange(groups + 1, dtype=ascending.dtype, device=ascending.device)
    return torch.searchsorted(ascending, every, out_int32=True)


def sums(rows: Tensor, values: Tensor, offsets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Sums over segments of indexed rows, by the fastest deterministic operation: `torch.nn.functional.embedding_bag`.

    Its own backward pass is slow, so the functions that use it define theirs.

    Args:
        rows: (k,) row numbers of the values.
        values: (rows, d).
        offsets: (n + 1,) of the type of ``rows``, where each segment of them begins.
        weights: (k,) factors.

    Returns:
        (n, d).
    """
    return functional.embedding_bag(
        rows, values, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


@dataclass(frozen=True, eq=False)
class Segments:
    """Rows sorted by group, such as edges by source, or sites by crystal.

    Attributes:
        owners: (rows,) int64, the group of each row, ascending.
        offsets: (groups + 1,) int32 or int64, where each group begins.
        every: (rows,) of the same type, all row numbers.
    """

    owners: Tensor
    offsets: Tensor
    every: Tensor

    @classmethod
    def of(cls, owners: Tensor, offsets: Tensor) -> Segments:
        """From owners and offsets."""
        return cls(owners, offsets, torch.arange(len(owners), dtype=offsets.dtype, device=owners.device))

    @classmethod
    def of_owners(cls, owners: Tensor, groups: int) -> Segments:
        """From owners (rows,), ascending; some groups may be empty."""
        return cls.of(owners, _group_offsets(owners, groups))

    @classmethod
    def of_level(cls, batch: Batch, level: str) -> Segments:
        """The rows of a level, by crystal."""
        return cls.of(batch.owners[level], offsets_of(batch.counts[level]))

    def sum(self, values: Tensor, weights: Tensor | None = None) -> Tensor:
        """Sums of each group: (groups, d).

        Args:
            values: (rows, d).
            weights: (rows,) factors without gradients; 1 by default.
        """
        result: Tensor = _WeightedSum.apply(values, weights, self)  # type: ignore[no-untyped-call]
        return result


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weights: Tensor | None, segments: Segments) -> Tensor:
        ctx.segments, ctx.weights = segments, weights
        return sums(segments.every, values, segments.offsets, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        if ctx.weights is None:
            return gradient.index_select(0, ctx.segments.owners), None, None
        owners, weights = ctx.segments.owners.unsqueeze(1), ctx.weights.unsqueeze(1)
        return functional.embedding_bag(owners, gradient, mode="sum", per_sample_weights=weights), None, None
