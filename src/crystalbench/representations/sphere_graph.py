"""Sphere graphs: every atom with all its neighbours within a cutoff across the periodic boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pymatgen.optimization.neighbors import find_points_in_spheres

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.flat import offsets_of
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.arrays import Arrays, Layout
from crystalbench.representations.representation import Representation

EDGE = "edge"
"""The level of the edges, whose number varies from atom to atom."""

_PERIODIC = np.array([1, 1, 1], dtype=np.int64)
_SAME = 1e-5  # Å; distances closer than this are one shell
_GROWTH = 1.25
_Edges = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class SphereGraph(Representation):
    """All neighbours of every atom within a cutoff, counting periodic images.

    The construction of MEGNet (Chen et al., Chem. Mater. 31, 3564, 2019) and SEN. An edge goes from an atom to a
    neighbour, so there are two for each pair. Atoms 1e-5 Å beyond the cutoff count as within it, so that round-off does
    not divide a shell that lies on the cutoff. An atom without any neighbour within the cutoff has edges to its nearest
    ones, all those of the first shell: every atom has at least one edge, where the published networks leave the whole
    crystal out.

    Arrays: ``numbers`` (atoms,) uint8; on level ``edge``, ascending by source and then by distance: ``sources``
    (edges,) int32 atom indices, ``neighbors`` (edges,) int32 atom indices, ``distances`` (edges,) float32 in Å.

    Attributes:
        cutoff: radius in Å.
    """

    packages: ClassVar[tuple[str, ...]] = ("pymatgen",)

    cutoff: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.cutoff < np.inf:
            raise ConfigError(f"a sphere graph needs a positive cutoff in Å, not {self.cutoff}")

    def __call__(self, inputs: Inputs) -> Arrays:
        """The graphs of n crystals."""
        if not isinstance(inputs, Crystals):
            raise DataError("a sphere graph needs crystal structures; these rows are compositions")
        carts = np.ascontiguousarray(inputs.wrapped().cart_coords)
        found: list[_Edges] = []
        for i in range(len(inputs)):
            atoms = carts[inputs.offsets[i] : inputs.offsets[i + 1]]
            try:
                found.append(_edges(atoms, np.ascontiguousarray(inputs.lattices[i]), self.cutoff))
            except (ValueError, MemoryError) as error:
                raise DataError(
                    f"{inputs.ids[i]}: neighbours within {self.cutoff:g} Å cannot be found ({error})"
                ) from error
        sources, neighbors, distances = (
            np.concatenate([edges[k] for edges in found] or [np.zeros(0)]).astype(kind)
            for k, kind in enumerate((np.int32, np.int32, np.float32))
        )
        return Arrays(
            values={
                "numbers": np.asarray(inputs.numbers),
                "sources": sources,
                "neighbors": neighbors,
                "distances": distances,
            },
            layouts={
                "numbers": Layout("atom"),
                "sources": Layout(EDGE, "atom"),
                "neighbors": Layout(EDGE, "atom"),
                "distances": Layout(EDGE),
            },
            offsets={"atom": np.asarray(inputs.offsets), EDGE: offsets_of([len(edges[0]) for edges in found])},
            length=len(inputs),
        )


def _edges(carts: npt.NDArray[np.float64], lattice: npt.NDArray[np.float64], cutoff: float) -> _Edges:
    """Sources, neighbours and distances of one crystal's edges."""
    edges = _within(carts, np.arange(len(carts)), lattice, cutoff + _SAME)
    lonely = np.setdiff1d(np.arange(len(carts)), edges[0])
    if len(lonely):
        parts = [edges, *_first_shells(carts, lonely, lattice, cutoff)]
        edges = tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))  # type: ignore[assignment]
    order = np.lexsort((edges[1], edges[2], edges[0]))
    return edges[0][order], edges[1][order], edges[2][order]


def _first_shells(
    carts: npt.NDArray[np.float64], lonely: npt.NDArray[np.int64], lattice: npt.NDArray[np.float64], cutoff: float
) -> list[_Edges]:
    """Edges of atoms without neighbours within the cutoff, to all of their nearest ones; spheres grow to hold them."""
    shells: list[_Edges] = []
    radius = cutoff
    while len(lonely):
        radius *= _GROWTH
        sources, neighbors, distances = _within(carts, lonely, lattice, radius)
        nearest = np.full(len(carts), np.inf)
        np.minimum.at(nearest, sources, distances)
        # The shell must lie wholly inside the sphere.
        chosen = (distances < nearest[sources] + _SAME) & (nearest[sources] < radius - 2 * _SAME)
        shells.append((sources[chosen], neighbors[chosen], distances[chosen]))
        lonely = np.setdiff1d(lonely, sources[chosen])
    return shells


def _within(
    carts: npt.NDArray[np.float64], atoms: npt.NDArray[np.int64], lattice: npt.NDArray[np.float64], radius: float
) -> _Edges:
    """Edges of these atoms to all atoms within a radius."""
    centers, points, _, lengths = find_points_in_spheres(carts, carts[atoms], radius, _PERIODIC, lattice, 1e-8)
    other = lengths > 1e-8  # not the atom itself
    return atoms[centers[other]], points[other], lengths[other]
