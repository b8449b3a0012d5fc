"""What a leaderboard consists of: boards, their entries, and the entries' scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from crystalbench.targets import METRICS, Metric, metrics_of

OURS, PUBLISHED = "ours", "published"

COLUMNS = (
    "task",
    "model",
    "protocol",
    "view",
    "metric",
    "mean",
    "std",
    "folds",
    "rows",
    "rows_total",
    "fit_seconds",
    "parameters",
    "source",
    "trials",
    "tuning_seconds",
    "tuned_minus_default",
    "tuned_minus_default_std",
    "tuned_minus_default_by_fold",
    "default_kept_on_folds",
)
"""Columns of a leaderboard as a frame and as a CSV file. Programs read them, so none is renamed or removed."""


@dataclass(frozen=True)
class Score:
    """One metric of one entry.

    Attributes:
        mean: mean over the folds; the score of a fold is the mean over its seeds.
        std: population standard deviation over the folds, as Matbench reports it.
    """

    mean: float
    std: float


@dataclass(frozen=True)
class Gain:
    """The change of one metric through tuning: tuned minus default on the folds that both have.

    Attributes:
        folds: difference by fold, between the means over the seeds.
    """

    folds: Mapping[int, float]

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return float(np.mean(list(self.folds.values())))

    @property
    def std(self) -> float:
        """Population standard deviation over the folds."""
        return float(np.std(list(self.folds.values())))


@dataclass(frozen=True)
class Entry:
    """One row of a leaderboard: a model on a task.

    Attributes:
        model: name in tables.
        protocol: ``default``, ``tuned``, or ``tuned on fold 0`` if the search of one fold serves all.
        view: what the model saw.
        scores: by metric name; a metric that is undefined on some fold is left out.
        folds: number of completed folds.
        seeds: the smallest and the largest number of seeds of a fold.
        rows: rows of the task that were available.
        rows_total: rows of the complete task.
        fit_seconds: mean seconds to fit a fold; None for published entries.
        parameters: number of fitted parameters, the largest over the folds; None if unknown.
        source: ``ours`` or ``published``.
        note: a reason for doubt, or empty.
        trials: number of tuning trials, summed over all studies of the entry; None without tuning.
        failed_trials: number of trials that failed.
        tuning_seconds: seconds of all trials together; None without tuning.
        kept: folds on which tuning kept the default.
        gain: tuned minus default by metric; empty unless both were run.
        inner_gain: by fold, the improvement of the best trial on the default on the inner folds of its study, and its
            standard error.
    """

    model: str
    protocol: str
    view: str
    scores: dict[str, Score]
    folds: int
    seeds: tuple[int, int]
    rows: int
    rows_total: int
    fit_seconds: float | None
    parameters: int | None
    source: str
    note: str = ""
    trials: int | None = None
    failed_trials: int = 0
    tuning_seconds: float | None = None
    kept: frozenset[int] = frozenset()
    gain: Mapping[str, Gain] = field(default_factory=dict)
    inner_gain: Mapping[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Board:
    """The entries of one task on the same rows.

    Attributes:
        task: name of the task.
        metric: name of the main metric.
        kind: kind of the target.
        unit: unit of the target.
        rows: rows that were available.
        rows_total: rows of the complete task.
        folds_total: number of folds of the task.
        entries: our own and the published ones, best first; entries that lack folds follow. Published entries use
            all rows, so on a board with part of the rows they come last.
    """

    task: str
    metric: str
    kind: str
    unit: str
    rows: int
    rows_total: int
    folds_total: int
    entries: list[Entry]

    @property
    def is_partial(self) -> bool:
        """Whether only part of the task's rows was used."""
        return self.rows < self.rows_total

    @property
    def metrics(self) -> list[Metric]:
        """The main metric, then the others of the task's kind."""
        rest = [m for m in metrics_of(self.kind) if m.name != self.metric]
        return [METRICS[self.metric], *rest]

    @property
    def has_tuned(self) -> bool:
        """Whether any entry was tuned."""
        return any(entry.trials is not None for entry in self.entries)


def boards_frame(boards: Sequence[Board]) -> pd.DataFrame:
    """Boards as a frame with the columns `COLUMNS`: one row per task, entry and metric, best entry first.

    ``tuned_minus_default_by_fold`` holds a dictionary, ``default_kept_on_folds`` a tuple of folds. What an entry lacks
    is None or NaN, e.g. ``fit_seconds`` of published entries and ``trials`` without tuning.
    """
    rows = [
        _row(board, entry, metric)
        for board in boards
        for entry in board.entries
        for metric in board.metrics
        if metric.name in entry.scores
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"parameters": "Int64", "trials": "Int64"})


def _row(board: Board, entry: Entry, metric: Metric) -> tuple[object, ...]:
    score, gain = entry.scores[metric.name], entry.gain.get(metric.name)
    return (
        board.task,
        entry.model,
        entry.protocol,
        entry.view,
        metric.name,
        score.mean,
        score.std,
        entry.folds,
        entry.rows,
        entry.rows_total,
        np.nan if entry.fit_seconds is None else entry.fit_seconds,
        entry.parameters,
        entry.source,
        entry.trials,
        np.nan if entry.tuning_seconds is None else entry.tuning_seconds,
        np.nan if gain is None else gain.mean,
        np.nan if gain is None else gain.std,
        {} if gain is None else dict(gain.folds),
        tuple(sorted(entry.kept)),
    )
