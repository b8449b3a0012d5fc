"""Leaderboards on screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.markup import escape
from rich.table import Table

from crystalbench.data.views import FULL
from crystalbench.evaluation.board import OURS, Board
from crystalbench.reports.boards import cells, header, heading, places

SHOWN_PUBLISHED = 6
NUMERIC = ("folds", "trials", "tuning / s", "fit / s", "parameters")
_WIDTH_OF_A_METRIC = 22
_ROOM_FOR_PARAMETERS = 96
_MODEL = 1
"""Place of the names among the columns: on a narrow terminal they take several lines; numbers never do."""
_NARROWEST = 12
_LONGEST_WORD = 24
"""Words of names up to this length are kept whole, if need be by leaving columns out."""
_LEFT_OUT_FIRST = ("parameters", "fit / s", "tuning / s", "trials")


def screen_table(board: Board, width: int = 80, published: int = SHOWN_PUBLISHED) -> Table:
    """A board as a table.

    Args:
        board: the board; all of its own entries are shown.
        width: columns of the terminal: the wider, the more metrics are shown.
        published: so many of the published entries are shown, evenly spread from best to worst.
    """
    metrics = max(1, min(len(board.metrics), 1 + (width - 96) // _WIDTH_OF_A_METRIC))
    titles = header(board)
    last = 2 + len(board.metrics)  # the column after the metrics: view
    keep = [*range(2 + metrics), *range(last, len(titles))]
    if all(entry.view == FULL for entry in board.entries):
        keep.remove(last)
    if width < _ROOM_FOR_PARAMETERS:
        keep.remove(titles.index("parameters"))
        if board.has_tuned:
            keep.remove(titles.index("fit / s"))
    foreign = [i for i, entry in enumerate(board.entries) if entry.source != OURS]
    chosen = set(_spread(foreign, published))
    hidden = len(foreign) - len(chosen)
    caption = f"and {hidden} more published entries in leaderboard.md" if hidden else None
    ranked = zip(board.entries, places(board), strict=True)
    rows = [
        (entry, cells(board, entry, place))
        for i, (entry, place) in enumerate(ranked)
        if entry.source == OURS or i in chosen
    ]
    widths = [max(len(titles[i]), *(len(row[i]) for _, row in rows)) for i in range(len(titles))]
    longest = max((len(word) for _, row in rows for word in row[_MODEL].split()), default=0)
    for name in _LEFT_OUT_FIRST:
        if _room(width, widths, keep) < min(longest, _LONGEST_WORD):
            keep = [i for i in keep if titles[i] != name]
    table = Table(
        title=escape(heading(board)),
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for i in keep:
        numeric = i == 0 or 1 < i < last or titles[i] in NUMERIC
        most = max(_NARROWEST, _room(width, widths, keep)) if i == _MODEL else None
        least = None if i == _MODEL else widths[i]
        justify: Literal["right", "left"] = "right" if numeric else "left"
        table.add_column(
            escape(titles[i]), justify=justify, no_wrap=i != _MODEL, overflow="fold", min_width=least, max_width=most
        )
    for entry, row in rows:
        table.add_row(*[escape(row[i]) for i in keep], style="bold cyan" if entry.source == OURS else "dim")
    return table


def _room(width: int, widths: Sequence[int], keep: Sequence[int]) -> int:
    """What is left for names: every column has a space on its right for padding, and one more on each side."""
    return width - (2 * len(keep) + 1) - sum(widths[i] for i in keep if i != _MODEL)


def _spread(items: list[int], count: int) -> list[int]:
    """At most ``count`` items, evenly spread, the first among them and, of two or more, the last."""
    if len(items) <= count:
        return items
    return [items[round(i * (len(items) - 1) / max(1, count - 1))] for i in range(count)]
