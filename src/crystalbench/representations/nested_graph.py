"""Nested graphs: sites, their edges, and pairs of edges that share an atom, with equal ones merged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import eval_legendre

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.flat import offsets_of
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.arrays import Arrays, Layout
from crystalbench.representations.neighbors import nearest
from crystalbench.representations.processes import by_chunks
from crystalbench.representations.quotient import SITE, mixed
from crystalbench.representations.representation import Representation
from crystalbench.representations.sphere_graph import EDGE

PAIR = "pair"
"""Level of pairs of edges."""

_CHUNK = 64  # crystals whose angles are computed at once
_WORTH_PROCESSES = 500  # crystals from which on workers are started
_LEAST = 1e-6  # edges of smaller weight are left out

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Colors = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class NestedGraph(Representation):
    """A graph of sites and edges, and the angles between edges that share an atom, for networks that see no more.

    Each atom has its k nearest neighbours. The weight of a neighbour at distance d is (1 − (d/D)²)², where D is the
    distance of the first neighbour left out, divided by the sum over the neighbours. So weights end continuously, and
    do not depend on which atoms of a shell are included. At most 12 atoms can be equally near (the kissing number), so
    with k of at least 12 every atom has an edge.

    Atoms, and edges, are equal if colour refinement (Weisfeiler and Leman, 1968) on both gives them one colour: the
    first colours are the elements, distances and weights; each step replaces the colour of an edge by a new one for
    those of its ends and of the edges around both ends with their angles to it, and the colour of an atom by one for
    those of its edges. In a network whose messages are functions of elements, distances and angles, what is equal has
    equal features in every layer, so it is represented once. A site represents all equal atoms of a cell, an edge all
    equal edges of one atom, and a pair all equal edges at one end of an edge.

    A pair of the edges e and o has the sums over the edges k that o represents of w_k P_l(cos θ_ek), with Legendre
    polynomials P_l of degree l = 0 to ``degree``: any message that is linear in them is summed over all edges around
    e. At the far end of e, the angle is that to the reversed direction.

    Arrays: on level ``site``, by first atom: ``numbers`` (sites,) uint8; ``multiplicities`` (sites,) int32. On level
    ``edge``, ascending by source: ``sources`` and ``neighbors`` (edges,) int32 sites; ``distances`` (edges,) float32 in
    Å; ``weights`` (edges,) float32, which sum to 1 for each site. On level ``pair``, ascending by ``edges``, those of
    the near end first: ``edges`` and ``others`` (pairs,) int32 edges; ``far`` (pairs,) uint8, 1 at the far end;
    ``polynomials`` (pairs, degree + 1) float32.

    Attributes:
        neighbors: neighbours of each atom, k.
        degree: largest degree of the polynomials in the cosine.
        merged: whether equal atoms and edges are merged.
        tolerance: distances in Å, weights and cosines are equal up to rounding to multiples of this.
    """

    packages: ClassVar[tuple[str, ...]] = ("pymatgen",)
    version: ClassVar[int] = 1

    neighbors: int = 16
    degree: int = 3
    merged: bool = True
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if self.neighbors < 1:
            raise ConfigError(f"neighbors = {self.neighbors}; a nested graph needs at least one neighbour per atom")
        if self.degree < 0:
            raise ConfigError(f"degree = {self.degree}; it must be at least 0")
        if not 0 < self.tolerance < 1:
            raise ConfigError(f"tolerance = {self.tolerance}; it must be above 0 and below 1")

    def __call__(self, inputs: Inputs) -> Arrays:
        """The nested graphs of n crystals.

        Raises:
            DataError: the rows are compositions, or the neighbour search fails for a crystal; names its id.
        """
        if not isinstance(inputs, Crystals):
            raise DataError("a nested graph needs crystal structures; these rows are compositions")
        return Arrays.concatenated(by_chunks(partial(_of, self), inputs, _CHUNK, _WORTH_PROCESSES))


def _of(graph: NestedGraph, crystals: Crystals) -> Arrays:
    starts = range(0, max(1, len(crystals)), _CHUNK)
    return Arrays.concatenated([_Neighborhoods.of(graph, crystals[i : i + _CHUNK]).arrays() for i in starts])


@dataclass(frozen=True, eq=False)
class _Neighborhoods:
    """The k neighbours of all A atoms of some crystals, numbered over all crystals.

    Attributes:
        graph: what is made.
        crystals: number of crystals.
        numbers, owners: (A,) atomic numbers, and the crystal of each atom.
        neighbors: (A, k) atoms.
        distances, weights: (A, k).
        near, far: (A, k, k) cosines of the angles of edge (a, j) with the edges of a, and of the reversed edge with
            those of its neighbour.
    """

    graph: NestedGraph
    crystals: int
    numbers: npt.NDArray[np.uint8]
    owners: Ints
    neighbors: Ints
    distances: Floats
    weights: Floats
    near: Floats
    far: Floats

    @classmethod
    def of(cls, graph: NestedGraph, crystals: Crystals) -> _Neighborhoods:
        found, lengths, vectors = nearest(crystals, k=graph.neighbors + 1, vectors=True)
        owners = np.repeat(np.arange(len(crystals)), crystals.atom_counts)
        neighbors = found[:, :-1].astype(np.int64) + np.asarray(crystals.offsets)[owners][:, None]
        distances = lengths[:, :-1].astype(np.float64)
        ratio = np.minimum(distances / lengths[:, -1:], 1)
        weights = (1 - ratio**2) ** 2
        weights[weights < _LEAST] = 0
        assert vectors is not None  # they were asked for
        units = vectors[:, :-1] / np.maximum(distances, 1e-12)[..., None]
        near = np.einsum("ajx,akx->ajk", units, units)
        far = -np.einsum("ajx,ajkx->ajk", units, units[neighbors])
        totals = weights.sum(1, keepdims=True)
        weights = weights / np.where(totals > 0, totals, 1)
        return cls(graph, len(crystals), np.asarray(crystals.numbers), owners, neighbors, distances, weights, near, far)

    def arrays(self) -> Arrays:
        """The nested graphs."""
        atoms, edges = self._colors() if self.graph.merged else self._all_different()
        there = self.weights > 0
        first_atoms, sites = _by_first(atoms)
        own = np.zeros(len(atoms), np.bool_)
        own[first_atoms] = True
        # Edges of the atoms that represent sites, one for each colour.
        rows, columns = np.nonzero(there & own[:, None])
        colors, first, members = np.unique(edges[rows, columns], return_index=True, return_inverse=True)
        order = np.lexsort((first, sites[rows[first]]))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        rows_of, columns_of = rows[first][order], columns[first][order]
        classes = np.full(edges.shape, -1)
        classes[there] = place[np.searchsorted(colors, edges[there])]
        count = np.bincount(place[members], minlength=len(order))
        weights = np.bincount(place[members], self.weights[rows, columns], minlength=len(order))
        distances = np.bincount(place[members], self.distances[rows, columns], minlength=len(order)) / np.maximum(
            count, 1
        )
        neighbors = self.neighbors[rows_of, columns_of]
        pairs = [
            self._pairs(classes[rows_of], self.weights[rows_of], self.near[rows_of, columns_of], 0),
            self._pairs(classes[neighbors], self.weights[neighbors], self.far[rows_of, columns_of], 1),
        ]
        e, o, far, polynomials = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        by_edge = np.lexsort((o, far, e))
        crystals = self.owners[rows_of]
        return self._packed(
            {
                "numbers": self.numbers[first_atoms],
                "multiplicities": np.bincount(sites).astype(np.int32),
                "sources": sites[rows_of],
                "neighbors": sites[neighbors],
                "distances": distances.astype(np.float32),
                "weights": weights.astype(np.float32),
                "edges": e[by_edge],
                "others": o[by_edge],
                "far": far[by_edge],
                "polynomials": polynomials[by_edge],
            },
            {SITE: self.owners[first_atoms], EDGE: crystals, PAIR: crystals[e[by_edge]]},
        )

    def _packed(self, values: dict[str, npt.NDArray[Any]], owners: dict[str, Ints]) -> Arrays:
        """Arrays with indices relative to their crystals."""
        offsets = {level: offsets_of(np.bincount(o, minlength=self.crystals)) for level, o in owners.items()}
        for name, layout in _LAYOUTS.items():
            if layout.points_to is not None:
                start = offsets[layout.points_to][owners[layout.level]]
                values[name] = (values[name] - start).astype(np.int32)
        return Arrays(values, _LAYOUTS, offsets, self.crystals)

    def _pairs(
        self, classes: Ints, weights: Floats, cosines: Floats, end: int
    ) -> tuple[Ints, Ints, npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """Pairs at one end of n edges, and the sums of their polynomials.

        Args:
            classes: (n, k) edges around that end, -1 where the weight is 0.
            weights: (n, k).
            cosines: (n, k).
            end: 0 near, 1 far.
        """
        e, k = np.nonzero(classes >= 0)
        values = np.stack([eval_legendre(l, cosines[e, k]) for l in range(self.graph.degree + 1)], axis=1)  # noqa: E741
        values *= weights[e, k][:, None]
        keys = e * (classes.max(initial=0) + 1) + classes[e, k]
        found, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        sums = np.stack([np.bincount(inverse, column, minlength=len(found)) for column in values.T], axis=1)
        return (
            e[first],
            classes[e, k][first],
            np.full(len(found), end, np.uint8),
            sums.reshape(len(found), -1).astype(np.float32),
        )

    def _all_different(self) -> tuple[Colors, Colors]:
        atoms = np.arange(len(self.numbers), dtype=np.uint64)
        return atoms, np.arange(self.neighbors.size, dtype=np.uint64).reshape(self.neighbors.shape)

    def _colors(self) -> tuple[Colors, Colors]:
        """Final colours of atoms (A,) and edges (A, k)."""
        near, far, distances, weights = map(self._rounded, (self.near, self.far, self.distances, self.weights))
        there = self.weights > 0
        atoms = mixed(mixed(self.owners) + self.numbers)
        edges = mixed(distances + mixed(weights))
        found = (0, 0)
        while True:
            ends = mixed(atoms)[:, None] + mixed(mixed(atoms))[self.neighbors]
            edges = np.where(there, mixed(edges + ends), np.uint64(0))
            around_near = np.where(there[:, None, :], mixed(near + edges[:, None, :]), np.uint64(0)).sum(2)
            around_far = np.where(there[self.neighbors], mixed(far + edges[self.neighbors]), np.uint64(0)).sum(2)
            edges = np.where(there, mixed(edges + mixed(around_near) + mixed(mixed(around_far))), np.uint64(0))
            atoms = mixed(mixed(atoms) + np.where(there, mixed(edges), np.uint64(0)).sum(1))
            before, found = found, (len(np.unique(atoms)), len(np.unique(edges)))
            if found == before:
                return atoms, edges

    def _rounded(self, values: Floats) -> Colors:
        return mixed(np.rint(values / self.graph.tolerance).astype(np.int64))


def _by_first(colors: Colors) -> tuple[Ints, Ints]:
    """The first row of each class, ascending, and the class (n,) of each row."""
    _, first, classes = np.unique(colors, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return first[order], place[classes]


_LAYOUTS = {
    "numbers": Layout(SITE),
    "multiplicities": Layout(SITE),
    "sources": Layout(EDGE, SITE),
    "neighbors": Layout(EDGE, SITE),
    "distances": Layout(EDGE),
    "weights": Layout(EDGE),
    "edges": Layout(PAIR, EDGE),
    "others": Layout(PAIR, EDGE),
    "far": Layout(PAIR),
    "polynomials": Layout(PAIR),
}
