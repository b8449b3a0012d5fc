"""The nested graph network on a plain line graph: every pair of edges that share an atom is a message."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crystalbench.data.flat import offsets_of
from crystalbench.models.nested import NestedEncoder
from crystalbench.nn.batches import Batch
from crystalbench.representations import Arrays, Layout
from crystalbench.representations.sphere_graph import EDGE

PAIR = "pair"


def with_pairs(graphs: Arrays) -> Arrays:
    """Nested graphs, not merged, with the pairs of their edges.

    Returns:
        The arrays and, on level ``pair``: ``hearing`` and ``heard`` (pairs,) edges, where the heard one leaves an end
        of the hearing one; ``far_end`` (pairs,) 0 for the near end and 1 for the far one; ``cosines`` (pairs,) of the
        angle between their directions from this end.
    """
    hearing, heard, far_end, cosines, counts = [], [], [], [], []
    for i in range(len(graphs)):
        one = graphs[[i]].values
        found = [np.nonzero(ends[:, None] == one["sources"]) for ends in (one["sources"], one["neighbors"])]
        cosines += [
            np.einsum("pi,pi->p", one[end][a], one["near"][b])
            for end, (a, b) in zip(("near", "far"), found, strict=True)
        ]
        hearing += [a for a, _ in found]
        heard += [b for _, b in found]
        far_end += [np.full(len(a), far) for far, (a, _) in enumerate(found)]
        counts.append(sum(len(a) for a, _ in found))
    values = {
        "hearing": np.concatenate(hearing).astype(np.int32),
        "heard": np.concatenate(heard).astype(np.int32),
        "far_end": np.concatenate(far_end).astype(np.int32),
        "cosines": np.concatenate(cosines).astype(np.float32),
    }
    layouts = {
        "hearing": Layout(PAIR, EDGE),
        "heard": Layout(PAIR, EDGE),
        "far_end": Layout(PAIR),
        "cosines": Layout(PAIR),
    }
    return graphs.combined_with(Arrays(values, layouts, {PAIR: offsets_of(counts)}, len(graphs)))


@dataclass(frozen=True, eq=False)
class PairsAround:
    """What is around S sites and E edges, as `crystalbench.models.nested.Around`, with one message for each pair."""

    batch: Batch
    radial: Tensor
    legendre: Tensor

    @classmethod
    def of(cls, batch: Batch, radial: Tensor, degree: int) -> PairsAround:
        """From a batch of graphs with pairs."""
        polynomials = [torch.special.legendre_polynomial_p(batch["cosines"], l) for l in range(degree + 1)]  # noqa: E741
        weights = batch["weights"].index_select(0, batch["heard"])
        return cls(batch, radial, torch.stack(polynomials) * weights)

    @property
    def sources(self) -> Tensor:
        """(E,) sites."""
        return self.batch["sources"]

    @property
    def neighbors(self) -> Tensor:
        """(E,) sites."""
        return self.batch["neighbors"]

    def to_sites(self, edges: Tensor) -> Tensor:
        """Weighted sums (S, d) of the edges (E, d) of each site."""
        sums = edges.new_zeros(len(self.batch["numbers"]), edges.shape[1])
        return sums.index_add(0, self.sources, edges * self.batch["weights"].unsqueeze(1))

    def heard(self, messages: Tensor) -> Tensor:
        """Sums (E, 2 degrees C) of the messages (degrees, E, C) of the edges at both ends, one by one."""
        degrees, edges, width = messages.shape
        sent = messages.index_select(1, self.batch["heard"]) * self.legendre.unsqueeze(2)
        places = self.batch["hearing"] + edges * self.batch["far_end"]
        found = messages.new_zeros(degrees, 2 * edges, width).index_add(1, places, sent)
        return found.view(degrees, 2, edges, width).permute(2, 1, 0, 3).flatten(1)


class LineGraphEncoder(NestedEncoder):
    """`NestedEncoder` on the line graph; the same function of the same weights."""

    def around(self, batch: Batch, radial: Tensor) -> PairsAround:  # type: ignore[override]
        """What is around the sites and edges of a batch with pairs."""
        return PairsAround.of(batch, radial, self.layers[0].degrees - 1)  # type: ignore[operator]
