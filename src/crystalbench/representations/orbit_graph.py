"""Orbit graphs: for networks that see directions, the atoms that the space group relates are merged into one site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.flat import offsets_of
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.arrays import Arrays, Layout
from crystalbench.representations.graph import CrystalGraph
from crystalbench.representations.orbits import Orbits
from crystalbench.representations.processes import by_chunks
from crystalbench.representations.quotient import SHELL, SITE
from crystalbench.representations.representation import Representation
from crystalbench.representations.sphere_graph import EDGE

_CHUNK = 512  # crystals whose atoms are compared at once
_WORTH_PROCESSES = 2_000  # crystals from which on workers are started
_VANISHES = 1e-9  # weights below this, of neighbours as far as the first one left out
_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

_DEGREES = slice(0, 1), slice(1, 4), slice(4, 9)  # the components of each degree

TENSORS = (
    15**0.5
    / 2
    * np.array(
        [
            [[0, 0, 1], [0, 0, 0], [1, 0, 0]],
            [[0, 1, 0], [1, 0, 0], [0, 0, 0]],
            np.diag([-1, 2, -1]) / 3**0.5,
            [[0, 0, 0], [0, 0, 1], [0, 1, 0]],
            np.diag([-1, 0, 1]),
        ]
    )
)
"""The symmetric matrices M with Y_2m(r) = rᵀ M_m r, for unit vectors r."""


@dataclass(frozen=True)
class OrbitGraph(Representation):
    """A graph of one atom of every crystallographic orbit, equivalent for networks whose messages are scalars.

    Symmetry operations relate the atoms of an orbit. A network that is invariant to rotations, reflections and the
    choice of the cell computes the same scalars for them, and spherical tensors that differ by the rotation of the
    operation. If tensors are not sent from atom to atom, one atom of each orbit is enough. Its messages are sums over
    neighbours; those of equal distance and of one orbit send the same scalars, so that the sum of their spherical
    harmonics is all that matters. The mean of tensors over an orbit is that of its first atom, times the mean of the
    matrices that represent the point group.

    Neighbours have the weight (1 − x²)², where x is the distance divided by that of the first neighbour left out: 1 at
    0, and 0 from 1 on. If a shell of equal distances is cut, its weight is 0, so it does not matter which of its atoms
    are included, and the weights are continuous when atoms move. At most 12 atoms can be equally near to another one if
    they are no closer to each other than to it (the kissing number), so with 12 or more neighbours one has a positive
    weight.

    Symmetry within ``tolerance`` counts: by so much, the arrays of crystals whose symmetry is slightly broken depend on
    the order of the atoms. A crystal with orbits whose atoms are found to have other neighbours is not merged.

    Arrays: on level ``site``: ``numbers`` (sites,) uint8; ``multiplicities`` (sites,) int32, the number of atoms
    represented. On level ``edge``, ascending by source, then by distance: ``sources`` and ``neighbors`` (edges,) int32
    sites; ``shells`` (edges,) int32; ``harmonics`` (edges, 9) float32, the sum over the neighbours represented of the
    weight times real spherical harmonics of degree 0 to 2 of the direction, each degree l of squared norm 2l + 1, in
    e3nn's order. On level ``shell``, ascending: ``distances`` (shells,) float32 in Å. On level ``atom``: ``sites``
    (atoms,) int32, the site of each atom. For each crystal, the means over its point group of the matrices that act on
    tensors of degree 1 and 2: ``vector_means`` (n, 3, 3) and ``tensor_means`` (n, 5, 5), float32.

    Attributes:
        neighbors: neighbours of an atom.
        merged: whether orbits are merged; otherwise every atom is a site, and the means are identities.
        tolerance: in Å: of positions, for symmetry; of distances of a crystal, which form one shell, with their mean.
    """

    packages: ClassVar[tuple[str, ...]] = ("moyopy", "pymatgen")

    neighbors: int = 16
    merged: bool = True
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if self.neighbors < 1:
            raise ConfigError(f"neighbors = {self.neighbors}; an orbit graph needs at least one neighbour per atom")
        if not 0 < self.tolerance < np.inf:
            raise ConfigError(f"tolerance = {self.tolerance}; it must be a positive distance in Å")

    def __call__(self, inputs: Inputs) -> Arrays:
        """The orbit graphs of n crystals.

        Raises:
            DataError: the rows are compositions, or the neighbour search fails for a crystal; names its id.
        """
        if not isinstance(inputs, Crystals):
            raise DataError("an orbit graph needs crystal structures; these rows are compositions")
        return Arrays.joined(by_chunks(self._of, inputs, _CHUNK, _WORTH_PROCESSES))

    def _of(self, crystals: Crystals) -> Arrays:
        starts = range(0, max(1, len(crystals)), _CHUNK)
        return Arrays.joined([self._graphs(crystals[i : i + _CHUNK]) for i in starts])

    def _graphs(self, crystals: Crystals) -> Arrays:
        around = _Neighbors.of(CrystalGraph(self.neighbors + 1, vectors=True)(crystals))
        orbits = Orbits.of(crystals, self.tolerance) if self.merged else Orbits.single(crystals)
        if (unlike := around.unlike(orbits.first, self.tolerance)).any():
            orbits = orbits.divided(unlike, crystals)
        first, sites = np.unique(orbits.first, return_inverse=True)
        return around.arrays(first, sites.reshape(-1), np.asarray(crystals.offsets), self.tolerance).with_rows(
            vector_means=orbits.rotations.astype(np.float32),
            tensor_means=tensor_means(orbits.squares).astype(np.float32),
        )


def harmonics(vectors: _Floats) -> _Floats:
    """Real spherical harmonics (..., 9) of degree 0 to 2 of unit vectors (..., 3), as `e3nn.o3.spherical_harmonics`."""
    degree_2 = np.einsum("...a,mab,...b->...m", vectors, TENSORS, vectors, optimize=True)
    return np.concatenate([np.ones_like(vectors[..., :1]), 3**0.5 * vectors, degree_2], axis=-1)


def tensor_means(squares: _Floats) -> _Floats:
    """Means (n, 5, 5) of the matrices that act on tensors of degree 2, from means (n, 3, 3, 3, 3) of Q_ac Q_bd.

    Y_2(Q r) = D Y_2(r) gives D_ml = Σ M_m,ab Q_ac Q_bd M_l,cd / |M_l|², since the matrices M are orthogonal.
    """
    turned: _Floats = np.einsum("mab,nacbd,lcd->nml", TENSORS, squares, TENSORS, optimize=True)
    return turned / float(np.square(TENSORS[0]).sum())


@dataclass(frozen=True, eq=False)
class _Neighbors:
    """The k neighbours of the N atoms of n crystals.

    Attributes:
        numbers: (N,) atomic numbers.
        owners: (N,) the crystal of each atom.
        neighbors: (N, k) atoms, counted over all crystals.
        distances: (N, k) in Å.
        moments: (N, k, 9) weights times spherical harmonics of the directions.
    """

    numbers: npt.NDArray[np.uint8]
    owners: _Ints
    neighbors: _Ints
    distances: _Floats
    moments: _Floats

    @classmethod
    def of(cls, full: Arrays) -> _Neighbors:
        """From the graphs with one more neighbour, at whose distance the weights end."""
        offsets = full.offsets["atom"]
        owners = np.repeat(np.arange(len(full)), np.diff(offsets))
        distances, vectors = (full.values[name].astype(np.float64) for name in ("distances", "vectors"))
        weights = (1 - np.minimum(distances[:, :-1] / distances[:, -1:], 1) ** 2) ** 2
        directions = vectors[:, :-1] / np.linalg.norm(vectors[:, :-1], axis=-1, keepdims=True)
        return cls(
            full.values["numbers"],
            owners,
            full.values["neighbors"][:, :-1] + offsets[owners][:, None],
            distances[:, :-1],
            weights[..., None] * harmonics(directions),
        )

    def unlike(self, first: _Ints, tolerance: float) -> npt.NDArray[np.bool_]:
        """Whether a crystal has an atom with other neighbours than the first atom of its orbit: (n,).

        Distances are compared, and lengths of the sums of spherical harmonics, which no rotation changes.
        """
        elements = self.numbers[self.neighbors] / 100.0
        sums = self.moments.sum(1), np.einsum("nk,nkm->nm", elements, self.moments)
        lengths = np.stack([np.linalg.norm(s[:, rows], axis=1) for s in sums for rows in _DEGREES], axis=1)
        apart = (np.abs(self.distances - self.distances[first]) > 10 * tolerance).any(1)
        apart |= (np.abs(lengths - lengths[first]) > 100 * tolerance).any(1) | (self.numbers != self.numbers[first])
        return np.bincount(self.owners, apart, minlength=int(self.owners.max(initial=-1)) + 1) > 0

    def arrays(self, first: _Ints, sites: _Ints, offsets: _Ints, tolerance: float) -> Arrays:
        """The graphs of the first atoms of each site.

        Args:
            first: (sites,) an atom for each site.
            sites: (N,) the site of each atom.
            offsets: (n + 1,) the first atom of each crystal.
            tolerance: of distances in Å.
        """
        n, owners = len(offsets) - 1, self.owners[first]
        moments = self.moments[first].reshape(-1, 9)
        kept = np.flatnonzero(moments[:, 0] > _VANISHES)
        sources = np.repeat(np.arange(len(first)), self.neighbors.shape[1])[kept]
        neighbors, distances = sites[self.neighbors[first]].reshape(-1)[kept], self.distances[first].reshape(-1)[kept]
        shells, shell_owners, shell_distances = _shells(distances, owners[sources], tolerance)
        order = np.lexsort((neighbors, shells, sources))
        sources, shells, neighbors = sources[order], shells[order], neighbors[order]
        new = np.ones(len(order), dtype=bool)
        new[1:] = (np.diff(sources) > 0) | (np.diff(shells) != 0) | (np.diff(neighbors) != 0)
        sources, shells, neighbors = sources[new], shells[new], neighbors[new]
        summed = np.add.reduceat(moments[kept[order]], np.flatnonzero(new)) if len(order) else moments[:0]
        starts = {
            "atom": offsets,
            SITE: offsets_of(np.bincount(owners, minlength=n)),
            EDGE: offsets_of(np.bincount(owners[sources], minlength=n)),
            SHELL: offsets_of(np.bincount(shell_owners, minlength=n)),
        }
        crystals = owners[sources]
        values: dict[str, npt.NDArray[Any]] = {
            "numbers": self.numbers[first],
            "multiplicities": np.bincount(sites).astype(np.int32),
            "sites": (sites - starts[SITE][self.owners]).astype(np.int32),
            "sources": (sources - starts[SITE][crystals]).astype(np.int32),
            "neighbors": (neighbors - starts[SITE][crystals]).astype(np.int32),
            "shells": (shells - starts[SHELL][crystals]).astype(np.int32),
            "harmonics": summed.astype(np.float32),
            "distances": shell_distances.astype(np.float32),
        }
        return Arrays(values, _LAYOUTS, starts, n)


def _shells(distances: _Floats, crystals: _Ints, tolerance: float) -> tuple[_Ints, _Ints, _Floats]:
    """Distances of a crystal with gaps of at most the tolerance are a shell, which is at most ten times as wide.

    Returns:
        The shell of each distance, and of each shell the crystal and the mean distance.
    """
    order = np.lexsort((distances, crystals))
    ordered, owners = distances[order], crystals[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(owners) > 0) | (np.diff(ordered) > tolerance)
    widths = ordered - ordered[new][np.cumsum(new) - 1]
    new[1:] |= np.diff(np.floor(widths / (10 * tolerance))) != 0
    shells = np.empty(len(order), dtype=np.int64)
    shells[order] = np.cumsum(new) - 1
    return shells, owners[new], np.bincount(shells, distances) / np.bincount(shells)


_LAYOUTS = {
    "numbers": Layout(SITE),
    "multiplicities": Layout(SITE),
    "sites": Layout("atom", SITE),
    "sources": Layout(EDGE, SITE),
    "neighbors": Layout(EDGE, SITE),
    "shells": Layout(EDGE, SHELL),
    "harmonics": Layout(EDGE),
    "distances": Layout(SHELL),
}
