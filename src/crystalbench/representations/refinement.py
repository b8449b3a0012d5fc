"""What a network of elements and distances can tell apart: colour refinement of graphs of nearest neighbours.

A network that exchanges messages between neighbours and sees elements and distances only gives equal features to atoms
of one colour, whatever its weights and however many layers it has (Xu et al., ICLR 2019; Morris et al., AAAI 2019). So
two crystals with the same share of atoms of each colour are one and the same to it, if it averages over atoms.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError
from crystalbench.representations.quotient import mixed
from crystalbench.representations.weighted_graph import WeightedGraph

_Ints = npt.NDArray[np.int64]
_AT_ONCE = 512  # crystals whose neighbours are searched at once


def stable_colors(crystals: Crystals, neighbors: int = 12, tolerance: float = 0.01) -> _Ints:
    """Colours of the atoms of n crystals by colour refinement (Weisfeiler and Leman, 1968), over all crystals at once.

    The neighbours of an atom are its k nearest ones, and all others that are as far as the last of these within the
    tolerance, so that no shell is cut by the order of the atoms. The first colour of an atom is its element; each step
    replaces it by a new colour for the old one and the distances and colours of the neighbours, until no step divides
    the atoms further.

    Distances are rounded to multiples of the tolerance. Two distances that differ by less may be rounded to different
    multiples, so crystals that differ by noise may get different colours.

    Args:
        crystals: n crystals.
        neighbors: k.
        tolerance: in Å.

    Returns:
        (atoms,) numbers of the colours, the same for atoms of one colour in any of the crystals.

    Raises:
        ConfigError: there are no neighbours, or the tolerance is not positive.
        DataError: the neighbour search fails for a crystal; names its id.
    """
    if not (neighbors >= 1 and 0 < tolerance < np.inf):
        raise ConfigError(
            f"neighbors = {neighbors}, tolerance = {tolerance}: colour refinement needs neighbours and a distance in Å"
        )
    sources, others, distances = _edges(crystals, neighbors, tolerance)
    starts = np.searchsorted(sources, np.arange(len(crystals.numbers)))
    shells = mixed(np.floor(distances / tolerance + 0.5).astype(np.int64))
    colors = mixed(crystals.numbers)
    found = 0
    while True:
        unique, classes = np.unique(colors, return_inverse=True)
        if len(unique) == found:  # no colour was divided
            return np.asarray(classes.reshape(-1), np.int64)
        found = len(unique)
        # A sum does not depend on the order of the neighbours.
        around = np.add.reduceat(mixed(shells + colors[others]), starts)
        colors = mixed(mixed(colors) + around)


def indistinguishable(crystals: Crystals, neighbors: int = 12, tolerance: float = 0.01) -> list[_Ints]:
    """Groups of crystals that no network of elements and distances of k neighbours can tell apart.

    Args:
        crystals: n crystals.
        neighbors: k.
        tolerance: in Å, to which distances are rounded; see `stable_colors`.

    Returns:
        Row numbers of each group of two or more crystals with the same share of atoms of each colour, ascending.

    Raises:
        ConfigError, DataError: as in `stable_colors`.
    """
    colors = stable_colors(crystals, neighbors, tolerance)
    groups: dict[tuple[bytes, bytes], list[int]] = {}
    for row in range(len(crystals)):
        found, counts = np.unique(colors[crystals.offsets[row] : crystals.offsets[row + 1]], return_counts=True)
        shares = counts // np.gcd.reduce(counts)  # a repeated cell has the same
        groups.setdefault((found.tobytes(), shares.tobytes()), []).append(row)
    return [np.array(rows, np.int64) for rows in groups.values() if len(rows) > 1]


def _edges(crystals: Crystals, neighbors: int, tolerance: float) -> tuple[_Ints, _Ints, npt.NDArray[np.float64]]:
    """First atoms, ascending, second atoms, both counted over all crystals, and distances in Å of the neighbours."""
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for first in range(0, len(crystals), _AT_ONCE):
        some = crystals[first : first + _AT_ONCE]
        found = WeightedGraph(neighbors=neighbors)(some)
        owners = np.repeat(np.arange(len(some)), np.diff(found.offsets["edge"]))
        shift = some.offsets[owners]
        sources, others = found.values["sources"] + shift, found.values["neighbors"] + shift
        distances = found.values["distances"].astype(np.float64)
        starts = np.searchsorted(sources, np.arange(len(some.numbers)))
        last = distances[starts + neighbors - 1]  # weights are at most 1 and their sum is k: each atom has k edges
        kept = distances <= last[sources] + tolerance
        parts.append((sources[kept] + crystals.offsets[first], others[kept] + crystals.offsets[first], distances[kept]))
    sources, others, lengths = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return sources, others, lengths
