"""Scores of a board with intervals, grouped by what the entries see."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.evaluation.significance import corrected_t_test
from crystalbench.reports.boards import heading, score_title
from crystalbench.reports.figures.style import KINDS, WIDTH, is_wide, log_axis, marker, shortened
from crystalbench.reports.formatting import full_title
from crystalbench.sees import Sees
from crystalbench.targets import METRICS

_LINE = 0.135
"""Height of a line in inches."""


def forest(board: Board) -> Figure | None:
    """The scores of the ranked entries of a board in sections by what they see, best first.

    Bars are 95 % intervals of the mean over the folds by the corrected t-test, which an entry with one fold does not
    have. The number on the right is the tier. The dotted line is the best score.

    Returns:
        The figure; None if no entry is ranked.
    """
    ranked = [entry for entry in board.entries if board.is_ranked(entry)]
    if not ranked:
        return None
    metric = METRICS[board.metric]
    kinds = [kind for kind in Sees if any(entry.sees is kind for entry in ranked)]
    lines = sum(1 for _ in ranked) + len(kinds)
    figure = Figure(figsize=(WIDTH, 0.75 + _LINE * lines))
    axes = figure.add_subplot()
    y, labels = 0, {}
    best = ranked[0].scores[board.metric].mean
    axes.axvline(best, color="black", linewidth=0.6, linestyle=":", zorder=0)
    for kind in kinds:
        axes.text(
            0.01,
            y,
            f"{kind.label}",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=6.5,
            style="italic",
            color=KINDS[kind][0] if kind not in (Sees.NOTHING, Sees.UNDECLARED) else "#555555",
            weight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
        for entry in (entry for entry in ranked if entry.sees is kind):
            y += 1
            labels[y] = entry
            _draw(axes, board, entry, y)
        y += 1
    axes.set_ylim(y - 0.3, -0.7)
    axes.set_yticks(list(labels), [shortened(full_title(entry)) for entry in labels.values()], fontsize=6.5)
    for tick, entry in zip(axes.get_yticklabels(), labels.values(), strict=True):
        tick.set_fontweight("bold" if entry.source == OURS else "normal")
    if board.has_tiers:
        place: dict[str, Any] = {
            "transform": axes.get_yaxis_transform(),
            "va": "center",
            "ha": "right",
            "fontsize": 6.5,
        }
        for number, entry in labels.items():
            axes.text(1.06, number, str(board.tier_of(entry)), **place)
        axes.text(1.06, 0, "tier", style="italic", **place)
    if is_wide(board, ranked):
        log_axis(axes, "x")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(score_title(board, metric))
    axes.set_title(heading(board), fontsize=7.5)
    return figure


def _draw(axes: Axes, board: Board, entry: Entry, y: float) -> None:
    score = entry.scores[board.metric]
    bars = None
    if len(score.folds) > 1 and not score.pooled:
        test = corrected_t_test(np.array(list(score.folds.values())), board.test_over_train)
        low = max(float(test.low), 0.02 * score.mean) if score.mean > 0 else float(test.low)
        bars = [[score.mean - low], [float(test.high) - score.mean]]
    axes.errorbar([score.mean], [y], xerr=bars, linestyle="none", elinewidth=0.8, markersize=4, **marker(entry))
