"""Figures of the site as Plotly traces, and as values from which the page's script makes traces.

A figure is a dictionary that becomes JSON in the page. ``kind`` is ``plotly``, with ``data`` and ``layout``, or the
name of a function of ``site.js`` for figures in which all models share the points of one axis, which would otherwise
be repeated for each. Colours of text, grid and background are set by the page, which knows whether it is dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from crystalbench.evaluation.board import Board, Entry
from crystalbench.reports.formatting import format_spec, full_title, metric_title
from crystalbench.sees import Sees
from crystalbench.targets import METRICS

Chart: TypeAlias = dict[str, Any]

KIND_COLOURS: dict[Sees, str] = {
    Sees.NOTHING: "#8a8a8a",
    Sees.COMPOSITION: "#E69F00",
    Sees.STRUCTURE: "#56B4E9",
    Sees.STRUCTURE_AND_CHEMISTRY: "#0072B2",
    Sees.EQUIVARIANT: "#009E73",
    Sees.DESCRIPTORS: "#CC79A7",
    Sees.WITH_DESCRIPTORS: "#D55E00",
    Sees.PRETRAINED: "#B8A200",
    Sees.UNDECLARED: "#8a8a8a",
}
"""Colours of Okabe and Ito, which differ for every common colour vision deficiency and show on light and dark."""

KIND_SYMBOLS: dict[Sees, str] = {
    Sees.NOTHING: "x-thin-open",
    Sees.COMPOSITION: "triangle-up",
    Sees.STRUCTURE: "square-open",
    Sees.STRUCTURE_AND_CHEMISTRY: "square",
    Sees.EQUIVARIANT: "diamond",
    Sees.DESCRIPTORS: "circle-open",
    Sees.WITH_DESCRIPTORS: "circle",
    Sees.PRETRAINED: "star",
    Sees.UNDECLARED: "cross-thin-open",
}
"""Symbols that tell kinds apart without colour."""

MAX_POINTS = 2_000
"""Points of a parity plot per model; a regular choice of the rows, sorted by target, is shown of more."""

QUANTILES = np.linspace(0.01, 1, 100)
"""Shares of the rows at which the distribution of errors is shown."""

FAR = 4.0
"""Entries whose error is more than so many times that of the best one are left out of the figure of differences."""


def kinds_of(entries: Sequence[Entry]) -> list[Sees]:
    """The kinds of some entries in their order."""
    there = {entry.sees for entry in entries}
    return [kind for kind in Sees if kind in there]


def is_far(board: Board, entry: Entry) -> bool:
    """Whether an entry's error is far larger than that of the best one, so that a figure of both shows nothing."""
    best = next(e for e in board.entries if board.is_ranked(e))
    error, least = (e.scores[board.metric].mean for e in (entry, best))
    if board.higher_is_better:
        error, least = 1 - error, 1 - least
    return bool(error > FAR * least > 0)


def standing_chart(board: Board) -> Chart | None:
    """Differences of the ranked entries from the best one with their 95 % intervals; None if there are no tests.

    Entries that `is_far` finds are left out.
    """
    pairs, places = board.pairs, board.standings
    ranked = [i for i, place in enumerate(places) if place is not None and not is_far(board, board.entries[i])]
    if len(ranked) < 2 or not len(pairs.a):
        return None
    best = ranked[0]
    titles = [full_title(board.entries[i]) for i in ranked]
    rows: list[dict[str, Any]] = []
    for i in ranked:
        entry, place = board.entries[i], places[i]
        found = np.flatnonzero((pairs.a == best) & (pairs.b == i))
        if i == best or not len(found):
            low = high = middle = 0.0
        else:
            k = int(found[0])  # a is the best: the difference of the other one is the negative
            middle, low, high = -pairs.test.mean[k], -pairs.test.high[k], -pairs.test.low[k]
        tier = 0 if place is None else place.tier
        rows.append({"entry": entry, "middle": middle, "low": low, "high": high, "tier": tier})
    data = []
    for kind in kinds_of([row["entry"] for row in rows]):
        mine = [(title, row) for title, row in zip(titles, rows, strict=True) if row["entry"].sees is kind]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": kind.label,
                "x": [_number(row["middle"]) for _, row in mine],
                "y": [title for title, _ in mine],
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [_number(row["high"] - row["middle"]) for _, row in mine],
                    "arrayminus": [_number(row["middle"] - row["low"]) for _, row in mine],
                    "thickness": 1.5,
                    "width": 3,
                },
                "marker": {"color": KIND_COLOURS[kind], "symbol": KIND_SYMBOLS[kind], "size": 9},
                "customdata": [[row["tier"], _number(row["low"]), _number(row["high"])] for _, row in mine],
                "hovertemplate": "%{y}<br>%{x:+.4g} [%{customdata[1]:+.4g}, %{customdata[2]:+.4g}]"
                "<br>tier %{customdata[0]}<extra></extra>",
            }
        )
    title = metric_title(METRICS[board.metric], board.unit)
    worse = "left is worse" if board.higher_is_better else "right is worse"
    layout = {
        "height": 150 + 22 * len(rows),
        "xaxis": {"title": {"text": f"{title} minus that of {titles[0]} ({worse})"}, "zeroline": True},
        "yaxis": {"autorange": "reversed", "categoryorder": "array", "categoryarray": titles, "automargin": True},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        "margin": {"l": 10, "r": 15, "t": 10, "b": 60},
    }
    return {"kind": "plotly", "data": data, "layout": layout}


