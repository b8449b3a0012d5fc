"""Entries compared across tasks: normalised scores, average ranks, and their critical difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from crystalbench.errors import DataError
from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.evaluation.entries import title_of
from crystalbench.evaluation.significance import LEVEL
from crystalbench.targets import METRICS

COLUMNS = (
    "group",
    "model",
    "source",
    "tasks",
    "normalised",
    "average_rank",
    "critical_difference",
    "friedman_p",
    "ranked",
    "top_tier",
    "tested",
    "task_names",
)
"""Columns of `across_frame` and of ``across.csv``. Programs read them, so none is renamed or removed."""


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
        A frame with the tasks as index and the titles as columns; NaN where an entry is not on a board or not ranked
        there: it lacks folds, is of other rows, or is refused.

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


@dataclass(frozen=True, eq=False)
class Group:
    """Entries that are ranked together, since all of them have a score on the same tasks.

    Attributes:
        scores: normalised scores, one row per entry and one column per task, smallest mean first; the dummies follow.
        sources: by title, ``ours``, ``published`` or ``imported``.
        top_tiers: by title, the number of tasks where the entry is in the first tier; the dummies, too.
        tested: number of tasks whose entries were tested against one another, so that they have tiers.
        ranks: average ranks of all entries but the dummies; None if there are fewer than two.
    """

    scores: pd.DataFrame
    sources: Mapping[str, str]
    top_tiers: Mapping[str, int]
    tested: int
    ranks: AverageRanks | None

    @property
    def tasks(self) -> list[str]:
        """The tasks."""
        return [str(task) for task in self.scores.columns]


def groups_across(boards: Sequence[Board]) -> tuple[list[Group], dict[str, str]]:
    """The groups of entries that can be ranked together across tasks.

    There is a group for each set of at least two tasks on which one of our models has a rank, or one of the imported
    entries if none of our models has; all other entries with a rank on all of these tasks are in it as well. The
    dummies are not ranked: they are the unit of the normalised scores.

    Args:
        boards: the boards. Of each task, the one with most rows on the official folds is used.

    Returns:
        The groups, those of most tasks first; and the reasons by what was left out, boards and our entries.
    """
    used, left_out = _usable(boards)
    ranked = {board.task: _ranked(board) for board in used}
    everyone = [(title, entry) for of_task in ranked.values() for title, entry in of_task.items()]
    candidates = {title for title, entry in everyone if entry.source == OURS and not entry.is_dummy}
    candidates = candidates or {title for title, entry in everyone if entry.by_row and not entry.is_dummy}
    tasks_of = {title: tuple(task for task in ranked if title in ranked[task]) for title in sorted(candidates)}
    sets = sorted({tasks for tasks in tasks_of.values() if len(tasks) > 1}, key=lambda tasks: (-len(tasks), tasks))
    left_out |= {title: "is ranked on one task only" for title, tasks in tasks_of.items() if len(tasks) < 2}
    normalised = normalised_scores(used)
    return [_group([b for b in used if b.task in tasks], normalised, ranked) for tasks in sets], left_out


def across_frame(groups: Sequence[Group]) -> pd.DataFrame:
    """Groups as a frame with the columns `COLUMNS`: one row per group and entry.

    ``group`` counts from 1; ``tasks`` is the number of tasks and ``task_names`` their names, separated by spaces;
    ``normalised`` is the mean of the normalised scores; ``average_rank``, ``critical_difference`` and ``friedman_p``
    are those of `AverageRanks`, over ``ranked`` entries, and missing for the dummies; ``top_tier`` is the number of
    tasks where the entry is in the first tier, of the ``tested`` ones.
    """
    rows = []
    for number, group in enumerate(groups, 1):
        ranks = group.ranks
        for title, mean in zip(map(str, group.scores.index), group.scores.mean(axis="columns"), strict=True):
            is_ranked = ranks is not None and title in ranks.ranks.index
            rows.append(
                (
                    number,
                    title,
                    group.sources[title],
                    len(group.tasks),
                    mean,
                    *(
                        (ranks.ranks[title], ranks.critical_difference, ranks.p)
                        if ranks and is_ranked
                        else (np.nan,) * 3
                    ),
                    0 if ranks is None else len(ranks.ranks),
                    group.top_tiers[title],
                    group.tested,
                    " ".join(group.tasks),
                )
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _usable(boards: Sequence[Board]) -> tuple[list[Board], dict[str, str]]:
    """One board of each task that can be normalised, and why others are left out."""
    used: dict[str, Board] = {}
    left_out: dict[str, str] = {}
    for board in boards:
        if not board.is_official:
            left_out[f"{board.task}, folds {board.fold_scheme}"] = "scores are pooled over other folds"
        elif board.task in used:
            left_out[f"{board.task}, {board.rows:,} rows"] = "another board of this task has as many rows or more"
        else:
            used[board.task] = board
    for task, board in list(used.items()):
        try:
            normalised_scores([board])
        except DataError as error:
            left_out[task] = str(error).removeprefix(f"{task}: ")
            del used[task]
    return list(used.values()), left_out


def _ranked(board: Board) -> dict[str, Entry]:
    """The ranked entries of a board by title; of several with one title, the best."""
    found: dict[str, Entry] = {}
    for entry in board.entries:
        if board.is_ranked(entry):
            found.setdefault(title_of(entry.model, entry.protocol, entry.view), entry)
    return found


def _group(boards: Sequence[Board], normalised: pd.DataFrame, ranked: Mapping[str, Mapping[str, Entry]]) -> Group:
    tasks = [board.task for board in boards]
    scores = normalised.loc[tasks].dropna(axis="columns").T
    entries = {title: ranked[tasks[0]][title] for title in map(str, scores.index)}
    dummies = [entries[title].is_dummy for title in map(str, scores.index)]
    order = np.lexsort((scores.mean(axis="columns").to_numpy(), np.array(dummies)))
    scores, models = scores.iloc[order], scores[~np.array(dummies)]
    tiers = [(board, ranked[board.task]) for board in boards if board.has_tiers]
    return Group(
        scores=scores,
        sources={title: entry.source for title, entry in entries.items()},
        top_tiers={title: sum(board.tier_of(of[title]) == 1 for board, of in tiers) for title in entries},
        tested=len(tiers),
        ranks=average_ranks(models.T) if len(models) > 1 else None,
    )


def _normalised(board: Board) -> dict[str, float]:
    dummy = board.dummy
    if dummy is None:
        raise DataError(f"{board.task}: has no dummy, by which scores are normalised; run the model dummy first")
    return {title: _share(board, entry, dummy) for title, entry in _ranked(board).items()}


def _share(board: Board, entry: Entry, dummy: Entry) -> float:
    """Error of an entry over that of the dummy, on the folds that both have."""
    mine, its = entry.scores[board.metric].folds, dummy.scores[board.metric].folds
    common = sorted(mine.keys() & its.keys())
    best = 1.0 if METRICS[board.metric].higher_is_better else 0.0
    error, reference = (abs(best - float(np.mean([scores[fold] for fold in common]))) for scores in (mine, its))
    if reference == 0:
        raise DataError(f"{board.task}: the dummy has no error, so that scores cannot be normalised by it")
    return error / reference
