"""The content of a board's table, which is the same on screen and in Markdown."""

from __future__ import annotations

import itertools

from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.reports.formatting import (
    entry_title,
    folds_text,
    metric_title,
    optional,
    rows_text,
    score_text,
    short_digest,
)
from crystalbench.reports.timing import seconds_text
from crystalbench.targets import Metric

DEFAULTS_CHOSEN_HERE, NOT_BETTER_THAN_DUMMY = "†", "‡"
"""Marks of entries, which the notes of a board explain."""

MODEL = 1
"""Index of the column of names."""

TIER = "tier"
"""Title of the column of tiers, which a board has where entries were tested against one another."""


def heading(board: Board) -> str:
    """Name and size of a board's task, with the scheme of its folds unless they are the official ones.

    The digest of the data follows if there is another board of the same size and folds.
    """
    data = "" if board.is_only else f", data {short_digest(board.data)}"
    folds = "" if board.is_official else f", folds: {board.fold_scheme}"
    return f"{board.task}{folds} ({rows_text(board)}{data})"


def header(board: Board) -> list[str]:
    """Column titles of a board."""
    titles = [score_title(board, metric) for metric in board.metrics]
    tuning = ["trials", "tuning (s)"] if board.has_tuned else []
    return [
        "#",
        "model",
        *[TIER] * board.has_tiers,
        *titles,
        "view",
        "folds",
        *tuning,
        "fit (s)",
        "parameters",
        "source",
    ]


def score_title(board: Board, metric: Metric) -> str:
    """Title of a metric's column: ``MAE (eV)``, or ``pooled MAE (eV)`` if it is of the samples of all folds."""
    return f"{'' if board.is_official else 'pooled '}{metric_title(metric, board.unit)}"


def cells(board: Board, entry: Entry, place: int | None) -> list[str]:
    """Cells of one entry, in the order of `header`; the marks of the entry are not part of them."""
    tuning = [optional(entry.trials, ","), optional(entry.tuning_seconds, ",.0f")] if board.has_tuned else []
    return [
        optional(place, ""),
        entry_title(entry),
        *[optional(board.tier_of(entry), "")] * board.has_tiers,
        *(_score(board, entry, metric) for metric in board.metrics),
        entry.view,
        folds_text(entry, board.folds_total),
        *tuning,
        seconds_text(board, entry),
        optional(entry.parameters, ","),
        entry.source,
    ]


def _score(board: Board, entry: Entry, metric: Metric) -> str:
    if metric.name in entry.undefined and metric.name != board.metric:
        return "undefined"  # the column of the main metric says why
    return score_text(entry, metric)


def marks(board: Board, entry: Entry) -> str:
    """Marks that follow the name of an entry."""
    found = DEFAULTS_CHOSEN_HERE * entry.defaults_chosen_here
    difference = board.minus_dummy(entry)
    return found + NOT_BETTER_THAN_DUMMY * (difference is not None and not board.is_better(difference))


def places(board: Board) -> list[int | None]:
    """Rank of each entry among those that have one; None for the others."""
    ranks = itertools.count(1)
    return [next(ranks) if board.is_ranked(entry) else None for entry in board.entries]


def counterparts(board: Board) -> dict[str, list[str]]:
    """Names of our models with a published counterpart on this board, by the counterpart; without the dummy."""
    published = {entry.model for entry in board.entries if entry.source != OURS}
    found: dict[str, list[str]] = {}
    for entry in board.entries:
        if entry.counterpart in published and entry.source == OURS and not entry.is_dummy:
            names = found.setdefault(str(entry.counterpart), [])
            names += [entry.model] * (entry.model not in names)
    return found
