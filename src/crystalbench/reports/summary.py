"""One table over all tasks for the README: our models next to a few published entries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crystalbench._files import write_text
from crystalbench.data.views import FULL
from crystalbench.errors import ConfigError
from crystalbench.evaluation.board import OURS, PUBLISHED, Board, Entry
from crystalbench.reports.formatting import MISSING, markdown_table, metric_title, rows_text, score_text
from crystalbench.targets import METRICS

START, END = "<!-- results -->", "<!-- /results -->"
REFERENCES = ("RF-SCM/Magpie", "CGCNN v2019")
"""Published entries that are listed by name, because our models have close counterparts of them."""


def to_summary(boards: Sequence[Board]) -> str:
    """A Markdown table: a column for each task, a row for each of our models, and published entries below.

    The best of our complete scores is bold. Published entries use all rows of a task, so they are left out of boards
    with part of the rows.
    """
    ours = sorted({e.model for board in boards for e in board.entries if _is_plain(e)})
    rows = [[f"`{name}`", *(_our_cell(board, name) for board in boards)] for name in ours]
    rows += [[name, *(_published_cell(board, name) for board in boards)] for name in REFERENCES]
    rows.append(["best published", *map(_best_cell, boards)])
    return "\n".join(markdown_table(["model", *map(_title, boards)], rows))


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
    return f"{board.task}<br>{rows}{metric_title(METRICS[board.metric], board.unit, ', ')}"


def _is_plain(entry: Entry) -> bool:
    return entry.source == OURS and entry.protocol == "default" and entry.view == FULL


def _published(board: Board) -> list[Entry]:
    return [] if board.is_partial else [e for e in board.entries if e.source == PUBLISHED and not e.note]


def _our_cell(board: Board, name: str) -> str:
    plain = [e for e in board.entries if _is_plain(e)]  # best first, then those that lack folds
    cell = _cell(board, [e for e in plain if e.model == name])
    is_best = plain and plain[0].model == name and plain[0].folds == board.folds_total
    return f"**{cell}**" if is_best else cell


def _published_cell(board: Board, name: str) -> str:
    return _cell(board, [e for e in _published(board) if e.model == name])


def _best_cell(board: Board) -> str:
    published = _published(board)
    return f"{_cell(board, published[:1])}<br>{published[0].model}" if published else MISSING


def _cell(board: Board, entries: list[Entry]) -> str:
    """The score of the first entry, with the number of its folds if some are missing."""
    if not entries:
        return MISSING
    text = score_text(entries[0], METRICS[board.metric])
    done = entries[0].folds
    return text if done >= board.folds_total else f"{text}<br>({done} of {board.folds_total} folds)"
