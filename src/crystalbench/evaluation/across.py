"""Entries compared across tasks: normalised scores, average ranks, and their critical difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from crystalbench.errors import DataError
from crystalbench.evaluation.board import Board, Entry
from crystalbench.evaluation.entries import title_of
from crystalbench.evaluation.significance import LEVEL
from crystalbench.targets import METRICS


@dataclass(frozen=True, eq=False)
class AverageRanks:
    """Average ranks of k entries over N tasks, with the tests of Friedman and Nemenyi.

    Tasks, not folds, are the sample: the test asks which entries would rank higher on other tasks of the same kind.

    Attributes:
        ranks: average rank by title, best first; entries with equal scores on a task share the mean of their ranks.
        tasks: the N tasks.
        p: p value of Friedman's test that all entries have the same average rank; NaN for fewer than three entries.
        critical_difference: average ranks that differ by less cannot be told apart at the 5 % level.
    """

    ranks: pd.Series[float]
    tasks: tuple[str, ...]
    p: float
    critical_difference: float


def normalised_scores(boards: Sequence[Board]) -> pd.DataFrame:
    """Errors in the main metric as shares of the dummy's error, one row per task and one column per entry.

    The error is the score itself if lower scores are better, otherwise 1 minus the score, and the mean over the folds
    that the entry and the dummy have. So 0 is perfect and 1 is as good as the dummy. For regression, the dummy predicts
    the mean of the training targets, and its mean absolute error is the mean absolute deviation of the targets, up to
    the difference between the training part and the test part. For an area under a curve, where the dummy has 0.5, the
    value is 1 − (2 AUC − 1).

    Args:
        boards: at most one per task, each with a dummy that has an error.

    Returns:
        A frame with the tasks as index and the titles as columns; NaN where an entry is not on a board, lacks folds, or
        is of other rows.

    Raises:
        DataError: a task occurs twice, or a board has no dummy, or one without an error.
    """
    tasks = [board.task for board in boards]
    if len(set(tasks)) < len(tasks):
        twice = next(task for task in tasks if tasks.count(task) > 1)
        raise DataError(f"{twice}: there are several boards of this task; pass the one whose rows are to be used")
    return pd.DataFrame([_normalised(board) for board in boards], index=pd.Index(tasks, name="task"), dtype=np.float64)


def average_ranks(normalised: pd.DataFrame) -> AverageRanks:
    """Average ranks of the entries that have a score on every task.

    Friedman's test compares all of them; two differ if their average ranks differ by more than Nemenyi's critical
    difference q sqrt(k (k + 1) / (6 N)), where q is the 95 % quantile of the studentised range of k values over √2.

    Source: Demšar, Journal of Machine Learning Research 7, 1 (2006).

    Args:
        normalised: scores of which lower ones are better, one row per task, as from `normalised_scores`.

    Raises:
        DataError: fewer than two entries have scores on all tasks, or there are fewer than two tasks.
    """
    complete = normalised.dropna(axis="columns")
    n, k = complete.shape
    if n < 2 or k < 2:
        raise DataError(
            f"average ranks need two tasks and two entries with scores on all of them; there are {n} and {k}"
        )
    ranks = complete.rank(axis="columns").mean().sort_values(kind="stable")
    columns = [complete[name].to_numpy() for name in complete]
    p = float(stats.friedmanchisquare(*columns).pvalue) if k > 2 else math.nan
    q = float(stats.studentized_range.ppf(LEVEL, k, np.inf)) / math.sqrt(2)
    return AverageRanks(ranks, tuple(map(str, complete.index)), p, q * math.sqrt(k * (k + 1) / (6 * n)))


def _normalised(board: Board) -> dict[str, float]:
    dummy = board.dummy
    if dummy is None:
        raise DataError(f"{board.task}: has no dummy, by which scores are normalised; run the model dummy first")
    found: dict[str, float] = {}
    for entry in board.entries:
        if board.is_comparable(entry) and board.is_complete(entry) and board.metric in entry.scores:
            found.setdefault(title_of(entry.model, entry.protocol, entry.view), _share(board, entry, dummy))
    return found


def _share(board: Board, entry: Entry, dummy: Entry) -> float:
    """Error of an entry over that of the dummy, on the folds that both have."""
    mine, its = entry.scores[board.metric].folds, dummy.scores[board.metric].folds
    common = sorted(mine.keys() & its.keys())
    best = 1.0 if METRICS[board.metric].higher_is_better else 0.0
    error, reference = (abs(best - float(np.mean([scores[fold] for fold in common]))) for scores in (mine, its))
    if reference == 0:
        raise DataError(f"{board.task}: the dummy has no error, so that scores cannot be normalised by it")
    return error / reference
