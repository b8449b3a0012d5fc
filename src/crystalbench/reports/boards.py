"""The content of a board's table, which is the same on screen and in Markdown."""

from __future__ import annotations

import itertools

from crystalbench.data.views import FULL
from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.reports.formatting import entry_title, folds_text, metric_title, optional, rows_text, score_text
from crystalbench.targets import METRICS


def heading(board: Board) -> str:
    """Name and size of a board's task."""
    return f"{board.task} ({rows_text(board)})"


def header(board: Board) -> list[str]:
    """Column titles of a board."""
    titles = [metric_title(metric, board.unit) for metric in board.metrics]
    tuning = ["trials", "tuning / s"] if board.has_tuned else []
    return ["#", "model", *titles, "view", "folds", *tuning, "fit / s", "parameters", "source"]


def cells(board: Board, entry: Entry, place: int | None) -> list[str]:
    """Cells of one entry, in the order of `header`."""
    tuning = [optional(entry.trials, ","), optional(entry.tuning_seconds, ",.0f")] if board.has_tuned else []
    return [
        optional(place, ""),
        entry_title(entry),
        *(score_text(entry, metric) for metric in board.metrics),
        entry.view,
        folds_text(entry),
        *tuning,
        optional(entry.fit_seconds, ".1f"),
        optional(entry.parameters, ","),
        entry.source,
    ]


def places(board: Board) -> list[int | None]:
    """Rank of each entry among the comparable ones: those with the same rows, all folds and the main metric."""

    def comparable(entry: Entry) -> bool:
        same_rows = not board.is_partial or entry.source == OURS
        return same_rows and entry.folds == board.folds_total and board.metric in entry.scores

    ranks = itertools.count(1)
    return [next(ranks) if comparable(entry) else None for entry in board.entries]


def notes(board: Board) -> list[str]:
    """Notes that a reader of the board needs."""
    found = []
    if board.is_partial:
        found.append(
            f"Only {rows_text(board)} were used: scores are on the task's folds restricted to these rows and cannot be "
            "compared with published ones, which are of all rows; where there are any, they follow ours, unranked."
        )
    if board.metric == "rocauc":
        found.append(
            "Matbench's `rocauc` is computed on thresholded labels and equals the balanced accuracy; the true ROC-AUC "
            "of our runs stands beside it."
        )
    if board.has_tuned:
        found.append(
            "Trials and their seconds are those of all folds' studies together; rows without them were run with "
            "the hyperparameters that are given."
        )
    failed = [f"{entry_title(e)}: {e.failed_trials:,} of {e.trials:,}" for e in board.entries if e.failed_trials]
    if failed:
        found.append(f"Trials that failed: {'; '.join(failed)}. `crystalbench studies` lists their errors.")
    if any(e.protocol.startswith("tuned on") for e in board.entries):
        found.append(
            "What was tuned on one fold for all has seen, in the search alone, the test rows of the other folds."
        )
    unranked = [e for e in board.entries if e.source == OURS and e.folds < board.folds_total]
    incomplete = [entry_title(e) if e.view == FULL else f"{entry_title(e)} ({e.view})" for e in unranked]
    if incomplete:
        found.append(f"Not all folds done, so not ranked: {', '.join(incomplete)}.")
    undefined = [entry_title(e) for e in board.entries if e.source == OURS and board.metric not in e.scores]
    if undefined:
        found.append(
            f"{METRICS[board.metric].label} is undefined on at least one fold (for instance because its test part has "
            f"one class only), so not ranked: {', '.join(undefined)}."
        )
    doubtful = [f"{e.model}: {e.note}" for e in board.entries if e.note]
    if doubtful:
        found.append(f"Published entries to read with care: {'; '.join(doubtful)}.")
    return found
