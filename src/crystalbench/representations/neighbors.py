"""The k nearest atoms of every atom, for many crystals at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from pymatgen.optimization.neighbors import find_points_in_spheres

from crystalbench.data.crystals import Crystals
from crystalbench.data.flat import offsets_of, segment_rows
from crystalbench.errors import DataError

_PERIODIC = np.array([1, 1, 1], dtype=np.int64)
_SAME = 1e-5  # Å; distances closer than this are one shell
_TINY = 1e-8  # Å; the atom itself, or one on its place
_FIRST, _GROWTH = 1.8, 1.25
_ATOMS = 2048  # worked on at once: few enough to stay near the processor
_WIDTH = 8  # rows of pairs are padded to multiples of this

_Ints: TypeAlias = npt.NDArray[np.int64]
_Floats: TypeAlias = npt.NDArray[np.float64]


def nearest(
    crystals: Crystals, k: int, vectors: bool
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Indices (atoms, k) int32 of neighbours and their distances (atoms, k) float32, in the order of `CrystalGraph`.

    Spheres grow until every atom of a crystal has k neighbours in them, and the whole shell of the last. pymatgen's
    compiled search finds the pairs; all that follows is done for many crystals at once.

    Args:
        crystals: n crystals.
        k: neighbours of each atom.
        vectors: whether vectors (atoms, k, 3) float32 to the neighbours are wanted; else they are (0, k, 3).

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
                    # Atoms that still lack neighbours have pairs that are none; they come again.
                    others = carts.take(pairs.firsts[some, None] + points, axis=0, mode="clip")
                    images = pairs.images.take(chosen, axis=0, mode="clip")
                    shifts = images @ crystals.lattices[pairs.owners[some]]
                    directions[rows] = others + shifts - carts[rows, None]
            complete = reach < radii[pairs.owners] - 2 * _SAME
            unfinished.append(np.unique(pairs.owners[~complete]))
        left = np.concatenate(unfinished)
        radii[left] *= _GROWTH
    return neighbors, distances, directions


def _first_radii(crystals: Crystals, k: int) -> _Floats:
    """Radii (n,) in Å of spheres that hold about 1.8 k atoms at each crystal's number density: seldom too small."""
    density = crystals.atom_counts / crystals.volumes
    return np.asarray(np.cbrt(3 * (_FIRST * k + 1) / (4 * np.pi * density)))


def _groups(rows: _Ints, atom_counts: _Ints) -> Iterator[_Ints]:
    """Crystals in groups of about as many atoms."""
    group = np.cumsum(atom_counts[rows]) // _ATOMS
    yield from np.split(rows, np.flatnonzero(np.diff(group)) + 1)


class _Pairs:
    """All pairs of atoms within the spheres of some crystals, ascending by the first atom.

    Attributes:
        rows: (a,) the atoms of these crystals, as numbered among all atoms.
        owners: (a,) the crystal of each.
        firsts: (a,) the first atom of that crystal.
        images: (pairs, 3) the cell in which the second atom is; empty unless asked for.
    """

    def __init__(self, crystals: Crystals, carts: _Floats, part: _Ints, radii: _Floats, images: bool) -> None:
        offsets, lattices = crystals.offsets, np.ascontiguousarray(crystals.lattices[part])
        counts: list[_Ints] = []
        points, lengths, cells = [], [], [np.zeros((0, 3))]
        starts, stops = offsets[part].tolist(), offsets[part + 1].tolist()
        for start, stop, radius, lattice in zip(starts, stops, radii[part].tolist(), lattices, strict=True):
            atoms = carts[start:stop]
            try:
                found = find_points_in_spheres(atoms, atoms, radius, _PERIODIC, lattice, _TINY)
            except (ValueError, MemoryError) as error:
                name = crystals.ids[part[len(counts)]]
                raise DataError(f"{name}: neighbours cannot be found ({error})") from error
            counts.append(np.bincount(found[0], minlength=stop - start))
            points.append(found[1])
            lengths.append(found[3])
            if images:
                cells.append(found[2])
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
        """The k nearest atoms of each atom, for some atoms after others.

        Yields:
            atoms (b,) of this group, pairs (b, k), second atoms (b, k) and distances (b, k) of these pairs, and the
            largest distance (b,) in the shell of the last; infinite where there are fewer than k.
        """
        starts = offsets_of(self._counts)[:-1]
        point_bits = int(self._points.max()).bit_length()
        widths = -(-np.maximum(self._counts, k) // _WIDTH) * _WIDTH
        for width in np.unique(widths).tolist():
            some = np.flatnonzero(widths == width)
            first, columns = starts[some, None], np.arange(width)
            lengths = self._lengths.take(first + columns, mode="clip")
            none = (columns >= self._counts[some, None]) | (lengths <= _TINY)
            far = 2 * float(lengths.max()) + 1
            lengths[none] = far
            order, ascending = _ascending(lengths)
            order += first  # pairs
            points = self._points.take(order, mode="clip")
            numbers = self._numbers.take(self.firsts[some, None] + points, mode="clip").astype(np.int64)
            shells = _shells(ascending)
            bits = (width - 1).bit_length()
            # Within a shell lower atomic numbers come first, then the order of the atoms, then distances.
            keys = (((shells << 7 | numbers) << point_bits | points) << bits) | columns
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


def _shells(ascending: _Floats) -> _Ints:
    """Numbers (rows, m) of the shells to which ascending lengths (rows, m) belong, counted on from row to row."""
    flat = ascending.ravel()
    shells = np.zeros(len(flat), dtype=np.int64)
    np.cumsum(np.abs(np.diff(flat)) > _SAME, out=shells[1:])
    return shells.reshape(ascending.shape)


def _ascending(lengths: _Floats) -> tuple[_Ints, _Floats]:
    """Order (rows, m) that sorts positive numbers (rows, m) along their rows, stable, and the sorted numbers.

    The bits of positive floats ascend as they do. Where they leave room for the column beside them, which lengths
    between atoms do, values are sorted, which is several times faster than to sort indices.
    """
    bits = (lengths.shape[1] - 1).bit_length()
    whole = lengths.view(np.uint64)
    least = whole.min()
    if int(whole.max() - least) >> (64 - bits):
        order = np.argsort(lengths, axis=1, kind="stable")
        return order, np.take_along_axis(lengths, order, axis=1)
    keys = ((whole - least) << np.uint64(bits)) | np.arange(lengths.shape[1], dtype=np.uint64)
    keys.sort(axis=1)
    order = (keys & np.uint64((1 << bits) - 1)).astype(np.int64)
    return order, ((keys >> np.uint64(bits)) + least).view(np.float64)
