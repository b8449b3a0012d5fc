"""Anonymous labels of the species of a crystal, which follow from its geometry and not from the elements."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pymatgen.optimization.neighbors import find_points_in_spheres

from crystalbench.data.elements import MAX_Z
from crystalbench.data.views.rows import Floats, Numbers, OneCrystal

_FIRST = (26, 44, 76, 29, 46, 78, 24, 42, 74, 27, 45, 77)
LABELS: tuple[int, ...] = (*_FIRST, *(z for z in range(1, MAX_Z + 1) if z not in _FIRST))
"""Elements that stand for the labels A, B, C, ...: Fe, Ru, Os, Cu, Pd, Pt, Cr, Mo, W, Co, Rh, Ir, then all others.

The first twelve have similar radii and known electronegativities, but atomic numbers that differ: a model can tell them
apart, and methods that use radii treat them nearly alike.
"""

_RADIUS = 3.0
"""Radius around atoms, in units of the cube root of the volume per atom."""
_CENTRES = np.linspace(0.4, 2.8, 13)
_WIDTH = 0.2
_DECIMALS = 5
_LEAVES = 200
"""Most complete orders that are compared. Only crystals with many interchangeable species have more."""

_Classes = npt.NDArray[np.intp]


def anonymous_numbers(crystal: OneCrystal) -> Numbers:
    """(atoms,) labels of a crystal's atoms as atomic numbers.

    The species with most atoms is A, the next B, and so on. Species with equally many atoms are ordered by their radial
    distribution functions, in units of the mean distance, so that the elements, the size of the cell, its choice and
    the order of the atoms do not matter. Species that these do not distinguish, such as the two of rock salt, can
    normally be exchanged by a symmetry of the geometry; they are labelled in the order of the list.
    """
    _, first, species, counts = np.unique(crystal.numbers, return_index=True, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(first))  # species numbered by their first atom
    species = rank[species.reshape(-1)]
    counts = counts[np.argsort(first)]
    order = np.argsort(-counts, kind="stable")
    if len(set(counts.tolist())) < len(counts):
        order = _canonical_order(counts, _pair_classes(crystal, species, counts))
    labels = np.empty(len(counts), dtype=np.uint8)
    labels[order] = LABELS[: len(counts)]
    return np.asarray(labels[species])


def _pair_classes(crystal: OneCrystal, species: _Classes, counts: _Classes) -> _Classes:
    """(species, species) classes of radial distribution functions, numbered in the order of their values."""
    scale = np.cbrt(crystal.volume / len(species))
    lattice = np.ascontiguousarray(crystal.lattice / scale)
    places = np.ascontiguousarray((crystal.coords - np.floor(crystal.coords)) @ lattice)
    periodic = np.ones(3, dtype=np.int64)
    centre, point, images, length = find_points_in_spheres(places, places, _RADIUS, periodic, lattice, 1e-8)
    other = (centre != point) | images.any(axis=1)
    functions = _radial(length[other])
    n = len(counts)
    pairs = species[centre[other]] * n + species[point[other]]
    sums = np.stack([np.bincount(pairs, column, minlength=n * n) for column in functions.T], axis=1)
    mean = sums / np.repeat(counts, n)[:, None]
    _, classes = np.unique(np.round(mean, _DECIMALS) + 0.0, axis=0, return_inverse=True)
    return np.asarray(classes.reshape(n, n))


def _radial(lengths: Floats) -> Floats:
    """(pairs, functions) smooth functions of distances that vanish at the radius."""
    fading = 0.5 + 0.5 * np.cos(np.pi * lengths / _RADIUS)
    return np.asarray(np.exp(-(((lengths[:, None] - _CENTRES) / _WIDTH) ** 2)) * fading[:, None])


def _canonical_order(counts: _Classes, classes: _Classes) -> _Classes:
    """The order of species that makes the matrix of classes smallest, among those with decreasing counts."""
    best: list[tuple[tuple[int, ...], _Classes]] = []
    leaves = 0

    def search(colours: _Classes) -> None:
        nonlocal leaves
        colours = _refined(colours, classes)
        shared = [c for c in np.unique(colours) if (colours == c).sum() > 1]
        if not shared:
            leaves += 1
            order = np.argsort(colours)
            key = tuple(classes[np.ix_(order, order)].ravel().tolist())
            if not best or key < best[0][0]:
                best[:] = [(key, order)]
            return
        for member in np.flatnonzero(colours == shared[0]):
            if leaves < _LEAVES or not best:
                apart = 2 * colours + 1
                apart[member] -= 1
                search(apart)

    search(np.unique(-counts, return_inverse=True)[1].reshape(-1))
    return best[0][1]


def _refined(colours: _Classes, classes: _Classes) -> _Classes:
    """Split species of one colour by the colours and classes of their pairs, until nothing changes."""
    while True:
        n = range(len(colours))
        keys = [
            (int(colours[i]), int(classes[i, i]), tuple(sorted((colours[j], classes[i, j], classes[j, i]) for j in n)))
            for i in n
        ]
        known = {key: number for number, key in enumerate(sorted(set(keys)))}
        finer = np.array([known[key] for key in keys], dtype=np.intp)
        if len(known) == len(np.unique(colours)):
            return finer
        colours = finer
