"""One table over all tasks for the README: our models next to a few published entries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crystalbench._files import write_text
from crystalbench.data.views import FULL
from crystalbench.errors import ConfigError
from crystalbench.evaluation.board import OURS, PUBLISHED, Board, Entry
from crystalbench.evaluation.counterparts import COUNTERPARTS, DUMMY
from crystalbench.reports.boards import DEFAULTS_CHOSEN_HERE, NOT_BETTER_THAN_DUMMY, marks
from crystalbench.reports.common_folds import best_of_most_folds, counterpart
from crystalbench.reports.formatting import (
    MISSING,
    difference_text,
    folds_list,
    markdown_table,
    metric_title,
    rows_text,
    score_text,
    short_digest,
)
from crystalbench.targets import METRICS

START, END = "<!-- results -->", "<!-- /results -->"
REFERENCES = tuple(dict.fromkeys(name for model, name in COUNTERPARTS.items() if model != DUMMY))
"""Published entries that are listed by name, the counterparts of our models."""

EXPLANATIONS = {
    DEFAULTS_CHOSEN_HERE: "rows of this task were used in choosing the model's defaults",
    NOT_BETTER_THAN_DUMMY: "not better than the dummy on the folds that both have",
}


def to_summary(boards: Sequence[Board]) -> str:
    """A Markdown table: a column for each task, a row for each of our models, and published entries below.

    The best of our scores is bold if it is of all folds, and no entry with fewer folds is better on those that it has;
    that of a dummy is not.
    A score of fewer folds is followed by these, and by its mean difference on them from the best of our complete
    entries and from its published counterpart. Published entries use all rows of a task, so they are left out of
    boards with part of the rows. Boards of other folds are left out.
    """
    boards = [board for board in boards if board.is_official]
    ours = sorted({e.model for board in boards for e in board.entries if _is_plain(e)})
    rows = [[f"`{name}`", *(_our_cell(board, name) for board in boards)] for name in ours]
    rows += [[name, *(_published_cell(board, name) for board in boards)] for name in REFERENCES]
    rows.append(["best published", *map(_best_cell, boards)])
    lines = markdown_table(["model", *map(_title, boards)], rows)
    used = "".join(marks(board, e) for board in boards for e in board.entries if _is_plain(e))
    explained = [f"{mark} {text}" for mark, text in EXPLANATIONS.items() if mark in used]
    return "\n".join([*lines, *(["", "; ".join(explained) + "."] if explained else [])])


def fill_readme(path: Path, boards: Sequence[Board]) -> None:
    """Replace the text between the two markers of a Markdown file with the summary.

    Raises:
        ConfigError: the file cannot be read or written, or lacks the markers.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a Markdown file ({error})") from error
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ConfigError(f"{path}: has no place for the table; add the lines {START} and {END} where it belongs")
    try:
        write_text(path, f"{before}{START}\n{to_summary(boards)}\n{END}{after}")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror or error})") from error


def _title(board: Board) -> str:
    rows = f"{rows_text(board)}<br>" if board.is_partial else ""
    data = "" if board.is_only else f"data {short_digest(board.data)}<br>"
    return f"{board.task}<br>{rows}{data}{metric_title(METRICS[board.metric], board.unit)}"


def _is_plain(entry: Entry) -> bool:
    return entry.source == OURS and entry.protocol == "default" and entry.view == FULL


def _published(board: Board) -> list[Entry]:
    return (
        [] if board.is_partial else [e for e in board.entries if e.source == PUBLISHED and not e.note and not e.refused]
    )


def _our_cell(board: Board, name: str) -> str:
    plain = [e for e in board.entries if _is_plain(e)]  # best first, then those that lack folds
    entry = next((e for e in plain if e.model == name), None)
    if entry is None:
        return MISSING
    text = score_text(entry, METRICS[board.metric])
    text = f"**{text}**" if entry is board.best(plain) and not entry.is_dummy else text
    return text + marks(board, entry) + ("" if board.is_complete(entry) else f"<br>({_on_its_folds(board, entry)})")


def _on_its_folds(board: Board, entry: Entry) -> str:
    """The folds of an entry that lacks some, and its mean differences from others on these folds."""
    others = [best_of_most_folds(board), counterpart(board, entry)]
    parts = []
    for other in others:
        difference = None if other is None or other is entry else entry.minus(other, board.metric)
        if other is not None and difference is not None:
            name = f"`{other.model}`" if other.source == OURS else other.model
            parts.append(f"{difference_text(difference, entry, METRICS[board.metric])} from {name}")
    return folds_list(entry.fold_numbers) + (f": {', '.join(parts)}" if parts else "")


def _published_cell(board: Board, name: str) -> str:
    entry = next((e for e in _published(board) if e.model == name), None)
    return MISSING if entry is None else score_text(entry, METRICS[board.metric])


def _best_cell(board: Board) -> str:
    published = _published(board)
    return f"{score_text(published[0], METRICS[board.metric])}<br>{published[0].model}" if published else MISSING
