"""All pairs of atoms within a distance, and descriptors of the radial order made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pymatgen.optimization.neighbors import find_points_in_spheres

_PERIODIC = np.array([1, 1, 1], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Directed pairs of an atom of the cell and another atom, or an image of itself.

    Attributes:
        centers: (p,) index of the atom.
        others: (p,) index of the other atom.
        distances: (p,) distance in Å.
    """

    centers: npt.NDArray[np.int64]
    others: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]


def pairs_within(lattice: npt.NDArray[np.float64], carts: npt.NDArray[np.float64], cutoff: float) -> Pairs:
    """All pairs within a distance in Å."""
    centers, others, _, distances = find_points_in_spheres(
        np.ascontiguousarray(carts), np.ascontiguousarray(carts), cutoff, _PERIODIC, np.ascontiguousarray(lattice), 1e-8
    )
    other = distances > 1e-8  # not the atom itself
    return Pairs(centers[other], others[other], distances[other])
