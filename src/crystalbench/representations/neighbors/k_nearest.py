"""The k nearest neighbours of every atom, exactly k or with weights whose sum is k, for many crystals at once.

pymatgen's compiled search finds the pairs of each crystal (`pairs_within`). Sorting by shell, element and atom, which
takes longer in plain NumPy than the search, is done for a few thousand atoms at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals
from crystalbench.data.flat import offsets_of, segment_rows
from crystalbench.errors import DataError
from crystalbench.representations.neighbors.search import GROWTH, SAME_PLACE, SAME_SHELL, pairs_within
from crystalbench.representations.neighbors.weights import shared_weights

_FIRST = 1.8  # times k atoms are expected in the first sphere
_ATOMS = 2048  # atoms sorted at once: few enough for the processor's cache
_WIDTH = 8  # rows of pairs are padded to multiples of this

_Ints: TypeAlias = npt.NDArray[np.int64]
_Floats: TypeAlias = npt.NDArray[np.float64]


def nearest(
    crystals: Crystals, k: int, vectors: bool
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The k nearest neighbours of every atom, in the order of `CrystalGraph`.

    The search radius of a crystal grows until every atom has k neighbours within it and the shell of the last of them
    is complete.

    Args:
        crystals: n crystals.
        k: neighbours per atom.
        vectors: whether to return vectors to the neighbours.

    Returns:
        Atom indices (atoms, k) int32, counted within the crystal; distances (atoms, k) float32 in Å; vectors
        (atoms, k, 3) float32 in Å from each atom to its neighbours, or an empty array (0, k, 3) without ``vectors``.

    Raises:
        DataError: the search fails; names the id.
    """
    atoms = len(crystals.numbers)
    neighbors = np.empty((atoms, k), dtype=np.int32)
    distances = np.empty((atoms, k), dtype=np.float32)
    directions = np.empty((atoms if vectors else 0, k, 3), dtype=np.float32)
    carts = np.ascontiguousarray(crystals.wrapped().cart_coords)
    radii = _first_radii(crystals, k)
    left = np.arange(len(crystals))
    while len(left):
        unfinished = []
        for part in _groups(left, crystals.atom_counts):
            pairs = _Pairs(crystals, carts, part, radii, vectors)
            reach = np.empty(len(pairs.rows))
            for some, chosen, points, lengths, last in pairs.nearest(k):
                rows = pairs.rows[some]
                neighbors[rows], distances[rows], reach[some] = points, lengths, last
                if vectors:
                    # Atoms with fewer than k neighbours get invalid pairs here; a larger sphere replaces them.
                    others = carts.take(pairs.firsts[some, None] + points, axis=0, mode="clip")
                    images = pairs.images.take(chosen, axis=0, mode="clip")
                    shifts = images @ crystals.lattices[pairs.owners[some]]
                    directions[rows] = others + shifts - carts[rows, None]
            complete = reach < radii[pairs.owners] - 2 * SAME_SHELL
            unfinished.append(np.unique(pairs.owners[~complete]))
        left = np.concatenate(unfinished)
        radii[left] *= GROWTH
    return neighbors, distances, directions


class WeightedPairs(NamedTuple):
    """Directed pairs of the atoms of n crystals, ascending by the first atom, then by distance.

    Attributes:
        sources: (p,) the first atom, counted over all crystals.
        neighbors: (p,) the second atom, counted within the crystal.
        distances: (p,) in Å.
        weights: (p,) positive, at most 1.
    """

    sources: _Ints
    neighbors: _Ints
    distances: _Floats
    weights: _Floats


