"""Interatomic distances, to find atoms at the same position or closer than any bond."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pymatgen.core import Lattice
from pymatgen.optimization.neighbors import find_points_in_spheres

from crystalbench.data.crystals import Crystals

LEAST = 0.5
"""Smallest plausible distance in Å. The shortest bond, H-H, has 0.74 Å; the Matbench files have 0.75 Å or more."""

MOST_VOLUME = 1e6
"""Largest plausible volume per atom in Å³: a box of 100 Å around a single atom. Lengths in pm give more."""

_PERIODIC = np.array([1, 1, 1], dtype=np.int64)


def least_distances(crystals: Crystals, radius: float = LEAST) -> npt.NDArray[np.float64]:
    """The smallest distance between two atoms of each crystal, including periodic images, if it is below a radius.

    Args:
        crystals: n crystals.
        radius: in Å.

    Returns:
        (n,) distances in Å; infinity if no two atoms are closer than the radius.
    """
    carts = np.ascontiguousarray(crystals.wrapped().cart_coords)
    least = np.full(len(crystals), np.inf)
    for i in range(len(crystals)):
        atoms = carts[crystals.offsets[i] : crystals.offsets[i + 1]]
        lattice = _compact(crystals.lattices[i], radius)
        if (shortest := float(np.linalg.norm(lattice, axis=1).min())) < 1e-3 * radius:
            least[i] = shortest  # an atom and its image; a search would go through countless images
            continue
        centers, points, images, lengths = find_points_in_spheres(atoms, atoms, radius, _PERIODIC, lattice, 1e-8)
        others = lengths[(centers != points) | images.any(axis=1)]  # not the atom itself
        if len(others):
            least[i] = others.min()
    return least


def _compact(lattice: npt.NDArray[np.float64], radius: float) -> npt.NDArray[np.float64]:
    """The lattice vectors; reduced ones if the cell is thinner than the radius, where a search would take for ever."""
    heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    if heights.min() < radius:
        lattice = Lattice(lattice).get_lll_reduced_lattice().matrix
    return np.ascontiguousarray(lattice, dtype=np.float64)


def implausible(crystals: Crystals) -> list[tuple[int, str]]:
    """Row numbers of crystals with atoms at impossible distances, each with a message that continues its id."""
    volumes = crystals.volumes / crystals.atom_counts
    sparse = [
        (int(row), f"has a volume of {volumes[row]:.3g} Å³ per atom; lengths must be in Å (are they in pm?)")
        for row in np.flatnonzero(volumes > MOST_VOLUME)
    ]
    return sorted([*too_close(crystals), *sparse])


def too_close(crystals: Crystals) -> list[tuple[int, str]]:
    """Row numbers of the crystals with atoms closer than 0.5 Å, each with a message that continues its id."""
    least = least_distances(crystals)
    return [
        (int(row), f"has two atoms {least[row]:.3g} Å apart; correct its coordinates (written with too few digits?)")
        for row in np.flatnonzero(np.isfinite(least))
    ]
