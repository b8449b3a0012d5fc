"""Crystal graphs: every atom with its k nearest neighbours, across the periodic boundaries."""

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

_CHUNK = 512  # crystals per chunk of work
_WORTH_PROCESSES = 10_000  # fewer crystals take less than a second, the time that workers need to start


@dataclass(frozen=True)
class CrystalGraph(Representation):
    """The k nearest neighbours of every atom, counting periodic images.

    The construction of CGCNN (Xie and Grossman, Phys. Rev. Lett. 120, 145301, 2018) with 12 neighbours. Its cutoff of 8
    Å limits the distance expansion of the network, not the search: an atom with fewer neighbours within the cutoff
    (isolated atoms, layers in vacuum) still has k edges to its nearest neighbours, whereas the original pads with edges
    to an arbitrary atom. Distances less than 1e-5 Å apart form a shell. If the last shell does not fit, lower atomic
    numbers come first, then lower atom indices.

    Arrays: ``numbers`` (atoms,) uint8; ``neighbors`` (atoms, k) int32 atom indices; ``distances`` (atoms, k) float32
    in Å, ascending from shell to shell; with ``vectors`` also ``vectors`` (atoms, k, 3) float32 in Å, from each atom to
    its neighbours. Large inputs are computed in several processes (`CRYSTALBENCH_PROCESSES`).

    Attributes:
        neighbors: neighbours per atom, k.
        vectors: whether to include the vectors to the neighbours, for networks that use directions.
    """

    packages: ClassVar[tuple[str, ...]] = ("pymatgen",)
    version: ClassVar[int] = 2

    neighbors: int = 12
    vectors: bool = False

    def __post_init__(self) -> None:
        if self.neighbors < 1:
            raise ConfigError(f"neighbors = {self.neighbors}; a crystal graph needs at least one neighbour per atom")

    def __call__(self, inputs: Inputs) -> Arrays:
        """The graphs of n crystals.

        Raises:
            DataError: the rows are compositions, or the search fails for a crystal; names its id.
        """
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
