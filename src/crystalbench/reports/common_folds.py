"""Entries that lack folds, compared with others on the folds that they have."""

from __future__ import annotations

from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.reports.formatting import (
    difference_text,
    folds_list,
    full_title,
    metric_title,
    score_text,
)
from crystalbench.targets import METRICS


def explanation(board: Board) -> str:
    """What the table of `common_fold_table` contains."""
    metric = METRICS[board.metric]
    better = "positive" if metric.higher_is_better else "negative"
    return (
        f"Entries that lack folds: {metric_title(metric, board.unit)} minus that of others, {common_folds(board)}; "
        f"{better} is better."
    )


def common_folds(board: Board) -> str:
    """What a difference of two entries of a board is computed over."""
    if board.is_official:
        return "mean over the folds that both have"
    return "of pooled scores, if both are of the same folds"


def common_fold_table(board: Board) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of a table with our entries that lack folds; no rows if there is nothing to compare.

    They are compared with the dummy, the best of ours, their own published counterpart, and the best
    published entry.
    """
    lacking = [e for e in board.entries if e.source == OURS and not board.is_complete(e) and board.metric in e.scores]
    others = [e for e in (board.dummy, best_of_most_folds(board), _best_published(board)) if e is not None]
    others = [e for i, e in enumerate(others) if e not in others[:i]]
    own = {id(entry): counterpart(board, entry) for entry in lacking}
    with_own = any(own.values())
    titles = ["model", "folds", metric_title(METRICS[board.metric], board.unit)]
    titles += [*(f"minus {full_title(other)}" for other in others), *["minus counterpart"] * with_own]
    rows = []
    for entry in lacking:
        cells = [full_title(entry), folds_list(entry.fold_numbers), score_text(entry, METRICS[board.metric])]
        cells += [_minus(board, entry, other) for other in others]
        if with_own:
            other = own[id(entry)]
            cells.append("" if other is None else f"{_minus(board, entry, other)} ({other.model})")
        if any(cells[3:]):
            rows.append(cells)
    return titles, rows


def best_of_most_folds(board: Board) -> Entry | None:
    """The best of our entries with all folds, or else of those with most folds; None if there is none."""
    ours = [e for e in board.entries if e.source == OURS and board.metric in e.scores]
    return max(ours, key=lambda entry: entry.folds, default=None)  # the first of several, which is the best


def counterpart(board: Board, entry: Entry) -> Entry | None:
    """The published counterpart of an entry, if it is of the same rows."""
    published = (e for e in board.entries if e.source != OURS and board.is_comparable(e))
    return next((e for e in published if e.model == entry.counterpart), None)


def _best_published(board: Board) -> Entry | None:
    found = (e for e in board.entries if e.source != OURS and board.is_comparable(e) and not e.note and not e.refused)
    return next((e for e in found if board.metric in e.scores), None)


def _minus(board: Board, entry: Entry, other: Entry) -> str:
    if other is entry:
        return ""
    difference = entry.minus(other, board.metric)
    return "" if difference is None else difference_text(difference, entry, METRICS[board.metric])
