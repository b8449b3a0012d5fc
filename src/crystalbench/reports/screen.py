"""Leaderboards on screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.markup import escape
from rich.table import Table

from crystalbench.data.views import FULL
from crystalbench.evaluation.across import Group
from crystalbench.evaluation.board import OURS, PUBLISHED, Board, Entry
from crystalbench.reports.across import across_table
from crystalbench.reports.boards import MODEL, cells, counterparts, header, heading, marks, places
from crystalbench.reports.common_folds import common_fold_table
from crystalbench.reports.kinds import kind_table

SHOWN_PUBLISHED = 6
"""Number of published entries in a table."""

NUMERIC = ("folds", "trials", "tuning (s)", "fit (s)", "parameters")
_WIDTH_OF_A_METRIC = 22
_WIDTH_WITH_PARAMETERS = 96
_NARROWEST = 12
"""Least width of the column of names. On a narrow terminal, names are wrapped; numbers never are."""
_LONGEST_WORD = 24
"""Words of names up to this length are not broken; columns are left out if necessary."""
_LEFT_OUT_FIRST = ("parameters", "fit (s)", "tuning (s)", "trials")


def screen_table(board: Board, width: int = 80, published: int = SHOWN_PUBLISHED) -> Table:
    """A board as a table.

    Args:
        board: the board. All of our entries are shown.
        width: width of the terminal in characters; wider terminals show more metrics.
        published: number of published entries to show: the best, the counterparts of our models, the neighbours of our
            best entry, and those nearest in rank to others of ours, in this order.
    """
    titles = header(board)
    rows, hidden = _rows(board, published)
    entries = "entry" if hidden == 1 else "entries"
    widths = [max(len(titles[i]), *(len(row[i]) for _, row in rows)) for i in range(len(titles))]
    keep = _columns(board, titles, [row[MODEL] for _, row in rows], widths, width)
    table = Table(
        title=escape(heading(board)),
        title_justify="left",
        caption=f"and {hidden} more published {entries} in leaderboard.md" if hidden else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for i in keep:
        if i == MODEL:
            most = max(_NARROWEST, _width_for_names(width, widths, keep))
            table.add_column(titles[i], overflow="fold", max_width=most)
        else:
            numeric = i < _view_column(board) or titles[i] in NUMERIC
            justify: Literal["right", "left"] = "right" if numeric else "left"
            table.add_column(escape(titles[i]), justify=justify, no_wrap=True, overflow="fold", min_width=widths[i])
    for entry, row in rows:
        table.add_row(*[escape(row[i]) for i in keep], style="bold cyan" if entry.source == OURS else "dim")
    return table


def _rows(board: Board, published: int) -> tuple[list[tuple[Entry, list[str]]], int]:
    """Entries to show with their cells, and the number of published entries that are left out."""
    foreign = [i for i, entry in enumerate(board.entries) if entry.source == PUBLISHED]
    chosen = set(_in_order_of_interest(board, foreign)[:published])
    ranked = enumerate(zip(board.entries, places(board), strict=True))
    rows = [(entry, cells(board, entry, place)) for i, (entry, place) in ranked if i not in foreign or i in chosen]
    for entry, row in rows:
        row[MODEL] += marks(board, entry)
    return rows, len(foreign) - len(chosen)


def _first_metric(board: Board) -> int:
    """Index of the column of the main metric."""
    return MODEL + 1 + board.has_tiers


def _view_column(board: Board) -> int:
    """Index of the column after the metrics."""
    return _first_metric(board) + len(board.metrics)


def _columns(board: Board, titles: Sequence[str], names: Sequence[str], widths: Sequence[int], width: int) -> list[int]:
    """Indices of the columns that a terminal of this width can show without breaking names within words."""
    view = _view_column(board)
    metrics = max(1, min(len(board.metrics), 1 + (width - _WIDTH_WITH_PARAMETERS) // _WIDTH_OF_A_METRIC))
    keep = [*range(_first_metric(board) + metrics), *range(view, len(titles))]
    if all(entry.view == FULL for entry in board.entries):
        keep.remove(view)
    if width < _WIDTH_WITH_PARAMETERS:
        keep.remove(titles.index("parameters"))
        if board.has_tuned:
            keep.remove(titles.index("fit (s)"))
    longest = max((len(word) for name in names for word in name.split()), default=0)
    for title in _LEFT_OUT_FIRST:
        if _width_for_names(width, widths, keep) < min(longest, _LONGEST_WORD):
            keep = [i for i in keep if titles[i] != title]
    return keep


def _width_for_names(width: int, widths: Sequence[int], keep: Sequence[int]) -> int:
    """Width that the other columns leave for names: each column has two spaces of padding, the table one more."""
    return width - (2 * len(keep) + 1) - sum(widths[i] for i in keep if i != MODEL)


def _in_order_of_interest(board: Board, foreign: Sequence[int]) -> list[int]:
    """Positions of published entries, the most interesting for our models first."""
    ours = [i for i, entry in enumerate(board.entries) if entry.source == OURS and board.is_complete(entry)]
    best = foreign[:1]
    own = [i for name in counterparts(board) for i in foreign if board.entries[i].model == name]
    above = [i for i in foreign if ours and i < ours[0]][-1:]
    below = [i for i in foreign if ours and i > ours[0]][:1]
    nearest = sorted(foreign, key=lambda i: (min((abs(i - j) for j in ours), default=0), i))
    return list(dict.fromkeys([*best, *own, *above, *below, *nearest]))


def screen_kinds(board: Board) -> Table | None:
    """The best entry of each kind of input; None if all entries are of one kind."""
    titles, rows = kind_table(board)
    if not rows:
        return None
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, title in enumerate(titles):
        numeric = 1 < i < len(titles) - 1
        whole = max((len(word) for row in rows for word in row[i].split()), default=0) if i == 0 else None
        table.add_column(
            escape(title),
            justify="right" if numeric else "left",
            no_wrap=numeric or i == len(titles) - 1,
            overflow="fold",
            min_width=whole,
        )
    for row in rows:
        table.add_row(*map(escape, row), style="bold cyan" if row[-1] == OURS else "dim")
    return table


def screen_across(group: Group) -> Table:
    """The entries of a group with their normalised scores and average ranks; all of ours, and the best published."""
    titles, rows = across_table(group, by_task=False)
    foreign = [row for row in rows if row[-1] == PUBLISHED]
    shown = [row for row in rows if row[-1] != PUBLISHED or row in foreign[:SHOWN_PUBLISHED]]
    hidden = len(rows) - len(shown)
    table = Table(
        caption=f"and {hidden} more published {'entry' if hidden == 1 else 'entries'} in leaderboard.md"
        if hidden
        else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for title in titles:
        numeric = title not in ("model", "source")
        table.add_column(title, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in shown:
        table.add_row(*map(escape, row), style="bold cyan" if row[-1] == OURS else "dim")
    return table


def screen_differences(board: Board) -> Table | None:
    """Our entries that lack folds, compared on the folds that they have; None if there are none.

    `crystalbench.reports.common_folds.explanation` says what the numbers are.
    """
    titles, rows = common_fold_table(board)
    if not rows:
        return None
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, title in enumerate(titles):
        table.add_column(escape(title), justify="left" if i < 2 else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    return table
