"""Crystal graphs: every atom with its nearest neighbours across the periodic boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.arrays import Arrays, Layout
from crystalbench.representations.neighbors import nearest
from crystalbench.representations.processes import by_chunks
from crystalbench.representations.representation import Representation

_CHUNK = 512  # crystals that a process is given at once
_WORTH_PROCESSES = 10_000  # crystals, a second's work


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
    its neighbours. Large inputs are shared out among processes (`CRYSTALBENCH_PROCESSES`).

    Attributes:
        neighbors: neighbours of each atom, k.
        vectors: whether the directions of neighbours are kept, for networks that look at them.
    """

    packages: ClassVar[tuple[str, ...]] = ("pymatgen",)
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
        work = partial(nearest, k=self.neighbors, vectors=self.vectors)
        found = by_chunks(work, inputs, _CHUNK, _WORTH_PROCESSES)
        neighbors, distances, vectors = found[0] if len(found) == 1 else map(np.concatenate, zip(*found, strict=True))
        values: dict[str, npt.NDArray[Any]] = {"numbers": np.asarray(inputs.numbers)}
        values |= {"neighbors": neighbors, "distances": distances}
        layouts = {"numbers": Layout("atom"), "neighbors": Layout("atom", "atom"), "distances": Layout("atom")}
        if self.vectors:
            values["vectors"], layouts["vectors"] = vectors, Layout("atom")
        return Arrays(values, layouts, {"atom": np.asarray(inputs.offsets)}, len(inputs))
