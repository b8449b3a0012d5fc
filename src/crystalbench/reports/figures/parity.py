"""Predictions against true values for the best entry of each kind of input."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.figure import Figure

from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.reports.boards import heading
from crystalbench.reports.figures.style import KINDS, WIDTH
from crystalbench.reports.formatting import axis_title, full_title, score_text
from crystalbench.results.loading import Results
from crystalbench.sees import Sees
from crystalbench.targets import METRICS

_PANELS = 4
_MANY = 2_000
"""Points above which they are drawn as an image within the figure."""


def parity(board: Board, results: Results) -> Figure | None:
    """Predictions against targets for the best of our entries of each kind of input, at most four; none of the dummy.

    Predictions of several seeds are averaged. Axes span the targets; predictions beyond are drawn at the edge.

    Returns:
        The figure; None if the target is a class, or no entry of ours is ranked besides the dummy.
    """
    best: dict[Sees, Entry] = {}
    for entry in board.entries:
        if entry.source == OURS and board.is_ranked(entry) and not entry.is_dummy:
            best.setdefault(entry.sees, entry)
    shown = list(best.values())[:_PANELS]
    if board.kind != "regression" or not shown:
        return None
    metric = METRICS[board.metric]
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(WIDTH, 0.4 + 1.6 * rows if columns == 2 else WIDTH))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    configurations = [entry.configuration for entry in shown]
    everything = results.select(task=board.task, data=board.data, configuration=configurations).predictions
    for axes, entry in zip(panels.flat, shown, strict=False):
        mine = everything[everything["configuration"] == entry.configuration]
        points = mine.groupby("id", sort=True)[["target", "prediction"]].mean()
        low, high = everything["target"].min(), everything["target"].max()
        margin = 0.04 * (high - low)
        ends = (low - margin, high + margin)
        axes.plot(ends, ends, color="black", linewidth=0.6, linestyle="--")
        axes.scatter(
            points["target"],
            np.clip(points["prediction"], *ends),
            s=3,
            color=KINDS[entry.sees][0],
            alpha=0.5,
            linewidths=0,
            rasterized=len(points) > _MANY,
        )
        axes.set(xlim=ends, ylim=ends, aspect="equal")
        kind = "\n".join(textwrap.wrap(entry.sees.label, 28))
        axes.set_title(f"{full_title(entry)}\n{kind}\n{metric.label} {score_text(entry, metric)}", fontsize=6)
    for axes in panels.flat[len(shown) :]:
        axes.set_visible(False)
    figure.supxlabel(axis_title("target", board.unit), fontsize=8)
    figure.supylabel(axis_title("prediction", board.unit), fontsize=8)
    figure.suptitle(heading(board), fontsize=7.5, x=0.02, ha="left")
    return figure
