"""Which entries of a board can be told apart: tests of all pairs, tiers, and intervals of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from crystalbench.evaluation.entries import title_of
from crystalbench.evaluation.significance import SIGNIFICANCE, CorrectedTest, FoldScores, holm, paired_test

if TYPE_CHECKING:
    from crystalbench.evaluation.board import Board, Entry

Indices: TypeAlias = npt.NDArray[np.intp]

PAIR_COLUMNS = (
    "task",
    "a",
    "b",
    "difference",
    "low",
    "high",
    "p_corrected",
    "p_holm",
    "rows",
    "folds",
    "seeds",
    "resolved",
)
"""Columns of pairs as a frame and as a CSV file. Programs read them, so none is renamed or removed."""


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

    @property
    def resolved(self) -> npt.NDArray[np.bool_]:
        """(m,) whether the entries differ at the 5 % level after the correction."""
        return np.asarray(self.p_holm < SIGNIFICANCE)


def pairs(board: Board) -> Pairs:
    """Test all pairs of entries of a board; there are none on other folds than the official ones, which are random."""
    if not board.is_official:
        return _no_pairs()
    used = [i for i, e in enumerate(board.entries) if board.is_comparable(e) and board.metric in e.scores]
    folds = sorted({fold for i in used for fold in board.entries[i].scores[board.metric].folds})
    if len(used) < 2 or len(folds) < 2:
        return _no_pairs()
    everyone = FoldScores.stack([_fold_scores(board.entries[i], board.metric, folds) for i in used])
    one, other = np.triu_indices(len(used), 1)
    there = everyone.seeds > 0
    enough = (there[one] & there[other]).sum(-1) > 1
    one, other = one[enough], other[enough]
    if not len(one):
        return _no_pairs()
    a, b = everyone[one], everyone[other]
    common = there[one] & there[other]
    test = paired_test(a, b, board.test_over_train)
    sizes = np.array([board.test_rows.get(fold, board.mean_test_rows) for fold in folds])
    seeds = np.where(common, np.minimum(a.seeds, b.seeds), np.inf).min(-1)
    positions = np.array(used, np.intp)
    rows = np.rint(common @ sizes).astype(np.intp)
    return Pairs(positions[one], positions[other], test, holm(test.p), rows, seeds.astype(np.intp))


def standings(board: Board) -> list[Standing | None]:
    """Tier and interval of ranks of each entry of a board; None for entries that are not ranked.

    Ranked are entries of the rows of the board that have all folds and a defined main metric, and are not refused.
    Those that lack folds take part in the pairs but have no tier.
    """
    ranked = [board.is_ranked(entry) for entry in board.entries]
    found = pairs(board)
    left = [i for i, of_board in enumerate(ranked) if of_board]
    p, worse = _matrices(board, found, len(ranked))
    among = np.ix_(left, left)
    tiers, worse = _tiers(p[among]), worse[among]
    places = [
        Standing(tier, 1 + int(worse[:, i].sum()), len(left) - int(worse[i].sum())) for i, tier in enumerate(tiers)
    ]
    by_position = dict(zip(left, places, strict=True))
    return [by_position.get(i) for i in range(len(ranked))]


def pairs_frame(boards: Sequence[Board]) -> pd.DataFrame:
    """The pairs of all boards as a frame with the columns `PAIR_COLUMNS`, in the order of the boards' entries."""
    parts = []
    for board in boards:
        found = pairs(board)
        titles = np.array([title_of(e.model, e.protocol, e.view) for e in board.entries], object)
        parts.append(
            pd.DataFrame(
                {
                    "task": board.task,
                    "a": titles[found.a],
                    "b": titles[found.b],
                    "difference": found.test.mean,
                    "low": found.test.low,
                    "high": found.test.high,
                    "p_corrected": found.test.p,
                    "p_holm": found.p_holm,
                    "rows": found.rows,
                    "folds": found.test.folds.astype(np.intp),
                    "seeds": found.seeds,
                    "resolved": found.resolved,
                }
            )
        )
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(PAIR_COLUMNS))


def _fold_scores(entry: Entry, metric: str, folds: Sequence[int]) -> FoldScores:
    score = entry.scores[metric]
    return FoldScores.of([score.seeds_of(fold) for fold in folds])


def _matrices(board: Board, found: Pairs, n: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """P values of the pairs (n, n), 1 where there is none, and whether j is resolved worse than i (n, n) at [i, j]."""
    p, worse = np.ones((n, n)), np.zeros((n, n), np.bool_)
    p[found.a, found.b] = p[found.b, found.a] = found.test.p
    first_is_better = (found.test.mean > 0) == board.higher_is_better
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


def _no_pairs() -> Pairs:
    none, empty = np.zeros(0, np.intp), np.zeros(0)
    return Pairs(none, none, CorrectedTest(empty, empty, empty), empty, none, none)
