"""One table over all tasks: our models beside a few published entries, for the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crystalbench._files import write_text
from crystalbench.data.views import FULL
from crystalbench.errors import ConfigError
from crystalbench.evaluation.leaderboard import OURS, PUBLISHED, Board, Entry
from crystalbench.reports.files import rows_text, score_text
from crystalbench.targets import METRICS

START, END = "<!-- results -->", "<!-- /results -->"
REFERENCES = ("RF-SCM/Magpie", "CGCNN v2019")
"""Published entries that stand beside ours by name: the ones that our models have to be held against."""


def to_summary(boards: Sequence[Board]) -> str:
    """A Markdown table: a column for each task, a row for each of our models, and published entries below.

    The best of our complete scores is bold. Of boards with a part of the rows, published entries are left out: they are
    of all rows.
    """
    ours = sorted({e.model for board in boards for e in board.entries if _is_plain(e)})
    lines = ["| " + " | ".join(["model", *map(_title, boards)]) + " |", "|" + "---|" * (len(boards) + 1)]
    lines += [_line(f"`{name}`", [_our_cell(board, name) for board in boards]) for name in ours]
    lines += [_line(name, [_published_cell(board, name) for board in boards]) for name in REFERENCES]
    lines.append(_line("best published", [_best_cell(board) for board in boards]))
    return "\n".join(lines)


def fill_readme(path: Path, boards: Sequence[Board]) -> None:
    """Replace what stands between the markers of a Markdown file by the summary.

    Raises:
        ConfigError: the file has no markers.
    """
    text = path.read_text(encoding="utf-8")
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ConfigError(f"{path}: has no place for the table, which goes between {START} and {END}")
    write_text(path, f"{before}{START}\n{to_summary(boards)}\n{END}{after}")


def _line(name: str, cells: Sequence[str]) -> str:
    return "| " + " | ".join([name, *cells]) + " |"


def _title(board: Board) -> str:
    metric = METRICS[board.metric]
    unit = f", {board.unit}" if metric.has_unit and board.unit else ""
    rows = f"{rows_text(board)}<br>" if board.is_partial else ""
    return f"{board.task}<br>{rows}{metric.label}{unit}"


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
    return f"{_cell(board, published[:1])}<br>{published[0].model}" if published else "–"


def _cell(board: Board, entries: list[Entry]) -> str:
    """The score of the first entry, with the number of its folds where some are missing."""
    if not entries:
        return "–"
    text = score_text(entries[0], METRICS[board.metric])
    done = entries[0].folds
    return text if done >= board.folds_total else f"{text}<br>({done} of {board.folds_total} folds)"
