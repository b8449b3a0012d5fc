"""What the entries of a board cost, and which of them are the most accurate for their cost."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from crystalbench.evaluation.board import Board, Entry
from crystalbench.evaluation.entries import title_of

COLUMNS = (
    "task",
    "model",
    "metric",
    "score",
    "featurise_seconds",
    "fit_seconds",
    "predict_seconds",
    "memory_mb",
    "parameters",
    "device",
    "hardware",
    "concurrent",
    "comparable",
    "pareto",
)
"""Columns of `costs_frame`."""


def costs_frame(board: Board) -> pd.DataFrame:
    """The costs of the entries of a board that were run by this package, best entry first.

    Returns:
        One row per entry with the columns ``task``; ``model`` (its title); ``metric`` and ``score``: the main metric
        and its mean (NaN if it is undefined); ``featurise_seconds``, ``predict_seconds``, ``memory_mb`` (see
        `crystalbench.evaluation.board.Costs`);
        ``fit_seconds`` (mean over the folds); ``parameters`` (largest number over the folds, missing if unknown);
        ``device``; ``hardware``;
        ``concurrent`` (processes in which the command computed runs at the same time, missing if unknown);
        ``comparable`` (`is_comparable`) and ``pareto`` (`pareto_optimal`; missing if the entry is not ranked).
    """
    rows = []
    for entry, pareto in zip(board.entries, pareto_optimal(board), strict=True):
        costs = entry.costs
        if costs is None:
            continue
        score = entry.scores.get(board.metric)
        rows.append(
            (
                board.task,
                title_of(entry.model, entry.protocol, entry.view),
                board.metric,
                None if score is None else score.mean,
                costs.featurise,
                entry.fit_seconds,
                costs.predict,
                costs.memory,
                entry.parameters,
                costs.device,
                ", ".join(sorted(entry.hardware)),
                entry.concurrent,
                is_comparable(board, entry),
                pareto,
            )
        )
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = dict.fromkeys(("score", "featurise_seconds", "fit_seconds", "predict_seconds", "memory_mb"), "float64")
    return frame.astype({**numbers, "parameters": "Int64", "concurrent": "Int64", "pareto": "boolean"})


def pareto_optimal(board: Board) -> list[bool | None]:
    """Whether no other entry of a board has a lower error for the same or less time to fit, or less time for its error.

    The dummy, which no other entry is faster than, is left out of the comparison and is not Pareto-optimal. Errors are
    compared as they are, also where the difference is not resolved.

    Returns:
        For each entry of the board; None for those that are not ranked or whose time is unknown.
    """
    known = [board.is_ranked(entry) and entry.fit_seconds is not None for entry in board.entries]
    sign = -1 if board.higher_is_better else 1
    points = {
        i: (sign * entry.scores[board.metric].mean, entry.fit_seconds or 0.0)
        for i, entry in enumerate(board.entries)
        if known[i] and not entry.is_dummy
    }

    def is_dominated(i: int) -> bool:
        (error, seconds) = points[i]
        return any(e <= error and s <= seconds and (e, s) != (error, seconds) for e, s in points.values())

    return [(i in points and not is_dominated(i)) if known[i] else None for i in range(len(known))]


WAITED = 0.1
"""Share of a fit from which on waiting for a processor makes its seconds incomparable."""


def is_comparable(board: Board, entry: Entry) -> bool:
    """Whether the seconds of an entry were measured alone and on the hardware of most entries of the board."""
    return entry.concurrent == 1 and not has_waited(entry) and entry.hardware <= {usual_hardware(board)}


def has_waited(entry: Entry) -> bool:
    """Whether a fit of an entry is known to have waited for a processor that other programs used."""
    return entry.costs is not None and entry.costs.waited is not None and entry.costs.waited >= WAITED


def usual_hardware(board: Board) -> str:
    """The hardware of most entries; empty if it is unknown."""
    counts = Counter(name for entry in board.entries for name in sorted(entry.hardware))
    return counts.most_common(1)[0][0] if counts else ""
