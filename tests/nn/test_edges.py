"""Gathering rows for edges, and sums of groups, compared with plain indexing in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import known_structures
from torch import Tensor

from crystalbench.nn.batches import Batch, DeviceArrays
from crystalbench.nn.edges import NEIGHBORS, SHELLS, SOURCES, Edges, Segments
from crystalbench.representations import QuotientGraph
from crystalbench.representations.quotient import SITE


@pytest.fixture(scope="module")
def batch() -> Batch:
    return DeviceArrays(QuotientGraph()(known_structures()), "cpu").batch(np.array([3, 0, 5]))


def _table(rows: int) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(rows, 4, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    ("first", "last"), [(SOURCES, SHELLS), (SOURCES, NEIGHBORS), (NEIGHBORS, SHELLS), (SHELLS, SHELLS)]
)
def test_edges_read_parts_of_a_table(first: int, last: int, batch: Batch) -> None:
    sites, shells = len(batch["numbers"]), len(batch["distances"])
    parts = [(sites, "sources"), (sites, "neighbors"), (shells, "shells")][first : last + 1]
    table = _table(sum(rows for rows, _ in parts))
    read = [part[batch[name]] for part, (_, name) in zip(table.split([r for r, _ in parts]), parts, strict=True)]
    found, expected = Edges.of(batch).read(table, first, last), torch.stack(read).sum(0)
    torch.testing.assert_close(found, expected)
    upon = torch.randn_like(found)
    torch.testing.assert_close(torch.autograd.grad(found, table, upon), torch.autograd.grad(expected, table, upon))


def test_groups_are_summed_with_weights(batch: Batch) -> None:
    segments = Segments.of_level(batch, SITE)
    values, weights = _table(len(segments.owners)), batch["multiplicities"].double()
    found = segments.sum(values, weights)
    expected = torch.stack([(values * weights[:, None])[segments.owners == k].sum(0) for k in range(batch.size)])
    torch.testing.assert_close(found, expected)
    upon = torch.randn_like(found)
    torch.testing.assert_close(torch.autograd.grad(found, values, upon), torch.autograd.grad(expected, values, upon))
