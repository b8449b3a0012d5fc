"""Leaderboards as CSV, for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from crystalbench.evaluation.board import Board, Entry
from crystalbench.reports.formatting import optional
from crystalbench.targets import Metric

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
"""Columns of leaderboard.csv. Programs read them, so none is renamed or removed."""

_PRECISE = ".8g"


def to_csv(boards: Sequence[Board]) -> str:
    """One row per task, entry and metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for board in boards:
        for entry in board.entries:
            writer.writerows(_row(board, entry, metric) for metric in board.metrics if metric.name in entry.scores)
    return text.getvalue()


def _row(board: Board, entry: Entry, metric: Metric) -> list[object]:
    score = entry.scores[metric.name]
    gain = entry.gain.get(metric.name)
    by_fold = {} if gain is None else gain.folds
    return [
        board.task,
        entry.model,
        entry.protocol,
        entry.view,
        metric.name,
        f"{score.mean:{_PRECISE}}",
        f"{score.std:{_PRECISE}}",
        entry.folds,
        entry.rows,
        entry.rows_total,
        optional(entry.fit_seconds, ".2f"),
        optional(entry.parameters, ""),
        entry.source,
        optional(entry.trials, ""),
        optional(entry.tuning_seconds, ".2f"),
        optional(None if gain is None else gain.mean, _PRECISE),
        optional(None if gain is None else gain.std, _PRECISE),
        " ".join(f"{fold}:{value:{_PRECISE}}" for fold, value in by_fold.items()),
        " ".join(map(str, sorted(entry.kept))),
    ]
