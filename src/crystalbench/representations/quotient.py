"""Quotient graphs: atoms that a network of elements and distances cannot distinguish are merged into one site."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.flat import offsets_of
from crystalbench.errors import ConfigError
from crystalbench.representations.arrays import Arrays, Layout
from crystalbench.representations.graph import CrystalGraph
from crystalbench.representations.processes import by_chunks
from crystalbench.representations.representation import Representation
from crystalbench.representations.sphere_graph import EDGE, SphereGraph
from crystalbench.representations.weighted_graph import WeightedGraph

SITE, SHELL = "site", "shell"
"""Levels: sites, each of which represents a class of equal atoms, and the distinct distances of a crystal."""

_CHUNK = 512  # crystals whose atoms are compared at once
_WORTH_PROCESSES = 5_000  # crystals from which on workers are started
_Ints = npt.NDArray[np.int64]
_Colors = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class QuotientGraph(Representation):
    """A graph with equal atoms merged, equivalent for any network that sees only elements and distances.

    Atoms are equal if colour refinement (Weisfeiler and Leman, 1968) gives them one colour: the first colour of an atom
    is its element; each step replaces it by a new colour for the old one and the colours and distances of the
    neighbours, until no step divides the atoms further. In a network that sees only elements and distances, equal atoms
    have equal features in every layer. So a site represents all equal atoms of the cell, and an edge all neighbours of
    an atom that are at one distance and of one site. Sums, means and statistics of normalisations that weight a site by
    its multiplicity and an edge by its count equal those of the full graph, also where a shell of neighbours is cut.
    The count of an edge of a `WeightedGraph` is the sum of the weights; those of equal neighbours are equal, since they
    follow from the distances of an atom.

    Limit: this does not hold for networks that see directions, or that treat equal atoms differently (noise or dropout
    of atoms).

    Arrays: on level ``site``, by first atom: ``numbers`` (sites,) uint8; ``multiplicities`` (sites,) int32, the number
    of atoms represented. On level ``edge``, ascending by source, then by distance: ``sources`` and ``neighbors``
    (edges,) int32 sites; ``shells`` (edges,) int32; ``counts`` (edges,), the number of neighbours of one atom that are
    represented, int32, or the sum of their weights, float32. On level ``shell``, ascending: ``distances`` (shells,)
    float32 in Å.

    Attributes:
        graph: the graph of all atoms.
        merged: whether equal atoms are merged; otherwise every atom is a site.
        tolerance: distances of a crystal that differ by at most this, in Å, form one shell, with their mean.
    """

    version: ClassVar[int] = 1

    graph: CrystalGraph | SphereGraph | WeightedGraph = field(default_factory=CrystalGraph)
    merged: bool = True
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < np.inf:
            raise ConfigError(f"tolerance = {self.tolerance}; it must be a distance in Å, at least 0")

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that determines the result, including the recipe of the full graph."""
        recipe = super().recipe
        return recipe | {"options": recipe["options"] | {"graph": self.graph.recipe}}

    def __call__(self, inputs: Inputs) -> Arrays:
        """The quotient graphs of n crystals.

        Raises:
            DataError: the rows are compositions, or the neighbour search fails for a crystal; names its id.
        """
        if not isinstance(inputs, Crystals):
            return self._quotient(self.graph(inputs))  # which raises the error
        return Arrays.joined(by_chunks(self._of, inputs, _CHUNK, _WORTH_PROCESSES))

    def _of(self, crystals: Crystals) -> Arrays:
        starts = range(0, max(1, len(crystals)), _CHUNK)
        return Arrays.joined([self._quotient(self.graph(crystals[i : i + _CHUNK])) for i in starts])

    def _quotient(self, full: Arrays) -> Arrays:
        atoms = _Atoms.of(full, self.tolerance)
        classes = atoms.classes() if self.merged else np.arange(len(atoms.numbers))
        first = np.unique(classes, return_index=True)[1]  # the atom that represents each site
        sources, shells, neighbors, counts = atoms.edges_between(classes, first)
        owners = atoms.owners[first]
        offsets = {
            SITE: offsets_of(np.bincount(owners, minlength=len(full))),
            EDGE: offsets_of(np.bincount(owners[sources], minlength=len(full))),
            SHELL: offsets_of(np.bincount(atoms.shell_owners, minlength=len(full))),
        }
        crystals = owners[sources]
        values: dict[str, npt.NDArray[Any]] = {
            "numbers": atoms.numbers[first],
            "multiplicities": np.bincount(classes).astype(np.int32),
            "sources": (sources - offsets[SITE][crystals]).astype(np.int32),
            "neighbors": (neighbors - offsets[SITE][crystals]).astype(np.int32),
            "shells": (shells - offsets[SHELL][crystals]).astype(np.int32),
            "counts": counts,
            "distances": atoms.shell_distances.astype(np.float32),
        }
        return Arrays(values, _LAYOUTS, offsets, len(full))


_LAYOUTS = {
    "numbers": Layout(SITE),
    "multiplicities": Layout(SITE),
    "sources": Layout(EDGE, SITE),
    "neighbors": Layout(EDGE, SITE),
    "shells": Layout(EDGE, SHELL),
    "counts": Layout(EDGE),
    "distances": Layout(SHELL),
}


