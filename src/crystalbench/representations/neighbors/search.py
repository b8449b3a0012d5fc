"""All pairs of atoms of a crystal within a distance, across the periodic boundaries.

The search itself is pymatgen's compiled ``find_points_in_spheres`` (S. P. Ong et al., Comput. Mater. Sci. 68, 314,
2013): linear in the number of atoms and images. This module is the only one that calls it, and defines the tolerances.

Limit: two atoms closer than `SAME_PLACE` are not neighbours.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from pymatgen.optimization.neighbors import find_points_in_spheres

from crystalbench.errors import DataError

SAME_SHELL = 1e-5
"""Neighbours whose distances differ by less than this, in Å, belong to one shell."""
SAME_PLACE = 1e-8
"""A pair closer than this, in Å, is an atom with itself, or two atoms at the same position."""
GROWTH = 1.25
"""Factor by which a sphere grows if it does not contain the neighbours needed."""

_PERIODIC = np.array([1, 1, 1], dtype=np.int64)

_Ints: TypeAlias = npt.NDArray[np.int64]
_Floats: TypeAlias = npt.NDArray[np.float64]


class Pairs(NamedTuple):
    """Directed pairs of an atom of the cell and another atom, which may be an image of itself.

    Attributes:
        centers: (p,) index of the first atom, ascending.
        others: (p,) index of the second atom.
        images: (p, 3) cell of the second atom, as whole numbers of lattice vectors.
        distances: (p,) distance in Å.
    """

    centers: _Ints
    others: _Ints
    images: _Floats
    distances: _Floats


def pairs_within(
    lattice: _Floats, carts: _Floats, radius: float, centers: _Floats | None = None, *, with_self: bool = False
) -> Pairs:
    """All pairs within a distance.

    Args:
        lattice: (3, 3) rows are the lattice vectors in Å.
        carts: (atoms, 3) Cartesian coordinates in Å, inside the cell.
        radius: largest distance in Å.
        centers: (c, 3) coordinates of the first atoms, which `Pairs.centers` then numbers; by default all atoms.
        with_self: whether pairs closer than `SAME_PLACE` are kept, among them those of each atom with itself.

    Raises:
        DataError: the search fails, for lack of memory for instance.
    """
    carts = np.ascontiguousarray(carts)
    centers = carts if centers is None else np.ascontiguousarray(centers)
    try:
        found = find_points_in_spheres(carts, centers, radius, _PERIODIC, np.ascontiguousarray(lattice), SAME_PLACE)
    except (ValueError, MemoryError) as error:
        raise DataError(f"neighbours within {radius:.3g} Å cannot be found ({error})") from error
    pairs = Pairs(*found)
    if with_self:
        return pairs
    apart = pairs.distances > SAME_PLACE
    return Pairs(pairs.centers[apart], pairs.others[apart], pairs.images[apart], pairs.distances[apart])
