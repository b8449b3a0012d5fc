"""Errors of our entries against the time to fit them."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from crystalbench.evaluation.board import Board, Entry
from crystalbench.evaluation.costs import is_comparable, pareto_optimal
from crystalbench.reports.boards import heading, score_title
from crystalbench.reports.figures.style import GREY, KINDS, WIDTH, is_wide, log_axis, shortened
from crystalbench.reports.formatting import full_title
from crystalbench.targets import METRICS

_FASTEST = 0.01
"""Seconds below which a fit is drawn at this value, since the axis is logarithmic."""

_OFFSETS = (
    (5, 0),
    (-5, 0),
    (0, 6),
    (0, -6),
    (5, 6),
    (5, -6),
    (-5, 6),
    (-5, -6),
    (5, 12),
    (5, -12),
    (-5, 12),
    (-5, -12),
)
"""Places of a label relative to its point, in points; the first that is free is used."""


def error_against_cost(board: Board) -> Figure | None:
    """Score against the seconds to fit a fold, with a line through the Pareto-optimal entries.

    Open markers are seconds that are not comparable with the others: runs were computed at the same time, or on other
    hardware.

    Returns:
        The figure; None unless two entries of ours are ranked besides the dummy.
    """
    optimal = pareto_optimal(board)
    shown = [
        (entry, entry.fit_seconds, bool(best))
        for entry, best in zip(board.entries, optimal, strict=True)
        if best is not None and entry.fit_seconds is not None and not entry.is_dummy
    ]
    if len(shown) < 2:
        return None
    metric = METRICS[board.metric]
    figure = Figure(figsize=(WIDTH, 3.1))
    axes = figure.add_subplot()
    points = []
    for entry, seconds, _ in shown:
        colour, shape = KINDS[entry.sees]
        at = (max(seconds, _FASTEST), entry.scores[board.metric].mean)
        face = colour if is_comparable(board, entry) else "white"
        axes.plot(*at, marker=shape, color=colour, markerfacecolor=face, linestyle="none", markersize=5, zorder=3)
        points.append(at)
    front = sorted(at for at, (_, _, best) in zip(points, shown, strict=True) if best)
    axes.plot(*zip(*front, strict=True), color=GREY, linewidth=0.8, linestyle="--", zorder=1, drawstyle="steps-post")
    axes.margins(0.14)
    log_axis(axes, "x")
    if is_wide(board, [entry for entry, _, _ in shown]):
        log_axis(axes, "y")
    axes.set_xlabel("fit of one fold (s)")
    axes.set_ylabel(score_title(board, metric))
    axes.set_title(heading(board), fontsize=7.5)
    handles = [Line2D([], [], color=GREY, linewidth=0.8, linestyle="--", label="Pareto-optimal")]
    if not all(is_comparable(board, entry) for entry, _, _ in shown):
        handles.append(
            Line2D(
                [], [], color="black", marker="o", markerfacecolor="white", linestyle="none", label="≈ not comparable"
            )
        )
    kinds = {entry.sees for entry, _, _ in shown}
    handles += [
        Line2D([], [], color=colour, marker=shape, linestyle="none", label=kind.label)
        for kind, (colour, shape) in KINDS.items()
        if kind in kinds
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=6)
    _label(axes, points, [entry for entry, _, _ in shown])
    return figure


def _label(axes: Axes, points: Sequence[tuple[float, float]], entries: Sequence[Entry]) -> None:
    """Write names next to points where they overlap neither names nor points."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    pixels = axes.transData.transform(points)
    pad = 4 * figure.dpi / 72
    taken = [Bbox.from_bounds(x - pad / 2, y - pad / 2, pad, pad) for x, y in pixels]
    inside = axes.get_window_extent()
    for (x, y), entry in zip(points, entries, strict=True):
        best: tuple[float, tuple[int, int], Bbox] | None = None
        for offset in _OFFSETS:
            text = _text(axes, x, y, entry, offset)
            box = text.get_window_extent()
            text.remove()
            outside = not (inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1)
            cost = sum(_overlap(box, other) for other in taken) + outside * box.width * box.height
            if best is None or cost < best[0]:
                best = (cost, offset, box)
            if cost == 0:
                break
        assert best is not None  # there are offsets
        _text(axes, x, y, entry, best[1])
        taken.append(best[2])


def _text(axes: Axes, x: float, y: float, entry: Entry, offset: tuple[int, int]) -> Annotation:
    dx, dy = offset
    across = "left" if dx > 0 else "right" if dx < 0 else "center"
    up = "bottom" if dy > 0 else "top" if dy < 0 else "center"
    text = axes.annotate(
        shortened(full_title(entry), 26), (x, y), offset, textcoords="offset points", ha=across, va=up, fontsize=6
    )
    text.set_in_layout(False)
    return text


def _overlap(one: Bbox, other: Bbox) -> float:
    common = Bbox.intersection(one, other)
    return 0.0 if common is None else float(common.width * common.height)