def pair_chart(board: Board) -> Chart | None:
    """Which ranked entries are resolved better or worse than which others; None if there are no tests."""
    ranked = [i for i, place in enumerate(board.standings) if place is not None]
    if len(ranked) < 2 or not len(board.pairs.a):
        return None
    titles = [full_title(board.entries[i]) for i in ranked]
    verdicts, texts = _pairs_of(board, ranked)
    data = {
        "type": "heatmap",
        "x": titles,
        "y": titles,
        "z": [[_number(verdict) for verdict in row] for row in verdicts],
        "text": texts,
        "hovertemplate": "%{y} minus %{x}<br>%{text}<extra></extra>",
        "zmin": -1,
        "zmax": 1,
        "xgap": 1,
        "ygap": 1,
        "colorscale": [
            [0, "#D55E00"],
            [0.333, "#D55E00"],
            [0.333, "#b5b5b5"],
            [0.667, "#b5b5b5"],
            [0.667, "#0072B2"],
            [1, "#0072B2"],
        ],
        "colorbar": {
            "tickvals": [-0.67, 0, 0.67],
            "ticktext": ["row is worse", "not resolved", "row is better"],
            "orientation": "h",
            "thickness": 12,
            "y": 1.01,
            "yanchor": "bottom",
        },
    }
    layout = {
        "height": 300 + 20 * len(ranked),
        "xaxis": {"tickangle": -60, "automargin": True, "showgrid": False},
        "yaxis": {"autorange": "reversed", "automargin": True, "showgrid": False},
        "margin": {"l": 10, "r": 10, "t": 60, "b": 10},
    }
    return {"kind": "plotly", "data": [data], "layout": layout}


def _pairs_of(board: Board, entries: Sequence[int]) -> tuple[np.ndarray, list[list[str]]]:
    """The tests of the pairs of some entries, as matrices: the entry of the row minus that of the column.

    Returns:
        Verdicts: 1 if the entry of the row is better, −1 if it is worse, 0 if that is not resolved, and NaN without a
        test. Texts: the difference with its 95 % interval and p value.
    """
    pairs, at = board.pairs, {entry: k for k, entry in enumerate(entries)}
    verdicts = np.full((len(entries), len(entries)), np.nan)
    texts = [["" for _ in entries] for _ in entries]
    tests = zip(
        pairs.a.tolist(),
        pairs.b.tolist(),
        pairs.test.mean.tolist(),
        pairs.test.low.tolist(),
        pairs.test.high.tolist(),
        pairs.p_holm.tolist(),
        pairs.resolved.tolist(),
        strict=True,
    )
    for a, b, mean, low, high, p, resolved in tests:
        if a not in at or b not in at:
            continue
        i, j = at[a], at[b]
        better = (mean > 0) == board.higher_is_better
        verdicts[i, j] = (1 if better else -1) if resolved else 0
        verdicts[j, i] = -verdicts[i, j]
        spec = format_spec(abs(mean))
        texts[i][j] = f"{mean:+{spec}} [{low:+{spec}}, {high:+{spec}}], p = {p:.2g}"
        texts[j][i] = f"{-mean:+{spec}} [{-high:+{spec}}, {-low:+{spec}}], p = {p:.2g}"
    return verdicts, texts


def parity_chart(
    board: Board, entries: Sequence[tuple[Entry, pd.DataFrame]], formulas: Mapping[str, str]
) -> tuple[Chart, int, int] | None:
    """Predictions of several entries against targets.

    Args:
        board: the board.
        entries: entries with a frame of ``id``, ``target`` and ``prediction`` each, one row per id.
        formulas: formulas by id.

    Returns:
        The figure, the number of rows shown, and of all rows; None without entries.
    """
    if not entries:
        return None
    wide = pd.concat({k: rows.set_index("id")["prediction"] for k, (_, rows) in enumerate(entries)}, axis=1, sort=True)
    targets = pd.concat([rows.set_index("id")["target"] for _, rows in entries])
    target = targets[~targets.index.duplicated()].reindex(wide.index)
    order = target.sort_values(kind="stable").index
    everyone = len(order)
    if everyone > MAX_POINTS:
        order = order[np.linspace(0, everyone - 1, MAX_POINTS).round().astype(np.intp)]
    chart = {
        "kind": "parity",
        "unit": board.unit,
        "ids": [str(row) for row in order],
        "formulas": [formulas.get(str(row), "") for row in order] if formulas else None,
        "targets": _short(target[order]),
        "models": [
            {
                "name": full_title(entry),
                "color": KIND_COLOURS[entry.sees],
                "predictions": _short(wide.loc[order, k]),
            }
            for k, (entry, _) in enumerate(entries)
        ],
    }
    return chart, len(order), everyone


