"""Periodic graphs: every atom with all its neighbours within a cutoff, with the vectors to them and their cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.flat import offsets_of
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.arrays import CRYSTAL, Arrays, Layout
from crystalbench.representations.neighbors import SAME_SHELL, pairs_within
from crystalbench.representations.processes import by_chunks
from crystalbench.representations.representation import Representation
from crystalbench.representations.sphere_graph import EDGE

_CHUNK = 512  # crystals per chunk of work
_WORTH_PROCESSES = 10_000  # fewer crystals take less time than workers need to start

_Edges = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class PeriodicGraph(Representation):
    """All neighbours of every atom within a cutoff, with everything that networks of atoms and vectors read.

    The input of networks whose messages vanish at the cutoff, such as SchNet, PaiNN and NequIP, and of networks of
    PyTorch Geometric (`crystalbench.nn.batches.Batch.to_pyg`). Edges are directed, so each pair of neighbours has two.
    Atoms up to 1e-5 Å beyond the cutoff are included, so that round-off does not split a shell that lies on it. An atom
    without neighbours within the cutoff has no edges (`SphereGraph` adds its nearest shell), so that a network whose
    messages vanish at the cutoff is continuous when the last neighbour leaves.

    Limit: two atoms less than 1e-8 Å apart are not neighbours.

    Arrays: ``lattices`` (n, 3, 3) float32, rows in Å; on level ``atom``: ``numbers`` (atoms,) uint8, ``positions``
    (atoms, 3) float32, Cartesian coordinates in Å, inside the cell; on level ``edge``, ascending by source and then by
    distance: ``sources`` and ``neighbors`` (edges,) int32 atom indices, ``vectors`` (edges, 3) float32 in Å from the
    source to the neighbour, ``images`` (edges, 3) int16, the cell of the neighbour as whole numbers of lattice vectors.
    So ``vectors = positions[neighbors] + images @ lattice - positions[sources]``. Large inputs are computed in several
    processes (`CRYSTALBENCH_PROCESSES`).

    Attributes:
        cutoff: radius in Å.
    """

    packages: ClassVar[tuple[str, ...]] = ("pymatgen",)

    cutoff: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.cutoff < np.inf:
            raise ConfigError(f"cutoff = {self.cutoff}; a periodic graph needs a positive cutoff in Å")

    def __call__(self, inputs: Inputs) -> Arrays:
        """The graphs of n crystals.

        Raises:
            DataError: the rows are compositions, or the search fails for a crystal; names its id.
        """
        if not isinstance(inputs, Crystals):
            raise DataError("a periodic graph needs crystal structures; these rows are compositions")
        return Arrays.joined(by_chunks(partial(_graphs, cutoff=self.cutoff), inputs, _CHUNK, _WORTH_PROCESSES))


def _graphs(crystals: Crystals, cutoff: float) -> Arrays:
    carts = np.ascontiguousarray(crystals.wrapped().cart_coords)
    none = np.zeros(0, dtype=np.int64)
    found: list[_Edges] = [(none, none, np.zeros((0, 3)), np.zeros((0, 3)))]
    for i in range(len(crystals)):
        atoms, lattice = carts[crystals.offsets[i] : crystals.offsets[i + 1]], crystals.lattices[i]
        try:
            pairs = pairs_within(lattice, atoms, cutoff + SAME_SHELL)
        except DataError as error:
            raise DataError(f"{crystals.ids[i]}: {error}") from error
        order = np.lexsort((pairs.others, pairs.distances, pairs.centers))
        sources, neighbors, images = pairs.centers[order], pairs.others[order], pairs.images[order]
        found.append((sources, neighbors, atoms[neighbors] + images @ lattice - atoms[sources], images))
    sources, neighbors, vectors, images = map(np.concatenate, zip(*found, strict=True))
    return Arrays(
        values={
            "lattices": crystals.lattices.astype(np.float32),
            "numbers": np.asarray(crystals.numbers),
            "positions": carts.astype(np.float32),
            "sources": sources.astype(np.int32),
            "neighbors": neighbors.astype(np.int32),
            "vectors": vectors.astype(np.float32),
            "images": np.rint(images).astype(np.int16),
        },
        layouts={
            "lattices": Layout(CRYSTAL),
            "numbers": Layout("atom"),
            "positions": Layout("atom"),
            "sources": Layout(EDGE, "atom"),
            "neighbors": Layout(EDGE, "atom"),
            "vectors": Layout(EDGE),
            "images": Layout(EDGE),
        },
        offsets={"atom": np.asarray(crystals.offsets), EDGE: offsets_of([len(edges[0]) for edges in found[1:]])},
        length=len(crystals),
    )
