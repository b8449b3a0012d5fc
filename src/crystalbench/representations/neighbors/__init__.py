"""The neighbour search that all representations share.

`pairs_within` finds all pairs of atoms within a distance, for one crystal; `nearest` the k nearest neighbours of every
atom, for many crystals at once; `weighted` those with weights that end continuously. All use pymatgen's compiled search
and the tolerances that are defined in `crystalbench.representations.neighbors.search`.
"""

from __future__ import annotations

from crystalbench.representations.neighbors.k_nearest import nearest, weighted
from crystalbench.representations.neighbors.search import GROWTH, SAME_SHELL, Pairs, pairs_within

__all__ = ["GROWTH", "SAME_SHELL", "Pairs", "nearest", "pairs_within", "weighted"]
