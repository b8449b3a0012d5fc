"""The audit of invariances as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from crystalbench.reports.formatting import MISSING, number_text, size_text
from crystalbench.reports.sections import Cell, Section, with_views

NOTICED = 0.01
"""A drift of this share of the error, for a transformation that changes nothing, is named."""

GROWS = 0.05
"""Predictions grow with the cell if this share at most of the drift remains per atom."""

SHADES = (0.001, 0.01, 0.1, 0.5)
"""Shares of the error from which on a drift is coloured more strongly."""

EXPLANATION = (
    "Drift is the mean absolute change of a prediction if the same crystal is described in another way, or its atoms "
    "are displaced, here as a share of the model's own error. Another description should change nothing."
)
TITLES = ("transformation", "drift", "in errors", "largest", "changed by > 1 %", "worst crystal", "before", "after")


def invariance_sections(table: pd.DataFrame) -> list[Section]:
    """For each task a table of the drifts of all models, with sentences; then the details of each model.

    Args:
        table: as of `crystalbench.evaluation.invariance.invariance`.
    """
    sections = []
    for _, board in with_views(table).groupby(["task", "fold_scheme", "rows"], sort=False):
        first: Any = board.iloc[0]
        task = f"{first['task']} ({size_text(first)})"
        models = [mine.to_dict("records") for _, mine in board.groupby("model", sort=False)]
        lines = [line for rows in models for line in _words(rows)]
        drifts = board.rename(columns={"transform": "transformation"})
        heading = f"{task}: drift of predictions"
        sections.append(Section.crossed(heading, drifts, "transformation", "model", _drift, [*lines, EXPLANATION]))
        sections += [_detail(task, rows) for rows in models]
    return sections


def _detail(task: str, rows: Sequence[Mapping[Any, Any]]) -> Section:
    """All numbers of one model."""
    first = rows[0]
    unit = f" {first['unit']}" if first["unit"] and pd.notna(first["unit"]) else ""
    counts = f"{first['crystals']:,} test crystals, folds: {first['folds']}, seeds: {first['seeds']}"
    line = f"Error: {first['error']:.4g}{unit} ({counts}). Drift: mean absolute change of a prediction."
    return Section(f"{first['model']} on {task}", TITLES, list(map(_cells, rows)), [line], detail=True)


def _drift(row: Mapping[Any, Any]) -> str | Cell:
    share = float(row["relative_to_error"])
    if math.isnan(share):
        return MISSING
    text = "< 0.1 %" if share < 1e-3 else f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"
    return Cell(text, shade=-sum(share > limit for limit in SHADES))


def _cells(row: Mapping[Any, Any]) -> list[str]:
    worst = [MISSING] * 3
    if row["max"] > 0:
        values = [number_text(row[name]).replace("-", "−") for name in ("max_before", "max_after")]
        worst = [f"{row['max_id']} {row['max_formula']}", *values]
    return [
        str(row["transform"]),
        _number(row["drift"]),
        _number(row["relative_to_error"]),
        _number(row["max"]),
        f"{100 * row['share_beyond']:.0f} %",
        *worst,
    ]


def _number(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:.3g}".replace("-", "−")


def _words(rows: Sequence[Mapping[Any, Any]]) -> list[str]:
    model = rows[0]["model"]
    drifting, growing, still = [], [], []
    for row in rows:
        if row["expected"] != "unchanged":
            continue
        if not row["relative_to_error"] > NOTICED:
            still.append(row["transform"])
        elif not math.isnan(row["drift_per_atom"]) and row["drift_per_atom"] <= GROWS * row["drift"]:
            growing.append(row["transform"])
        else:
            drifting.append(f"{row['transform']} ({100 * row['relative_to_error']:.0f} % of the error)")
    lines = []
    if drifting:
        lines.append(f"{model} depends on what has no meaning: {', '.join(drifting)}.")
    if growing:
        lines.append(f"{model} grows with the cell, right for a property of the cell only: {', '.join(growing)}.")
    if still:
        lines.append(f"{model} is unchanged within 1 % of the error: {', '.join(still)}.")
    return lines