def weighted(crystals: Crystals, k: int, softening: float) -> WeightedPairs:
    """The neighbours of every atom with `shared_weights`, whose sum is k.

    The search radius of a crystal grows until it exceeds the distance of the k-th neighbour of every atom by
    ``softening``.

    Args:
        crystals: n crystals.
        k: sum of the weights of an atom's neighbours.
        softening: distance in Å over which weights fall to zero beyond the k-th neighbour.

    Raises:
        DataError: the search fails; names the id.
    """
    none = np.zeros(0, dtype=np.int64)
    found = [WeightedPairs(none, none, np.zeros(0), np.zeros(0))]
    carts = np.ascontiguousarray(crystals.wrapped().cart_coords)
    radii = _first_radii(crystals, k)
    left = np.arange(len(crystals))
    while len(left):
        unfinished = []
        for part in _groups(left, crystals.atom_counts):
            pairs = _Pairs(crystals, carts, part, radii, images=False)
            complete = np.zeros(len(pairs.rows), dtype=bool)
            batches = list(pairs.ascending(k))
            for some, _, ascending, far in batches:
                last = ascending[:, k - 1]
                complete[some] = (last < far) & (last + softening < radii[pairs.owners[some]])
            missing = np.unique(pairs.owners[~complete])
            unfinished.append(missing)
            finished = ~np.isin(pairs.owners, missing)
            for some, order, ascending, _ in batches:
                chosen = finished[some]
                weights = shared_weights(ascending[chosen], k, softening)
                rows, columns = np.nonzero(weights)
                kept = order[chosen][rows, columns]
                lengths = ascending[chosen][rows, columns]
                found.append(
                    WeightedPairs(pairs.rows[some[chosen]][rows], pairs.points(kept), lengths, weights[rows, columns])
                )
        left = np.concatenate(unfinished)
        radii[left] *= GROWTH
    sources, neighbors, distances, weights = map(np.concatenate, zip(*found, strict=True))
    order = np.argsort(sources, kind="stable")
    return WeightedPairs(sources[order], neighbors[order], distances[order], weights[order])


def _first_radii(crystals: Crystals, k: int) -> _Floats:
    """Radii (n,) in Å of spheres that contain about 1.8 k atoms at the number density of each crystal."""
    density = crystals.atom_counts / crystals.volumes
    return np.asarray(np.cbrt(3 * (_FIRST * k + 1) / (4 * np.pi * density)))


def _groups(rows: _Ints, atom_counts: _Ints) -> Iterator[_Ints]:
    """Split crystals into groups of about `_ATOMS` atoms."""
    group = np.cumsum(atom_counts[rows]) // _ATOMS
    yield from np.split(rows, np.flatnonzero(np.diff(group)) + 1)


