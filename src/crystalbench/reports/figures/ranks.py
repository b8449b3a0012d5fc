"""Average ranks across tasks with their critical difference."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from crystalbench.evaluation.across import Group
from crystalbench.evaluation.board import OURS
from crystalbench.reports.figures.style import WIDTH, shortened

_LINE = 0.14
"""Height of a line in inches."""


def critical_difference(group: Group) -> Figure | None:
    """A critical-difference diagram: entries on an axis of average ranks; bars join those that cannot be told apart.

    Source: Demšar, Journal of Machine Learning Research 7, 1 (2006).

    Returns:
        The figure; None if fewer than two entries are ranked.
    """
    if group.ranks is None:
        return None
    ranks, difference = group.ranks.ranks, group.ranks.critical_difference
    values = [float(value) for value in ranks]
    count, bars = len(values), cliques(values, difference)
    half = (count + 1) // 2
    depth = 1.0 + 0.5 * len(bars)
    lines = 2.5 + depth + half
    figure = Figure(figsize=(WIDTH, 0.35 + _LINE * lines))
    axes = figure.add_subplot()
    axes.set(ylim=(depth + half + 0.5, -2.5), xlim=(1 - 0.75 * (count - 1), count + 0.75 * (count - 1)))
    axes.axis("off")
    axes.plot([1, count], [0, 0], color="black", linewidth=0.8)
    step = max(1, round((count - 1) / 8))
    for rank in range(1, count + 1, step):
        axes.plot([rank, rank], [0, -0.3], color="black", linewidth=0.8)
        axes.text(rank, -0.4, str(rank), ha="center", va="bottom", fontsize=6)
    width = min(difference, count - 1)
    axes.plot([1, 1 + width], [-1.7, -1.7], color="black", linewidth=0.8, marker="|", markersize=4)
    more = "" if difference <= count - 1 else ", wider than the axis"
    axes.text(1, -1.85, f"critical difference {difference:.2f}{more}", va="bottom", fontsize=6)
    for level, (first, last) in enumerate(bars):
        y = 0.5 + 0.5 * level
        axes.plot(
            [values[first] - 0.04, values[last] + 0.04], [y, y], color="black", linewidth=2.2, solid_capstyle="butt"
        )
    for i, (title, value) in enumerate(ranks.items()):
        left = i < half
        y = depth + (i if left else count - 1 - i)
        edge = 1 - 0.05 * (count - 1) if left else count + 0.05 * (count - 1)
        weight = "bold" if group.sources[str(title)] == OURS else "normal"
        axes.plot([value, value, edge], [0, y, y], color="#555555", linewidth=0.5)
        text = f"{shortened(str(title), 22)}  {value:.1f}" if left else f"{value:.1f}  {shortened(str(title), 22)}"
        axes.text(
            edge,
            y,
            f"{text} " if left else f" {text}",
            ha="right" if left else "left",
            va="center",
            fontsize=6,
            fontweight=weight,
        )
    tasks = ", ".join(group.tasks) if len(group.tasks) <= 2 else f"{len(group.tasks)} tasks"
    axes.set_title(f"average rank on {tasks}", fontsize=7)
    return figure


def cliques(values: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """Longest runs of at least two values that differ by less than a critical difference.

    Args:
        values: average ranks in ascending order.
        difference: the critical difference.

    Returns:
        Positions of the first and the last value of each run.

    Example:
        >>> cliques([1.0, 1.5, 2.2, 4.0], 1.0)
        [(0, 1), (1, 2)]
    """
    runs: list[tuple[int, int]] = []
    for first in range(len(values)):
        last = max(i for i in range(first, len(values)) if i == first or values[i] - values[first] < difference)
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs
