"""What a leaderboard consists of: boards, their entries, and the entries' scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from crystalbench.targets import METRICS, Metric, metrics_of

OURS, PUBLISHED = "ours", "published"


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
        kept: folds on which tuning found nothing better than the initial configuration.
        gain: tuned minus default by metric; empty unless both were run.
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