class _Pairs:
    """All pairs of atoms within the search radii of some crystals, ascending by the first atom.

    Attributes:
        rows: (a,) the atoms of these crystals, counted over all crystals.
        owners: (a,) the crystal of each atom.
        firsts: (a,) the first atom of that crystal.
        images: (pairs, 3) the cell of the second atom; empty unless requested.
    """

    def __init__(self, crystals: Crystals, carts: _Floats, part: _Ints, radii: _Floats, images: bool) -> None:
        offsets, lattices = crystals.offsets, np.ascontiguousarray(crystals.lattices[part])
        counts: list[_Ints] = []
        points, lengths, cells = [], [], [np.zeros((0, 3))]
        starts, stops = offsets[part].tolist(), offsets[part + 1].tolist()
        for start, stop, radius, lattice in zip(starts, stops, radii[part].tolist(), lattices, strict=True):
            atoms = carts[start:stop]
            try:
                found = pairs_within(lattice, atoms, radius, with_self=True)
            except DataError as error:
                raise DataError(f"{crystals.ids[part[len(counts)]]}: {error}") from error
            counts.append(np.bincount(found.centers, minlength=stop - start))
            points.append(found.others)
            lengths.append(found.distances)
            if images:
                cells.append(found.images)
        self.rows = segment_rows(offsets, part)
        self.owners = np.repeat(part, crystals.atom_counts[part])
        self.firsts = offsets[self.owners]
        self.images = np.concatenate(cells)
        self._counts, self._points, self._lengths = (
            np.concatenate(counts),
            np.concatenate(points),
            np.concatenate(lengths),
        )
        self._numbers = crystals.numbers

    def nearest(self, k: int) -> Iterator[tuple[_Ints, _Ints, _Ints, _Floats, _Floats]]:
        """The k nearest atoms of each atom, in batches of atoms with similar numbers of pairs.

        Yields:
            The atoms (b,) of the batch; their pairs (b, k), the second atoms (b, k) and distances (b, k) of these; and
            the largest distance (b,) in the shell of the last pair, infinite where an atom has fewer than k pairs.
        """
        point_bits = int(self._points.max()).bit_length()
        for some, order, ascending, far in self.ascending(k):
            width = ascending.shape[1]
            points = self._points.take(order, mode="clip")
            numbers = self._numbers.take(self.firsts[some, None] + points, mode="clip").astype(np.int64)
            shells = _shells(ascending)
            bits = (width - 1).bit_length()
            # Order within a shell: atomic number, then atom index, then distance.
            keys = (((shells << 7 | numbers) << point_bits | points) << bits) | np.arange(width)
            keys.sort(axis=1)
            keys = keys[:, :k]
            places = (keys & ((1 << bits) - 1)) + np.arange(0, keys.shape[0] * width, width)[:, None]
            last = np.where(shells == shells[:, k - 1 : k], ascending, 0).max(axis=1)
            yield (
                some,
                order.ravel().take(places),
                (keys >> bits) & ((1 << point_bits) - 1),
                ascending.ravel().take(places),
                np.where(last < far, last, np.inf),
            )

    def ascending(self, k: int) -> Iterator[tuple[_Ints, _Ints, _Floats, float]]:
        """The pairs of each atom by distance, in batches of atoms with similar numbers of pairs.

        Yields:
            The atoms (b,) of the batch; their pairs (b, m), m at least k, in ascending order of the distances (b, m);
            and a distance that is larger than all, which fills rows with fewer than m pairs.
        """
        starts = offsets_of(self._counts)[:-1]
        widths = -(-np.maximum(self._counts, k) // _WIDTH) * _WIDTH
        for width in np.unique(widths).tolist():
            some = np.flatnonzero(widths == width)
            first, columns = starts[some, None], np.arange(width)
            lengths = self._lengths.take(first + columns, mode="clip")
            none = (columns >= self._counts[some, None]) | (lengths <= SAME_PLACE)
            far = 2 * float(lengths.max()) + 1
            lengths[none] = far
            order, ascending = _ascending(lengths)
            order += first  # pairs
            yield some, order, ascending, far

    def points(self, pairs: _Ints) -> _Ints:
        """The second atoms of pairs, counted within the crystal."""
        return self._points[pairs]


def _shells(ascending: _Floats) -> _Ints:
    """Shell numbers (rows, m) of ascending lengths (rows, m); the count continues from row to row."""
    flat = ascending.ravel()
    shells = np.zeros(len(flat), dtype=np.int64)
    np.cumsum(np.abs(np.diff(flat)) > SAME_SHELL, out=shells[1:])
    return shells.reshape(ascending.shape)


def _ascending(lengths: _Floats) -> tuple[_Ints, _Floats]:
    """Stable argsort (rows, m) of positive numbers (rows, m) along the rows, and the sorted numbers.

    The bit patterns of positive floats sort as the floats do. If they leave enough high bits free for the column, as
    interatomic distances do, pattern and column are sorted as one integer, which is several times faster than an
    argsort.
    """
    bits = (lengths.shape[1] - 1).bit_length()
    patterns = lengths.view(np.uint64)
    least = patterns.min()
    if int(patterns.max() - least) >> (64 - bits):
        order = np.argsort(lengths, axis=1, kind="stable")
        return order, np.take_along_axis(lengths, order, axis=1)
    keys = ((patterns - least) << np.uint64(bits)) | np.arange(lengths.shape[1], dtype=np.uint64)
    keys.sort(axis=1)
    order = (keys & np.uint64((1 << bits) - 1)).astype(np.int64)
    return order, ((keys >> np.uint64(bits)) + least).view(np.float64)
