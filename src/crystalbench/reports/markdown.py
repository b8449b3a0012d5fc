"""Leaderboards as Markdown, for people."""

from __future__ import annotations

from collections.abc import Sequence

from crystalbench.evaluation.across import groups_across
from crystalbench.evaluation.board import OURS, Board, Difference, Entry
from crystalbench.reports.across import across_markdown
from crystalbench.reports.boards import MODEL, cells, header, heading, marks, places
from crystalbench.reports.common_folds import common_fold_table, explanation
from crystalbench.reports.costs import costs_markdown
from crystalbench.reports.formatting import entry_title, gain_text, markdown_table, metric_title
from crystalbench.reports.kinds import EXPLANATION, kind_table
from crystalbench.reports.notes import notes
from crystalbench.targets import METRICS

INTRODUCTION = (
    "Made from the records by `python -m benchmarks.report`; nothing here is typed by hand. Scores are mean ± "
    "population standard deviation over the official folds, as Matbench reports them; rows in bold are runs of "
    "CrystalBench, the others are published Matbench v0.1 entries (materialsproject/matbench, commit 936176d). "
    "Tables of other folds name them in the heading; their scores are pooled over the samples of all folds. "
    "Seconds are those of fitting one fold on the machine named in each record."
)


def to_markdown(boards: Sequence[Board]) -> str:
    """A page with tables for each task, and one for each group of entries that are ranked across tasks."""
    lines = ["# Leaderboard", "", INTRODUCTION]
    for board in boards:
        lines += ["", f"## {heading(board)}", ""]
        lines += [line for note in notes(board) for line in (note, "")]
        lines += _table(board)
        lines += _best_of_kinds(board)
        lines += costs_markdown(board)
        lines += _common_folds(board)
        lines += _gain_table(board)
        lines += _decision_table(board)
    if section := across_markdown(*groups_across(boards)):
        lines += ["", *section]
    return "\n".join(lines) + "\n"


def _table(board: Board) -> list[str]:
    rows = []
    for entry, place in zip(board.entries, places(board), strict=True):
        row = cells(board, entry, place)
        if entry.source == OURS:
            row[MODEL] = f"**{row[MODEL]}**"
        row[MODEL] += marks(board, entry)
        rows.append(row)
    return markdown_table(header(board), rows)


def _best_of_kinds(board: Board) -> list[str]:
    """The best entry of each kind of input; empty if all entries are of one kind."""
    titles, rows = kind_table(board)
    for row in rows:
        row[MODEL] = f"**{row[MODEL]}**" if row[-1] == OURS else row[MODEL]
    return ["", EXPLANATION, "", *markdown_table(titles, rows)] if rows else []


def _common_folds(board: Board) -> list[str]:
    """The entries that lack folds, compared on the folds that they have; empty if there are none."""
    titles, rows = common_fold_table(board)
    return ["", explanation(board), "", *markdown_table(titles, rows)] if rows else []


def _gain_table(board: Board) -> list[str]:
    """The change through tuning, fold by fold; empty if no entry was run both with and without tuning."""
    metric = METRICS[board.metric]
    gains = [(entry, entry.gain[metric.name]) for entry in board.entries if metric.name in entry.gain]
    if not gains:
        return []
    better = "positive" if metric.higher_is_better else "negative"
    folds = sorted({fold for _, gain in gains for fold in gain.folds})
    total = "mean ± std over folds" if board.is_official else "pooled"
    titles = ["model", "view", total, *(f"fold {fold}" for fold in folds)]
    rows = [
        [entry_title(entry), entry.view, gain_text(gain), *(_gain_of_fold(entry, gain, fold) for fold in folds)]
        for entry, gain in gains
    ]
    explanation = (
        f"Tuned minus default, {metric_title(metric, board.unit)}, fold by fold; {better} is better. Where the default "
        "was kept, since tuning found nothing that is reliably better, the difference is that of another seed."
    )
    return ["", explanation, "", *markdown_table(titles, rows)]


def _gain_of_fold(entry: Entry, gain: Difference, fold: int) -> str:
    if fold not in gain.folds:
        return ""
    return f"{gain.folds[fold]:+.4g}{' (kept)' if fold in entry.kept else ''}"


def _decision_table(board: Board) -> list[str]:
    """What tuning found on the inner folds; empty if no study has paired evaluations."""
    entries = [entry for entry in board.entries if entry.inner_gain]
    if not entries:
        return []
    folds = sorted({fold for entry in entries for fold in entry.inner_gain} | {f for e in entries for f in e.kept})
    titles = ["model", "view", *(f"fold {fold}" for fold in folds)]
    rows = [[entry_title(entry), entry.view, *(_decision_of_fold(entry, fold) for fold in folds)] for entry in entries]
    title = metric_title(METRICS[board.metric], board.unit)
    explanation = (
        f"What tuning found: gain of the best trial over the default on inner folds, {title}, with its paired standard "
        "error; positive is better. The default is kept unless the gain exceeds the standard error."
    )
    return ["", explanation, "", *markdown_table(titles, rows)]


def _decision_of_fold(entry: Entry, fold: int) -> str:
    kept = "kept" if fold in entry.kept else ""
    if fold not in entry.inner_gain:
        return kept
    gain, error = entry.inner_gain[fold]
    return f"{gain:+.3g} ± {error:.2g}" + (f" ({kept})" if kept else "")
