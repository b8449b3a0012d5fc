"""Crystal graphs: every atom with its nearest neighbours across the periodic boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pymatgen.optimization.neighbors import find_points_in_spheres

from crystalbench.crystals import Crystals, Inputs
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.arrays import Arrays, Layout
from crystalbench.representations.representation import Representation

_PERIODIC = np.array([1, 1, 1], dtype=np.int64)
_SAME = 1e-5  # Å; distances closer than this are one shell
_GROWTH = 1.25


@dataclass(frozen=True)
class CrystalGraph(Representation):
    """The k nearest neighbours of every atom, counting periodic images.

    The construction of CGCNN (Xie and Grossman, Phys. Rev. Lett. 120, 145301, 2018): 12 neighbours. Its 8 Å cutoff
    bounds the distance expansion of the network, not the search: an atom with fewer neighbours within it (isolated
    atoms, layers in vacuum) still has k edges, to the atoms that are nearest, where the original pads with edges to
    an arbitrary atom. Where a shell of distances less than 1e-5 Å apart is cut, the lower atomic numbers come first,
    then the order of the atoms.

    Arrays: ``numbers`` (atoms,) uint8; ``neighbors`` (atoms, k) int32 atom indices; ``distances`` (atoms, k) float32
    in Å, ascending from shell to shell; with ``vectors`` also ``vectors`` (atoms, k, 3) float32 in Å, from each atom to
    its neighbours.

    Attributes:
        neighbors: neighbours of each atom, k.
        vectors: whether the directions of neighbours are kept, for networks that look at them.
    """

    version: ClassVar[int] = 2

    neighbors: int = 12
    vectors: bool = False

    def __post_init__(self) -> None:
        if self.neighbors < 1:
            raise ConfigError(f"a crystal graph needs at least one neighbour per atom, not {self.neighbors}")

    def __call__(self, inputs: Inputs) -> Arrays:
        """The graphs of n crystals."""
        if not isinstance(inputs, Crystals):
            raise DataError("a crystal graph needs crystal structures; these rows are compositions")
        k, atoms = self.neighbors, len(inputs.numbers)
        neighbors = np.empty((atoms, k), dtype=np.int32)
        distances = np.empty((atoms, k), dtype=np.float32)
        vectors = np.empty((atoms if self.vectors else 0, k, 3), dtype=np.float32)
        carts = np.ascontiguousarray(inputs.wrapped().cart_coords)
        radii = _first_radii(inputs, k)
        for i in range(len(inputs)):
            rows = slice(inputs.offsets[i], inputs.offsets[i + 1])
            lattice = np.ascontiguousarray(inputs.lattices[i])
            try:
                points, images, lengths = _nearest(carts[rows], inputs.numbers[rows], lattice, k, float(radii[i]))
            except (ValueError, MemoryError) as error:
                raise DataError(f"{inputs.ids[i]}: neighbours cannot be found ({error})") from error
            neighbors[rows], distances[rows] = points, lengths
            if self.vectors:
                vectors[rows] = carts[rows][points] + images @ lattice - carts[rows][:, None]
        values: dict[str, npt.NDArray[Any]] = {"numbers": np.asarray(inputs.numbers)}
        values |= {"neighbors": neighbors, "distances": distances}
        layouts = {"numbers": Layout("atom"), "neighbors": Layout("atom", "atom"), "distances": Layout("atom")}
        if self.vectors:
            values["vectors"], layouts["vectors"] = vectors, Layout("atom")
        return Arrays(values, layouts, {"atom": np.asarray(inputs.offsets)}, len(inputs))


def _first_radii(crystals: Crystals, k: int) -> npt.NDArray[np.float64]:
    """Radii (n,) in Å of spheres that hold about 1.8 k atoms at each crystal's number density: seldom too small."""
    density = crystals.atom_counts / crystals.volumes
    return np.cbrt(3 * (1.8 * k + 1) / (4 * np.pi * density))


def _nearest(
    carts: npt.NDArray[np.float64],
    numbers: npt.NDArray[np.uint8],
    lattice: npt.NDArray[np.float64],
    k: int,
    radius: float,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Indices (atoms, k), images (atoms, k, 3) and distances (atoms, k) of the k nearest atoms.

    The sphere grows until every atom has them.
    """
    atoms = len(carts)
    while True:
        centers, points, images, lengths = find_points_in_spheres(carts, carts, radius, _PERIODIC, lattice, 1e-8)
        other = lengths > 1e-8  # not the atom itself
        centers, points, images, lengths = centers[other], points[other], images[other], lengths[other]
        counts = np.bincount(centers, minlength=atoms)
        # A shell must lie wholly inside the sphere, or the choice within it would depend on the radius.
        if counts.min() >= k:
            order = np.lexsort((lengths, centers))
            new_shell = (np.diff(centers[order]) > 0) | (np.diff(lengths[order]) > _SAME)
            shells = np.concatenate([[0], np.cumsum(new_shell)])  # ascending by atom, then by distance
            order = order[np.lexsort((points[order], numbers[points[order]], shells))]
            starts = np.zeros(atoms, dtype=np.int64)
            np.cumsum(counts[:-1], out=starts[1:])
            chosen = order[(starts[:, None] + np.arange(k)).ravel()]
            reach = lengths[chosen].max()
            if reach < radius - 2 * _SAME:
                shape = (atoms, k)
                return points[chosen].reshape(shape), images[chosen].reshape(*shape, 3), lengths[chosen].reshape(shape)
        radius *= _GROWTH
