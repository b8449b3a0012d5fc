"""A page per board: the ranking with tiers, tests of all pairs, predictions, slices and learning curves."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from crystalbench.data.elements import SYMBOLS
from crystalbench.errors import UnknownNameError
from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.reports.boards import heading, marks, places
from crystalbench.reports.formatting import (
    folds_text,
    format_spec,
    full_title,
    metric_title,
    optional,
    rows_text,
    score_text,
)
from crystalbench.reports.kinds import kind_table
from crystalbench.reports.notes import notes
from crystalbench.reports.site import charts
from crystalbench.reports.site.content import Content, Predicted
from crystalbench.reports.site.deviations import deviations, deviations_note
from crystalbench.reports.site.pages.page import Page, chart_dict
from crystalbench.reports.site.pages.uncertainty import ceiling, uncertainty
from crystalbench.reports.timing import seconds_text
from crystalbench.targets import METRICS, Kind

SHOWN_MODELS = 12
"""Entries in figures of predictions, best first."""


def task_pages(content: Content) -> list[Page]:
    """One page per board."""
    return [_page(content, k) for k in range(len(content.boards))]


def _page(content: Content, k: int) -> Page:
    board = content.boards[k]
    known = content.predicted[k][:SHOWN_MODELS]
    regression = board.kind == Kind.REGRESSION
    parity = charts.parity_chart(board, known, content.formulas(board)) if regression else None
    drawn = chart_dict(
        standing=charts.standing_chart(board),
        pairs=charts.pair_chart(board),
        parity=None if parity is None else parity[0],
        errors=charts.error_chart(board, known) if regression else None,
        roc=charts.roc_chart(known) if board.kind == Kind.BINARY else None,
        curve=_curve(content, board),
        costs=charts.cost_chart(board),
    )
    titles, best = kind_table(board)
    values = {
        "heading": heading(board),
        "description": description(board.task),
        "rows": rows_text(board),
        "metric": metric_title(METRICS[board.metric], board.unit),
        "metrics": [metric_title(metric, board.unit) for metric in board.metrics],
        "higher_is_better": board.higher_is_better,
        "entries": _entries(content, board),
        "far": [full_title(e) for e in board.entries if board.is_ranked(e) and charts.is_far(board, e)],
        "kind_titles": titles[:-1],
        "kind_rows": [row[:-1] for row in best],
        "notes": [*notes(board), *deviations_note(content, board)],
        "shown": None if parity is None else parity[1:],
        "slices": _slices(content, board, known),
        "elements": _elements(content, board, known),
        "uncertainty": uncertainty(content, board),
        "ceiling": ceiling(content, board),
    }
    return Page(content.links.boards[k], "task.html", board.task, values, drawn)


def description(task: str) -> str:
    """The description of a task; empty if it is not registered."""
    from crystalbench.tasks import get_task_spec

    try:
        return get_task_spec(task).description
    except UnknownNameError:
        return ""


def _entries(content: Content, board: Board) -> list[dict[str, Any]]:
    found = []
    for entry, place, rank in zip(board.entries, board.standings, places(board), strict=True):
        found.append(
            {
                "rank": rank,
                "tier": None if place is None else place.tier,
                "ranks": "" if place is None else f"{place.rank_low}–{place.rank_high}",
                "title": full_title(entry),
                "marks": marks(board, entry),
                "deviations": deviations(content, entry),
                "link": content.links.model(entry),
                "kind": entry.sees,
                "scores": [
                    {"text": score_text(entry, metric), "value": _mean(entry, metric.name)} for metric in board.metrics
                ],
                "folds": folds_text(entry, board.folds_total),
                "seconds": seconds_text(board, entry),
                "fit": entry.fit_seconds,
                "parameters": optional(entry.parameters, ","),
                "size": entry.parameters,
                "source": entry.source,
                "ours": entry.source == OURS,
            }
        )
    return found


def _mean(entry: Entry, metric: str) -> float | None:
    score = entry.scores.get(metric)
    return None if score is None else score.mean


def _curve(content: Content, board: Board) -> charts.Chart | None:
    from crystalbench.reports.plots import curve_figure

    mine = content.curves
    if len(mine):
        mine = mine[(mine["task"] == board.task) & (mine["fold_scheme"] == board.fold_scheme)]
    if not len(mine):
        return None
    figure = json.loads(curve_figure(mine).to_json())
    layout = {name: part for name, part in figure["layout"].items() if name not in ("template", "title")}
    return {"kind": "plotly", "data": figure["data"], "layout": layout | {"height": 450}}


def _slices(content: Content, board: Board, known: Predicted) -> dict[str, Any] | None:
    """The slices of a board as a table: a row per slice and value, a column per entry; None if there are none."""
    frame = _slice_frame(content, board)
    frame = frame[frame["slice"] != "element"] if len(frame) else frame
    names = [full_title(entry) for entry, _ in known if len(frame) and (frame["model"] == full_title(entry)).any()]
    if not names:
        return None
    mean = {name: frame.loc[(frame["model"] == name) & (frame["slice"] == "all"), "mae"].mean() for name in names}
    rows = []
    for (kind, value), group in frame.groupby(["slice", "value"], sort=False):
        if kind == "all":
            continue
        by_name = {str(row["model"]): row for row in group.to_dict("records")}
        rows.append(
            {
                "slice": str(kind).replace("_", " "),
                "value": str(value),
                "rows": int(group["rows"].max()),
                "cells": [_slice_cell(by_name.get(name), mean[name]) for name in names],
            }
        )
    return {"names": names, "rows": rows}


def _slice_cell(row: dict[Any, Any] | None, mean: float) -> dict[str, Any] | None:
    if row is None or pd.isna(row["mae"]):
        return None
    spec = format_spec(abs(row["mae"]))
    interval = "" if pd.isna(row["low"]) else f"{row['low']:{spec}} to {row['high']:{spec}}"
    worse = not pd.isna(row["low"]) and row["low"] > mean
    better = not pd.isna(row["high"]) and row["high"] < mean
    side = "worse" if worse else "better" if better else ""
    return {"text": f"{row['mae']:{spec}}", "interval": interval, "value": float(row["mae"]), "side": side}


def _elements(content: Content, board: Board, known: Predicted) -> dict[str, Any] | None:
    """Mean errors by element for the periodic table, by entry; None if there are none."""
    frame = _slice_frame(content, board)
    frame = frame[frame["slice"] == "element"] if len(frame) else frame
    if not len(frame):
        return None
    models = {}
    for entry, _ in known:
        mine = frame[(frame["model"] == full_title(entry)) & frame["mae"].notna()]
        if len(mine):
            models[full_title(entry)] = {
                str(row["value"]): [float(f"{row['mae']:.4g}"), int(row["rows"])] for row in mine.to_dict("records")
            }
    return {"models": models, "cells": periodic_cells(), "unit": board.unit} if models else None


def periodic_cells() -> list[dict[str, Any]]:
    """Symbol, name, row and column of the elements in the periodic table of 18 columns."""
    from pymatgen.core import Element

    cells = []
    for symbol in SYMBOLS[1:]:
        element = Element(symbol)
        row, column = element.row, element.group
        if element.is_lanthanoid or element.is_actinoid:  # below the others, with an empty row between
            row, column = row + 3, 3 + element.Z - (57 if element.is_lanthanoid else 89)
        cells.append({"symbol": symbol, "name": element.long_name, "row": row, "column": column})
    return cells


def _slice_frame(content: Content, board: Board) -> pd.DataFrame:
    frame = content.table("slices")
    if not len(frame) or not board.is_official:
        return pd.DataFrame()
    return frame[frame["task"] == board.task]
