"""Which entries of a board can be told apart: tests of all pairs, tiers, and intervals of ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from crystalbench.evaluation.scores import Score
from crystalbench.evaluation.significance import SIGNIFICANCE, CorrectedTest, FoldScores, holm, paired_test

Indices: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Standing:
    """The place of an entry among the ranked entries of its board.

    Attributes:
        tier: 1 for the best entry and all that are not resolved worse than it, where Holm's method corrects for the
            number of comparisons with the best one; 2 for the best of the others and all of them that are not resolved
            worse than that one; and so on.
        rank_low: 1 + the number of entries that are resolved better.
        rank_high: number of ranked entries − the number of those that are resolved worse.
    """

    tier: int
    rank_low: int
    rank_high: int


@dataclass(frozen=True, eq=False)
class Pairs:
    """Paired tests of all entries of a board in the main metric.

    Two entries are a pair if they are of the rows of the board, the metric is defined for both, and they have two folds
    in common. The scores of a fold are of the same test rows, because entries of other data are on other boards.

    Attributes:
        a: (m,) positions of the first entries of m pairs in ``board.entries``.
        b: (m,) positions of the second ones, which come later on the board.
        test: the tests of the differences a − b.
        p_holm: (m,) p values corrected for all m pairs by Holm's method.
        rows: (m,) test rows of the common folds.
        seeds: (m,) the smallest number of seeds that one of the two has on a common fold.
    """

    a: Indices
    b: Indices
    test: CorrectedTest
    p_holm: npt.NDArray[np.float64]
    rows: Indices
    seeds: Indices

    @classmethod
    def none(cls) -> Pairs:
        """No pairs."""
        none, empty = np.zeros(0, np.intp), np.zeros(0)
        return cls(none, none, CorrectedTest(empty, empty, empty), empty, none, none)

    @property
    def resolved(self) -> npt.NDArray[np.bool_]:
        """(m,) whether the entries differ at the 5 % level after the correction."""
        return np.asarray(self.p_holm < SIGNIFICANCE)


def all_pairs(scores: Sequence[Score | None], test_rows: Mapping[int, float], test_over_train: float) -> Pairs:
    """Test all pairs of entries that have two folds in common.

    Args:
        scores: of the entries of a board in its main metric; None for those that take no part.
        test_rows: number of test rows by fold, of all folds that any of the entries has.
        test_over_train: number of test rows over number of training rows of a fold.
    """
    known = [(i, score) for i, score in enumerate(scores) if score is not None]
    if len(known) < 2 or len(test_rows) < 2:
        return Pairs.none()
    everyone = FoldScores.stack([FoldScores.of([score.seeds_of(fold) for fold in test_rows]) for _, score in known])
    one, other = np.triu_indices(len(known), 1)
    there = everyone.seeds > 0
    enough = (there[one] & there[other]).sum(-1) > 1
    one, other = one[enough], other[enough]
    if not len(one):
        return Pairs.none()
    a, b = everyone[one], everyone[other]
    common = there[one] & there[other]
    test = paired_test(a, b, test_over_train)
    seeds = np.where(common, np.minimum(a.seeds, b.seeds), np.inf).min(-1)
    positions = np.array([i for i, _ in known], np.intp)
    rows = np.rint(common @ np.array(list(test_rows.values()))).astype(np.intp)
    return Pairs(positions[one], positions[other], test, holm(test.p), rows, seeds.astype(np.intp))


def all_standings(ranked: Sequence[bool], pairs: Pairs, *, higher_is_better: bool) -> list[Standing | None]:
    """Tier and interval of ranks of each entry of a board; None for entries that are not ranked.

    Args:
        ranked: whether each entry is ranked. Others may take part in the pairs, but have no tier.
        pairs: tests of the pairs of entries.
        higher_is_better: whether a higher score is better.
    """
    left = [i for i, of_board in enumerate(ranked) if of_board]
    p, worse = _matrices(pairs, len(ranked), higher_is_better=higher_is_better)
    among = np.ix_(left, left)
    tiers, worse = _tiers(p[among]), worse[among]
    places = [
        Standing(tier, 1 + int(worse[:, i].sum()), len(left) - int(worse[i].sum())) for i, tier in enumerate(tiers)
    ]
    by_position = dict(zip(left, places, strict=True))
    return [by_position.get(i) for i in range(len(ranked))]


def _matrices(found: Pairs, n: int, *, higher_is_better: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """P values of the pairs (n, n), 1 where there is none, and whether j is resolved worse than i (n, n) at [i, j]."""
    p, worse = np.ones((n, n)), np.zeros((n, n), np.bool_)
    p[found.a, found.b] = p[found.b, found.a] = found.test.p
    first_is_better = (found.test.mean > 0) == higher_is_better
    better = np.where(first_is_better, found.a, found.b)
    other = np.where(first_is_better, found.b, found.a)
    worse[better[found.resolved], other[found.resolved]] = True
    return p, worse


def _tiers(p: npt.NDArray[np.float64]) -> list[int]:
    """Tiers of n entries in order of their scores, from the (n, n) p values of their differences.

    The best entry without a tier is compared with all others without one, with Holm's correction for these comparisons.
    """
    tiers = np.zeros(len(p), np.intp)
    while (left := np.flatnonzero(tiers == 0)).size:
        best, others = left[0], left[1:]
        alike = others[holm(p[best, others]) >= SIGNIFICANCE]
        tiers[[best, *alike]] = tiers.max() + 1
    return [int(tier) for tier in tiers]
