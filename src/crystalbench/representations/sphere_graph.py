"""Sphere graphs: every atom with all its neighbours within a cutoff, across the periodic boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.flat import offsets_of
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.arrays import Arrays, Layout
from crystalbench.representations.neighbors import GROWTH, SAME_SHELL, pairs_within
from crystalbench.representations.representation import Representation

EDGE = "edge"
"""Level of the edges, whose number varies from atom to atom."""

_Edges = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class SphereGraph(Representation):
    """All neighbours of every atom within a cutoff, counting periodic images.

    The construction of MEGNet (Chen et al., Chem. Mater. 31, 3564, 2019) and SEN. Edges are directed, so each pair of
    neighbours has two. Atoms up to 1e-5 Å beyond the cutoff are included, so that round-off does not split a shell that
    lies on the cutoff. An atom without neighbours within the cutoff has edges to its nearest shell instead: every atom
    has at least one edge, whereas the published networks drop such crystals.

    Arrays: ``numbers`` (atoms,) uint8; on level ``edge``, ascending by source and then by distance: ``sources``
    (edges,) int32 atom indices, ``neighbors`` (edges,) int32 atom indices, ``distances`` (edges,) float32 in Å.

    Attributes:
        cutoff: radius in Å.
    """

    packages: ClassVar[tuple[str, ...]] = ("pymatgen",)

    cutoff: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.cutoff < np.inf:
            raise ConfigError(f"cutoff = {self.cutoff}; a sphere graph needs a positive cutoff in Å")

    def __call__(self, inputs: Inputs) -> Arrays:
        """The graphs of n crystals.

        Raises:
            DataError: the rows are compositions, or the search fails for a crystal; names its id.
        """
        if not isinstance(inputs, Crystals):
            raise DataError("a sphere graph needs crystal structures; these rows are compositions")
        carts = np.ascontiguousarray(inputs.wrapped().cart_coords)
        found: list[_Edges] = []
        for i in range(len(inputs)):
            atoms = carts[inputs.offsets[i] : inputs.offsets[i + 1]]
            try:
                found.append(_edges(atoms, inputs.lattices[i], self.cutoff))
            except DataError as error:
                raise DataError(f"{inputs.ids[i]}: {error}") from error
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
    edges = _within(carts, np.arange(len(carts)), lattice, cutoff + SAME_SHELL)
    isolated = np.setdiff1d(np.arange(len(carts)), edges[0])
    if len(isolated):
        parts = [edges, *_first_shells(carts, isolated, lattice, cutoff)]
        edges = tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))  # type: ignore[assignment]
    order = np.lexsort((edges[1], edges[2], edges[0]))
    return edges[0][order], edges[1][order], edges[2][order]


def _first_shells(
    carts: npt.NDArray[np.float64], isolated: npt.NDArray[np.int64], lattice: npt.NDArray[np.float64], cutoff: float
) -> list[_Edges]:
    """Edges of atoms without neighbours within the cutoff to their nearest shells, found by growing the radius."""
    shells: list[_Edges] = []
    radius = cutoff
    while len(isolated):
        radius *= GROWTH
        sources, neighbors, distances = _within(carts, isolated, lattice, radius)
        nearest = np.full(len(carts), np.inf)
        np.minimum.at(nearest, sources, distances)
        # The shell must lie completely within the radius.
        chosen = (distances < nearest[sources] + SAME_SHELL) & (nearest[sources] < radius - 2 * SAME_SHELL)
        shells.append((sources[chosen], neighbors[chosen], distances[chosen]))
        isolated = np.setdiff1d(isolated, sources[chosen])
    return shells


def _within(
    carts: npt.NDArray[np.float64], atoms: npt.NDArray[np.int64], lattice: npt.NDArray[np.float64], radius: float
) -> _Edges:
    """Edges of these atoms to all atoms within a radius in Å."""
    pairs = pairs_within(lattice, carts, radius, carts[atoms])
    return atoms[pairs.centers], pairs.others, pairs.distances
