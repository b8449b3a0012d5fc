"""Weighted graphs: every atom with its k nearest neighbours, whose weights end continuously."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.arrays import Arrays, Layout
from crystalbench.representations.neighbors import weighted
from crystalbench.representations.processes import by_chunks
from crystalbench.representations.representation import Representation
from crystalbench.representations.sphere_graph import EDGE

_CHUNK = 512  # crystals per chunk of work
_WORTH_PROCESSES = 10_000  # fewer crystals take less than a second, the time that workers need to start


@dataclass(frozen=True)
class WeightedGraph(Representation):
    """Neighbours of every atom, counting periodic images, with weights in [0, 1] whose sum is k.

    Where the k nearest neighbours of an atom are complete shells of equal distances, they have the weight 1, as in
    `CrystalGraph`. Where the last shell does not fit, `CrystalGraph` keeps some of its atoms; here all of them share
    the weight that the nearer ones leave. Nearly equal distances have nearly equal weights: with the distance D of the
    k-th neighbour, weights fall from 1 at D − softening to 0 at D + softening (`shared_weights`). So the weighted graph
    does not depend on the order of the atoms or on the choice of the cell, and a sum over neighbours is continuous when
    atoms move.

    Limit: two atoms less than 1e-8 Å apart are not neighbours.

    Arrays: ``numbers`` (atoms,) uint8; on level ``edge``, ascending by source and then by distance: ``sources``
    (edges,) int32 atom indices, ``neighbors`` (edges,) int32 atom indices, ``distances`` (edges,) float32 in Å,
    ``weights`` (edges,) float32. Large inputs are computed in several processes (`CRYSTALBENCH_PROCESSES`).

    Attributes:
        neighbors: sum of the weights of an atom's neighbours, k.
        softening: distance in Å over which weights fall on either side of the k-th neighbour.
    """

    packages: ClassVar[tuple[str, ...]] = ("pymatgen",)

    neighbors: int = 12
    softening: float = 0.3

    def __post_init__(self) -> None:
        if self.neighbors < 1:
            raise ConfigError(f"neighbors = {self.neighbors}; a weighted graph needs at least one neighbour per atom")
        if not 0 < self.softening < np.inf:
            raise ConfigError(f"softening = {self.softening}; it must be a positive distance in Å")

    def __call__(self, inputs: Inputs) -> Arrays:
        """The graphs of n crystals.

        Raises:
            DataError: the rows are compositions, or the search fails for a crystal; names its id.
        """
        if not isinstance(inputs, Crystals):
            raise DataError("a weighted graph needs crystal structures; these rows are compositions")
        work = partial(_graphs, neighbors=self.neighbors, softening=self.softening)
        return Arrays.joined(by_chunks(work, inputs, _CHUNK, _WORTH_PROCESSES))


def _graphs(crystals: Crystals, neighbors: int, softening: float) -> Arrays:
    found = weighted(crystals, neighbors, softening)
    edges = np.searchsorted(found.sources, crystals.offsets)
    starts = np.repeat(crystals.offsets[:-1], np.diff(edges))
    return Arrays(
        values={
            "numbers": np.asarray(crystals.numbers),
            "sources": (found.sources - starts).astype(np.int32),
            "neighbors": found.neighbors.astype(np.int32),
            "distances": found.distances.astype(np.float32),
            "weights": found.weights.astype(np.float32),
        },
        layouts={
            "numbers": Layout("atom"),
            "sources": Layout(EDGE, "atom"),
            "neighbors": Layout(EDGE, "atom"),
            "distances": Layout(EDGE),
            "weights": Layout(EDGE),
        },
        offsets={"atom": np.asarray(crystals.offsets), EDGE: edges.astype(np.int64)},
        length=len(crystals),
    )
