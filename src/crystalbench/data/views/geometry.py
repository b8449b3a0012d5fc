"""Views of the geometry: density, exact positions, the size of the cell, and periodicity."""

from __future__ import annotations

from itertools import product

import numpy as np

from crystalbench.data.crystals import Crystals
from crystalbench.data.views.chemistry import VOLUME_PER_ATOM
from crystalbench.data.views.rows import (
    Floats,
    Indices,
    Numbers,
    OneCrystal,
    each,
    generator,
    listing_order,
    oriented,
    wrapped,
)
from crystalbench.data.views.symmetry import primitive_cell

AMPLITUDE = 0.05
"""Standard deviation in Å of random displacements along each axis."""

VACUUM = 10.0
"""Least distance in Å between atoms of a cluster and of its images."""

_EQUAL = 1e-4
"""Å; distances that differ by less are equal."""

_IMAGES = np.array(list(product((-2, -1, 0, 1, 2), repeat=3)), dtype=np.float64)


def unit_density(crystals: Crystals) -> Crystals:
    """Every cell scaled to 20 Å³ per atom."""
    volumes = VOLUME_PER_ATOM * crystals.atom_counts
    lattices = crystals.lattices * np.cbrt(volumes / crystals.volumes)[:, None, None]
    return Crystals(lattices, crystals.frac_coords, crystals.numbers, crystals.offsets, crystals.ids)


def perturbed(crystals: Crystals) -> Crystals:
    """Atoms moved by normally distributed displacements of 0.05 Å along each axis.

    The draw follows from the cell and its atoms, not from the order of the atoms or the orientation of the cell. Two
    cells of the same crystal are displaced differently.
    """
    return displaced(crystals, AMPLITUDE)


def displaced(crystals: Crystals, amplitude: float) -> Crystals:
    """Atoms moved as in `perturbed`, by displacements with another standard deviation in Å along each axis.

    Displacements of different size have the same directions.
    """
    return each(crystals, lambda one: _displaced(one, amplitude))


def supercell(crystals: Crystals) -> Crystals:
    """Every cell doubled along its shortest lattice vector."""
    return each(crystals, _doubled)


def clusters(crystals: Crystals) -> Crystals:
    """The atoms of one primitive cell as a cluster in an empty box, so that nothing repeats.

    Around the most central atom, every other atom of the cell is at its image that is nearest to this atom; among
    equally near images, the one that is nearest to the atoms placed before. The cluster therefore does not depend on
    the choice of the cell. Images of the cluster are at least 10 Å apart.
    """
    return each(crystals, _cluster)


def _displaced(one: OneCrystal, amplitude: float) -> OneCrystal:
    order = listing_order(one.coords)
    draw = generator(one.lattice, wrapped(one.coords)[order], one.numbers[order])
    moves = np.empty_like(one.coords)
    moves[order] = draw.normal(0.0, amplitude, one.coords.shape)
    # Å to fractional coordinates in the standard orientation: a rotated crystal gets the same displacements.
    return one._replace(coords=one.coords + moves @ np.linalg.inv(oriented(one.lattice)))


def _doubled(one: OneCrystal) -> OneCrystal:
    lengths = np.round(np.linalg.norm(one.lattice, axis=1), 6)
    axis = int(np.argmin(lengths))
    lattice, coords = one.lattice.copy(), one.coords.copy()
    lattice[axis] *= 2
    coords[:, axis] /= 2
    other = coords.copy()
    other[:, axis] += 0.5
    return one._replace(lattice=lattice, coords=np.concatenate([coords, other]), numbers=np.tile(one.numbers, 2))


def _cluster(one: OneCrystal) -> OneCrystal:
    cell = primitive_cell(one)
    steps = _IMAGES @ cell.lattice
    base = (cell.coords - np.floor(cell.coords)) @ cell.lattice
    order, places = _compact(base, cell.numbers, steps)
    places = _in_own_axes(places)
    places -= (places.max(axis=0) + places.min(axis=0)) / 2
    diameter = float(np.linalg.norm(places[:, None] - places[None], axis=2).max())
    edge = diameter + VACUUM
    return OneCrystal(np.eye(3) * edge, places / edge + 0.5, cell.numbers[order], one.name)


def _compact(base: Floats, numbers: Numbers, steps: Floats) -> tuple[Indices, Floats]:
    """Order of the atoms by distance from the most central one, and (atoms, 3) their images nearest to it.

    If several atoms are equally central, the cluster with the shortest distances is taken.
    """
    offsets = base[None] - base[:, None]  # [centre, atom]
    nearest = np.stack([np.linalg.norm(row[:, None] + steps[None], axis=2).min(axis=1) for row in offsets])
    totals = nearest.sum(axis=1)
    centres = np.flatnonzero(totals < totals.min() + _EQUAL * len(totals))
    found = [_around(int(c), offsets[c], nearest[c], numbers, steps) for c in centres]
    return min(found, key=lambda cluster: (round(_sum_of_distances(cluster[1]), 3), *numbers[cluster[0]].tolist()))


def _around(centre: int, offsets: Floats, nearest: Floats, numbers: Numbers, steps: Floats) -> tuple[Indices, Floats]:
    """Order and places of the cluster around one atom, given the offsets of all atoms from it."""
    order, placed = [centre], np.zeros((1, 3))
    left = [k for k in range(len(offsets)) if k != centre]
    while left:
        shell = [k for k in left if nearest[k] < nearest[left].min() + _EQUAL]
        atoms, images = _images(shell, offsets, nearest, steps)
        lengths = np.linalg.norm(images[:, None] - placed[None], axis=2)
        weighted = (lengths**2 * numbers[order]).sum(axis=1)  # tells apart images that are near to other elements
        keys = (np.round(weighted, 2), numbers[atoms], np.round(lengths.sum(axis=1), 3))
        first = int(np.lexsort(keys)[0])
        order.append(int(atoms[first]))
        placed = np.concatenate([placed, images[[first]]])
        left.remove(order[-1])
    return np.array(order), placed


def _images(shell: list[int], offsets: Floats, nearest: Floats, steps: Floats) -> tuple[Indices, Floats]:
    """All images of some atoms at their least distance: (images,) the atom and (images, 3) its place."""
    places = offsets[shell][:, None] + steps
    rows, columns = np.nonzero(np.linalg.norm(places, axis=2) < nearest[shell][:, None] + _EQUAL)
    return np.array(shell)[rows], places[rows, columns]


def _sum_of_distances(places: Floats) -> float:
    return float(np.linalg.norm(places[:, None] - places[None], axis=2).sum())


def _in_own_axes(places: Floats) -> Floats:
    """The cluster with its first atoms along x and in the xy plane, so that the box does not show its orientation."""
    axes: list[Floats] = []
    for place in places[1:]:
        rest = place - sum(((place @ axis) * axis for axis in axes), np.zeros(3))
        length = float(np.linalg.norm(rest))
        if length > 0.1:  # Å
            axes.append(rest / length)
        if len(axes) == 2:
            x, y = axes
            return np.asarray(places @ np.stack([x, y, np.cross(x, y)]).T)
    if not axes:
        return places
    x = axes[0]
    helper = np.eye(3)[np.argmin(np.abs(x))]
    y = np.cross(x, helper)
    y /= np.linalg.norm(y)
    return np.asarray(places @ np.stack([x, y, np.cross(x, y)]).T)