@dataclass(frozen=True, eq=False)
class _Atoms:
    """The full graphs of some crystals, with atoms and shells numbered over all crystals.

    Attributes:
        numbers: (atoms,) atomic numbers.
        owners: (atoms,) the crystal of each atom.
        starts: (atoms,) the first edge of each atom.
        sources, neighbors, shells: (edges,) ascending by source.
        weights: (edges,) float32 weights of neighbours; None if all count equally.
        shell_owners, shell_distances: (shells,) the crystal of each shell, and its mean distance.
    """

    numbers: npt.NDArray[np.uint8]
    owners: _Ints
    starts: _Ints
    sources: _Ints
    neighbors: _Ints
    shells: _Ints
    weights: npt.NDArray[np.float32] | None
    shell_owners: _Ints
    shell_distances: npt.NDArray[np.float64]

    @classmethod
    def of(cls, full: Arrays, tolerance: float) -> _Atoms:
        offsets = full.offsets["atom"]
        owners = np.repeat(np.arange(len(full)), np.diff(offsets))
        neighbors, distances = full.values["neighbors"], full.values["distances"]
        if "sources" in full.values:
            crystals = np.repeat(np.arange(len(full)), np.diff(full.offsets[EDGE]))
            sources = full.values["sources"] + offsets[crystals]
        else:  # `CrystalGraph`: the same number of neighbours for each atom
            sources = np.repeat(np.arange(len(neighbors)), neighbors.shape[1])
            crystals = owners[sources]
        distances = distances.reshape(-1).astype(np.float64)
        order = np.lexsort((distances, crystals))
        new = np.ones(len(order), dtype=bool)
        new[1:] = (np.diff(crystals[order]) > 0) | (np.diff(distances[order]) > tolerance)
        shells = np.empty(len(order), dtype=np.int64)
        shells[order] = np.cumsum(new) - 1
        return cls(
            full.values["numbers"],
            owners,
            np.searchsorted(sources, np.arange(len(owners))),
            sources,
            neighbors.reshape(-1) + offsets[crystals],
            shells,
            full.values.get("weights"),
            crystals[order][new],
            np.bincount(shells, distances) / np.bincount(shells),
        )

    def classes(self) -> _Ints:
        """(atoms,) the class of each atom, numbered by first atom."""
        colors = mixed(mixed(self.owners) + self.numbers)
        shells = mixed(self.shells)
        found = 0
        while True:
            _, first, classes = np.unique(colors, return_index=True, return_inverse=True)
            if len(first) == found:  # no class was divided
                return np.argsort(np.argsort(first))[classes]
            found = len(first)
            # A sum does not depend on the order of the neighbours.
            around = np.add.reduceat(mixed(shells + colors[self.neighbors]), self.starts)
            colors = mixed(mixed(colors) + around)

    def edges_between(
        self, classes: _Ints, first: _Ints
    ) -> tuple[_Ints, _Ints, _Ints, npt.NDArray[np.int32 | np.float32]]:
        """Source class, shell, neighbour class and count, or sum of weights, of the distinct edges.

        Args:
            classes: (atoms,) the class of each atom.
            first: (classes,) the first atom of each class.

        Raises:
            RuntimeError: atoms of one class have different edges.
        """
        neighbors = classes[self.neighbors]
        order = np.lexsort((neighbors, self.shells, self.sources))
        ends = np.append(self.starts[1:], len(order))
        twin = first[classes]
        lengths = ends - self.starts
        shells, neighbors = self.shells[order], neighbors[order]
        like = np.arange(len(order)) + np.repeat(self.starts[twin] - self.starts, lengths)
        equal = (lengths == lengths[twin]).all() and (self.numbers == self.numbers[twin]).all()
        if not equal or (shells != shells[like]).any() or (neighbors != neighbors[like]).any():
            raise RuntimeError("atoms with different edges have the same colour: a collision of 64-bit hashes")
        own = np.repeat(np.isin(np.arange(len(twin)), first), lengths)  # edges of the representatives
        sources, shells, neighbors = classes[self.sources[own]], shells[own], neighbors[own]
        new = np.ones(len(sources), dtype=bool)
        new[1:] = (np.diff(sources) > 0) | (np.diff(shells) != 0) | (np.diff(neighbors) != 0)
        return sources[new], shells[new], neighbors[new], self._counts(order[own], np.flatnonzero(new))

    def _counts(self, edges: _Ints, starts: _Ints) -> npt.NDArray[np.int32 | np.float32]:
        """The number, or the sum of the weights, of edges in groups that begin at ``starts``."""
        if self.weights is None:
            return np.diff(np.append(starts, len(edges))).astype(np.int32)
        if not len(edges):
            return np.zeros(0, dtype=np.float32)
        return np.add.reduceat(self.weights[edges].astype(np.float64), starts).astype(np.float32)


def mixed(values: npt.NDArray[Any]) -> _Colors:
    """64-bit hashes whose sums distinguish multisets: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    z = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: _Colors = z ^ (z >> np.uint64(31))
    return mixed