def error_chart(board: Board, entries: Sequence[tuple[Entry, pd.DataFrame]]) -> Chart | None:
    """The share of rows whose absolute error is at most x, one line per entry; None without entries."""
    data = []
    ends: list[float] = []
    for number, (entry, rows) in enumerate(entries):
        errors = np.quantile((rows["prediction"] - rows["target"]).abs().to_numpy(), QUANTILES)
        ends += [float(errors[4]), float(errors[-1])]  # the figure begins where 5 % of the rows are
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": full_title(entry),
                "x": [_number(v) for v in errors],
                "y": [_number(v) for v in QUANTILES],
                "line": {"dash": ("solid", "dash", "dot", "dashdot")[number % 4], "width": 2},
                "hovertemplate": "%{y:.0%} of the rows: at most %{x:.3g}",
                "visible": True if number < 4 else "legendonly",
            }
        )
    if not data:
        return None
    unit = f" ({board.unit})" if board.unit else ""
    positive = [end for end in ends if end > 0] or [1.0]
    layout = {
        "height": 420,
        "xaxis": {
            "title": {"text": f"absolute error{unit}"},
            "type": "log",
            "exponentformat": "power",
            "range": [_number(float(np.log10(min(positive)))), _number(float(np.log10(max(positive))) + 0.05)],
        },
        "yaxis": {"title": {"text": "share of rows"}, "tickformat": ".0%"},
        "margin": {"l": 60, "r": 15, "t": 10, "b": 60},
        "legend": {"orientation": "h", "y": -0.25},
    }
    return {"kind": "plotly", "data": data, "layout": layout}


def roc_chart(entries: Sequence[tuple[Entry, pd.DataFrame]]) -> Chart | None:
    """True against false positives for every threshold of the probability of class 1; None without entries."""
    from sklearn.metrics import roc_curve

    grid = np.linspace(0, 1, 101)
    data: list[dict[str, Any]] = []
    for number, (entry, rows) in enumerate(entries):
        if rows["target"].nunique() < 2 or rows["prediction"].isna().any():
            continue
        false, true, _ = roc_curve(rows["target"], rows["prediction"])
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": full_title(entry),
                "x": [_number(v) for v in grid],
                "y": [_number(v) for v in np.interp(grid, false, true)],
                "line": {"dash": ("solid", "dash", "dot", "dashdot")[number % 4], "width": 2},
            }
        )
    layout = {
        "height": 420,
        "xaxis": {"title": {"text": "false positives (share of class 0)"}, "range": [0, 1]},
        "yaxis": {"title": {"text": "true positives (share of class 1)"}, "range": [0, 1]},
        "margin": {"l": 60, "r": 15, "t": 10, "b": 60},
        "legend": {"orientation": "h", "y": -0.25},
    }
    return {"kind": "plotly", "data": data, "layout": layout} if data else None


def cost_chart(board: Board) -> Chart | None:
    """Main score against the seconds to fit a fold; None if fewer than two entries besides the dummy have seconds."""
    timed = [e for e in board.entries if e.fit_seconds is not None and board.is_ranked(e) and not e.is_dummy]
    if len(timed) < 2:
        return None
    order = sorted(timed, key=lambda e: e.fit_seconds or 0.0)
    above = {id(entry): number % 2 == 0 for number, entry in enumerate(order)}  # neighbours' names do not overlap
    data = []
    for kind in kinds_of(timed):
        mine = [entry for entry in timed if entry.sees is kind]
        data.append(
            {
                "type": "scatter",
                "mode": "markers+text",
                "name": kind.label,
                "x": [_number(max(entry.fit_seconds or 0.0, 0.01)) for entry in mine],
                "y": [_number(entry.scores[board.metric].mean) for entry in mine],
                "text": [full_title(entry) for entry in mine],
                "textposition": ["top center" if above[id(entry)] else "bottom center" for entry in mine],
                "textfont": {"size": 10},
                "cliponaxis": False,
                "marker": {"color": KIND_COLOURS[kind], "symbol": KIND_SYMBOLS[kind], "size": 10},
                "hovertemplate": "%{text}<br>%{y:.4g}, %{x:.3g} s<extra></extra>",
            }
        )
    layout = {
        "height": 420,
        "xaxis": {"title": {"text": "seconds to fit one fold"}, "type": "log", "exponentformat": "power"},
        "yaxis": {
            "title": {"text": metric_title(METRICS[board.metric], board.unit)},
            "type": "linear" if board.higher_is_better else "log",
        },
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 60, "r": 30, "t": 10, "b": 60},
    }
    return {"kind": "plotly", "data": data, "layout": layout}


def _number(value: float) -> float | None:
    """A number with five significant digits; None for one that JSON does not have."""
    return float(f"{value:.5g}") if np.isfinite(value) else None


def _short(values: pd.Series[Any]) -> list[float | None]:
    return [_number(float(value)) for value in values]
