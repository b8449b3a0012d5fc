"""Nested graphs: one atom of every crystallographic orbit, its edges, and the directions of both ends of an edge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.flat import offsets_of
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.arrays import Arrays, Layout
from crystalbench.representations.neighbors import nearest
from crystalbench.representations.orbits import AtomSymmetry
from crystalbench.representations.processes import by_chunks
from crystalbench.representations.quotient import SITE
from crystalbench.representations.representation import Representation
from crystalbench.representations.sphere_graph import EDGE

_CHUNK = 256  # crystals whose atoms are compared at once
_WORTH_PROCESSES = 1_000  # crystals from which on workers are started
_LEAST = 1e-6  # neighbours of smaller weight are left out
_APART = 10  # tolerances by which vectors that an operation relates may differ

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class NestedGraph(Representation):
    """A graph for networks whose edges exchange messages that depend on the angle between them.

    Each atom has its k nearest neighbours. The weight of a neighbour at distance d is (1 − (d/D)²)², where D is the
    distance of the first neighbour left out, divided by the sum over the neighbours. So weights end continuously, and
    do not depend on which atoms of a shell are included. At most 12 atoms can be equally near (the kissing number), so
    with k of at least 12 every atom has an edge.

    A network that is invariant to rotations, reflections and the choice of the cell computes the same features for what
    symmetry operations relate. So a site represents the atoms of a crystallographic orbit, and an edge all neighbours
    of an atom that its site-symmetry group relates.

    Angles are in the directions. Edge e hears of the edges k around an atom Σ_k w_k x_k P_l(cos θ_ek), with Legendre
    polynomials P_l of degree l. By the addition theorem P_l(cos θ_ek) is Σ_m Y_lm(e) Y_lm(k) / (2l + 1), so the sum is
    taken over the edges of an atom once, and read by every edge that ends there. An edge stores the sum over the
    neighbours that it represents of w_k Y_lm(k), and two directions: from its near end, and from its far end, as that
    end is seen from the site that represents it.

    Symmetry within ``tolerance`` counts. Where the neighbours of an orbit's atoms are not related as the symmetry says,
    nothing of a crystal is merged.

    Arrays: on level ``site``, by first atom: ``numbers`` (sites,) uint8; ``multiplicities`` (sites,) int32, the number
    of atoms represented. On level ``edge``, ascending by source: ``sources`` and ``neighbors`` (edges,) int32 sites;
    ``distances`` (edges,) float32 in Å; ``weights`` (edges,) float32, which sum to 1 for each site; ``harmonics``
    (edges, (degree + 1)²) float32, the sums of weights times real spherical harmonics, each degree l of squared norm
    2l + 1, in e3nn's order; ``near`` and ``far`` (edges, 3) float32, unit vectors from the atoms at both ends to the
    other one.

    Attributes:
        neighbors: neighbours of each atom, k.
        degree: largest degree of the harmonics.
        merged: whether orbits and related edges are merged.
        tolerance: in Å, of positions, for symmetry.
    """

    packages: ClassVar[tuple[str, ...]] = ("moyopy", "pymatgen")
    version: ClassVar[int] = 2

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
        return Arrays.joined(by_chunks(partial(_of, self), inputs, _CHUNK, _WORTH_PROCESSES))


def _of(graph: NestedGraph, crystals: Crystals) -> Arrays:
    starts = range(0, max(1, len(crystals)), _CHUNK)
    return Arrays.joined([_graphs(graph, crystals[i : i + _CHUNK]) for i in starts])


def _graphs(graph: NestedGraph, crystals: Crystals) -> Arrays:
    around = _Neighborhoods.of(graph.neighbors, crystals)
    symmetry = AtomSymmetry.of(crystals, graph.tolerance) if graph.merged else AtomSymmetry.single(crystals)
    if (unlike := around.unlike(symmetry, _APART * graph.tolerance)).any():
        symmetry = symmetry.divided(unlike, crystals)
    return around.arrays(symmetry, graph.degree)


@dataclass(frozen=True, eq=False)
class _Neighborhoods:
    """The k neighbours of all A atoms of n crystals, numbered over all crystals.

    Attributes:
        crystals: number of crystals, n.
        numbers, owners: (A,) atomic numbers, and the crystal of each atom.
        neighbors: (A, k) atoms.
        vectors: (A, k, 3) from an atom to its neighbours, in Å.
        weights: (A, k), 0 for neighbours that are left out.
    """

    crystals: int
    numbers: npt.NDArray[np.uint8]
    owners: Ints
    neighbors: Ints
    vectors: Floats
    weights: Floats

    @classmethod
    def of(cls, k: int, crystals: Crystals) -> _Neighborhoods:
        found, lengths, vectors = nearest(crystals, k=k + 1, vectors=True)
        assert vectors is not None  # they were asked for
        owners = np.repeat(np.arange(len(crystals)), crystals.atom_counts)
        neighbors = found[:, :-1].astype(np.int64) + np.asarray(crystals.offsets)[owners][:, None]
        weights = (1 - np.minimum(lengths[:, :-1] / lengths[:, -1:].astype(np.float64), 1) ** 2) ** 2
        weights[weights < _LEAST] = 0
        totals = weights.sum(1, keepdims=True)
        weights = weights / np.where(totals > 0, totals, 1)
        numbers = np.asarray(crystals.numbers)
        return cls(len(crystals), numbers, owners, neighbors, vectors[:, :-1].astype(np.float64), weights)

    def unlike(self, symmetry: AtomSymmetry, tolerance: float) -> Bools:
        """Whether a crystal has neighbours that are not where the symmetry says: (n,).

        Args:
            symmetry: the symmetry.
            tolerance: of vectors, in Å.
        """
        every = np.arange(len(self.numbers))
        wrong = np.zeros(len(every), np.bool_)
        for atoms, images, turns in (
            (symmetry.first, every, symmetry.turns),
            (symmetry.atoms, symmetry.atoms, symmetry.operations),
        ):
            found, away = self._images(atoms, images, turns)
            ends = symmetry.first[self.neighbors]
            same = np.take_along_axis(ends[images], found, 1) == ends[atoms]
            there = self.weights[atoms] > 0
            bad = (there & ((away > tolerance) | ~same)).any(1)
            bad |= there.sum(1) != (self.weights[images] > 0).sum(1)
            bad |= self.numbers[atoms] != self.numbers[images]
            np.logical_or.at(wrong, images, bad)
        return np.bincount(self.owners, wrong, minlength=self.crystals) > 0

    def _images(self, atoms: Ints, images: Ints, turns: Floats) -> tuple[Ints, Floats]:
        """Where operations take the neighbours of m atoms.

        Args:
            atoms: (m,) atoms.
            images: (m,) the atoms that the operations take them to.
            turns: (m, 3, 3) the operations.

        Returns:
            The neighbour (m, k) of the image that is closest to the image of each neighbour, and how far away it is.
        """
        turned = self.vectors[atoms] @ turns.transpose(0, 2, 1)
        targets = self.vectors[images]
        squares = np.square(turned).sum(-1)[:, :, None] + np.square(targets).sum(-1)[:, None, :]
        squares -= 2 * turned @ targets.transpose(0, 2, 1)
        squares[np.broadcast_to(self.weights[images][:, None, :] == 0, squares.shape)] = np.inf
        found = squares.argmin(-1)
        exact = np.take_along_axis(targets, found[..., None], 1)
        return found, np.linalg.norm(turned - exact, axis=-1)

    def arrays(self, symmetry: AtomSymmetry, degree: int) -> Arrays:
        """The nested graphs."""
        first, sites = np.unique(symmetry.first, return_inverse=True)
        columns, _ = self._images(symmetry.atoms, symmetry.atoms, symmetry.operations)
        begins = np.searchsorted(symmetry.atoms, first)
        classes = np.minimum.reduceat(columns, begins) if len(first) else columns  # (sites, k): the first related one
        site, column = np.nonzero(self.weights[first] > 0)
        edges, members = np.unique(site * classes.shape[1] + classes[site, column], return_inverse=True)
        source, chosen = np.divmod(edges, classes.shape[1])
        atoms = first[source]
        vectors, neighbors = self.vectors[atoms, chosen], self.neighbors[atoms, chosen]
        distances = np.linalg.norm(vectors, axis=-1)
        units = vectors / distances[:, None]
        seen = np.einsum("eji,ej->ei", symmetry.turns[neighbors], -units)  # Q is orthogonal: its transpose turns back
        weights = self.weights[first[site], column]
        terms = weights[:, None] * spherical_harmonics(self.vectors[first[site], column], degree)
        order = np.argsort(members, kind="stable")
        starts = np.searchsorted(members[order], np.arange(len(edges)))
        owners = self.owners[first]
        offsets = {
            SITE: offsets_of(np.bincount(owners, minlength=self.crystals)),
            EDGE: offsets_of(np.bincount(owners[source], minlength=self.crystals)),
        }
        before = offsets[SITE][owners[source]]
        values: dict[str, npt.NDArray[Any]] = {
            "numbers": self.numbers[first],
            "multiplicities": np.bincount(sites).astype(np.int32),
            "sources": (source - before).astype(np.int32),
            "neighbors": (sites[neighbors] - before).astype(np.int32),
            "distances": distances.astype(np.float32),
            "weights": np.bincount(members, weights, minlength=len(edges)).astype(np.float32),
            "harmonics": (np.add.reduceat(terms[order], starts) if len(edges) else terms).astype(np.float32),
            "near": units.astype(np.float32),
            "far": seen.astype(np.float32),
        }
        return Arrays(values, _LAYOUTS, offsets, self.crystals)


def spherical_harmonics(vectors: Floats, degree: int) -> Floats:
    """Real spherical harmonics (n, (degree + 1)²) of the directions of vectors (n, 3), of squared norm 2l + 1."""
    import torch  # here, since it is slow to import
    from e3nn import o3

    degrees = list(range(degree + 1))
    found: Floats = o3.spherical_harmonics(degrees, torch.from_numpy(vectors), True, "component").numpy()
    return found


_LAYOUTS = {
    "numbers": Layout(SITE),
    "multiplicities": Layout(SITE),
    "sources": Layout(EDGE, SITE),
    "neighbors": Layout(EDGE, SITE),
    "distances": Layout(EDGE),
    "weights": Layout(EDGE),
    "harmonics": Layout(EDGE),
    "near": Layout(EDGE),
    "far": Layout(EDGE),
}
