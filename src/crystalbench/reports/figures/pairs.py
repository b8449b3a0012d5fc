"""Which entries of a board are resolved from which."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from crystalbench.evaluation.board import OURS, Board
from crystalbench.evaluation.significance import SIGNIFICANCE
from crystalbench.reports.boards import heading
from crystalbench.reports.figures.style import WIDTH, shortened
from crystalbench.reports.formatting import full_title

MOST = 22
"""Entries that can be read at the width of a column: all of ours, and the best published ones."""

_COLOURS = ("#D55E00", "#F3C9A6", "#EEEEEE", "#B5D3E7", "#0072B2")
_MEANINGS = (
    "worse, resolved on the board",
    "worse, p < 0.05 alone",
    "not resolved",
    "better, p < 0.05 alone",
    "better, resolved on the board",
)
_SIGNS = ("−", "", "", "", "+")


def pair_matrix(board: Board) -> Figure | None:
    """A matrix of the ranked entries: whether the entry of the row is better or worse than that of the column.

    Saturated colours, with a sign, are resolved after Holm's correction for all pairs of the board; pale ones are
    resolved by the corrected t-test of this pair alone.

    Returns:
        The figure; None if fewer than two ranked entries were tested.
    """
    if not board.has_tiers:
        return None
    ranked = [i for i, place in enumerate(board.standings) if place is not None]
    ours = [i for i in ranked if board.entries[i].source == OURS][:MOST]
    others = [i for i in ranked if i not in ours][: MOST - len(ours)]
    shown = sorted([*ours, *others])
    found = board.pairs
    levels = np.zeros((len(board.entries),) * 2)
    for a, b, mean, p, p_holm in zip(found.a, found.b, found.test.mean, found.test.p, found.p_holm, strict=True):
        sign = 1 if (mean > 0) == board.higher_is_better else -1
        level = sign * (2 if p_holm < SIGNIFICANCE else 1 if p < SIGNIFICANCE else 0)
        levels[a, b], levels[b, a] = level, -level
    levels = levels[np.ix_(shown, shown)]
    np.fill_diagonal(levels, np.nan)
    names = [shortened(full_title(board.entries[i]), 26) for i in shown]
    figure = Figure(figsize=(WIDTH, WIDTH - 0.1))
    axes = figure.add_subplot()
    axes.imshow(levels, cmap=ListedColormap(_COLOURS), vmin=-2, vmax=2)
    for i, j in np.argwhere(np.abs(levels) == 2):
        axes.text(j, i, _SIGNS[int(levels[i, j]) + 2], ha="center", va="center", color="white", fontsize=5)
    size = 6 if len(shown) <= 16 else 5
    axes.set_xticks(range(len(shown)), [str(k) for k in range(1, len(shown) + 1)], fontsize=size)
    axes.set_yticks(range(len(shown)), [f"{name}  {k}" for k, name in enumerate(names, 1)], fontsize=size)
    for tick, i in zip(axes.get_yticklabels(), shown, strict=True):
        tick.set_fontweight("bold" if board.entries[i].source == OURS else "normal")
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.set_xticks(np.arange(0.5, len(shown) - 1), minor=True)
    axes.set_yticks(np.arange(0.5, len(shown) - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=0.6)
    axes.tick_params(which="minor", length=0, top=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    hidden = len(ranked) - len(shown)
    left_out = f"; {hidden} published entries left out" if hidden else ""
    figure.suptitle(f"{heading(board)}{left_out}\nrow compared with column", fontsize=7, x=0.02, ha="left")
    handles = [Patch(color=colour, label=text) for colour, text in zip(_COLOURS, _MEANINGS, strict=True)]
    figure.legend(handles=handles[::-1], loc="outside lower center", ncols=2, fontsize=6)
    return figure
