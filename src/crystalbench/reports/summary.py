"""One table over all tasks: our models beside a few published entries, for the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crystalbench.errors import ConfigError
from crystalbench.evaluation.leaderboard import OURS, PUBLISHED, Board, Entry
from crystalbench.evaluation.metrics import METRICS
from crystalbench.reports.files import rows_text, score_text, write_text
from crystalbench.views import FULL

START, END = "<!-- results -->", "<!-- /results -->"
REFERENCES = ("RF-SCM/Magpie", "CGCNN v2019")
"""Published entries that stand beside ours by name: the ones that our models have to be held against."""


def to_summary(boards: Sequence[Board]) -> str:
    """A Markdown table: a row for each task, the main metric of each of our models, and published entries.

    Of boards with a part of the rows, published entries are left out: they are of all rows.
    """
    ours = sorted({e.model for board in boards for e in board.entries if _is_plain(e)})
    titles = ["task", "metric", *(f"**{name}**" for name in ours), *REFERENCES, "best published"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for board in boards:
        metric = METRICS[board.metric]
        unit = f", {board.unit}" if metric.has_unit and board.unit else ""
        task = f"{board.task}, {rows_text(board)}" if board.is_partial else board.task
        cells = [_cell(board, [e for e in board.entries if _is_plain(e) and e.model == name]) for name in ours]
        published = [] if board.is_partial else [e for e in board.entries if e.source == PUBLISHED and not e.note]
        cells += [_cell(board, [e for e in published if e.model == name]) for name in REFERENCES]
        best = f"{_cell(board, published[:1])} ({published[0].model})" if published else "–"
        lines.append("| " + " | ".join([task, f"{metric.label}{unit}", *cells, best]) + " |")
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


def _is_plain(entry: Entry) -> bool:
    return entry.source == OURS and entry.protocol == "default" and entry.view == FULL


def _cell(board: Board, entries: list[Entry]) -> str:
    return score_text(entries[0], METRICS[board.metric]) if entries else "–"
