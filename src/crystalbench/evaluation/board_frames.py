"""Boards as data frames: their entries, and the pairs of entries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.evaluation.costs import pareto_optimal
from crystalbench.evaluation.entries import title_of
from crystalbench.evaluation.tiers import Standing
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
    "data",
    "fold_numbers",
    "minus_dummy",
    "concurrent",
    "hardware",
    "defaults_chosen_here",
    "tier",
    "rank_low",
    "rank_high",
    "sees",
    "pretrained_on",
    "refused",
    "flagged",
    "note",
    "fold_scheme",
    "featurise_seconds",
    "predict_seconds",
    "memory_mb",
    "device",
    "pareto",
)
"""Columns of a leaderboard as a frame and as a CSV file. Programs read them, so none is renamed or removed."""

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


def boards_frame(boards: Sequence[Board]) -> pd.DataFrame:
    """Boards as a frame with the columns `COLUMNS`: one row per task, entry and metric, best entry first.

    Where ``fold_scheme`` is not ``official``, ``mean`` is the pooled score, and ``std`` is NaN.

    ``tuned_minus_default_by_fold`` holds a dictionary, ``default_kept_on_folds`` and ``fold_numbers`` tuples of
    folds. What an entry lacks is None or NaN, e.g. ``fit_seconds`` of published entries and ``trials`` without tuning.
    ``tier``, ``rank_low``, ``rank_high`` and ``pareto`` are those of the main metric and missing in the rows of other
    metrics.
    """
    rows = [
        _row(board, entry, metric, standing, best)
        for board in boards
        for entry, standing, best in zip(board.entries, board.standings, pareto_optimal(board), strict=True)
        for metric in board.metrics
        if metric.name in entry.scores
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = dict.fromkeys(("parameters", "trials", "concurrent", "tier", "rank_low", "rank_high"), "Int64")
    return frame.astype({**numbers, **dict.fromkeys(("defaults_chosen_here", "pareto"), "boolean")})


def _row(
    board: Board, entry: Entry, metric: Metric, standing: Standing | None, pareto: bool | None
) -> tuple[object, ...]:
    score, gain = entry.scores[metric.name], entry.gain.get(metric.name)
    place, costs = standing if metric.name == board.metric else None, entry.costs
    dummy = None if board.minus_dummy(entry) is None or board.dummy is None else entry.minus(board.dummy, metric.name)
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
        board.data,
        entry.fold_numbers,
        np.nan if dummy is None else dummy.mean,
        entry.concurrent,
        ", ".join(sorted(entry.hardware)),
        entry.defaults_chosen_here if entry.source == OURS else None,
        *((None, None, None) if place is None else (place.tier, place.rank_low, place.rank_high)),
        entry.sees.value,
        ", ".join(entry.pretrained_on),
        entry.refused,
        entry.flagged,
        entry.note,
        board.fold_scheme,
        *(
            (np.nan, np.nan, np.nan, "")
            if costs is None
            else (costs.featurise, costs.predict, costs.memory, costs.device)
        ),
        pareto if place is not None else None,
    )


def pairs_frame(boards: Sequence[Board]) -> pd.DataFrame:
    """The pairs of all boards as a frame with the columns `PAIR_COLUMNS`, in the order of the boards' entries."""
    parts = []
    for board in boards:
        found = board.pairs
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
