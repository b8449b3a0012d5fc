"""The audit of invariances as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.reports.formatting import MISSING, number_text
from crystalbench.reports.sections import Section
from crystalbench.targets import OFFICIAL

NOTICED = 0.01
"""A drift of this share of the error, for a transformation that changes nothing, is named."""

GROWS = 0.05
"""Predictions grow with the cell if this share at most of the drift remains per atom."""

TITLES = ("transformation", "drift", "in errors", "largest", "changed by > 1 %", "worst crystal", "before", "after")


def invariance_sections(table: pd.DataFrame) -> list[Section]:
    """For each task and model a table of the drifts, with sentences.

    Args:
        table: as of `crystalbench.evaluation.invariance.invariance`.
    """
    sections = []
    for name, mine in table.groupby(["task", "model", "view", "fold_scheme", "rows"], sort=False):
        task, model, view, scheme, rows = cast(tuple[Any, ...], name)
        first = _records(mine)[0]
        unit = f" {first['unit']}" if first["unit"] else ""
        details = [f"{rows:,} rows", f"view {view}" * (view != FULL), f"folds {scheme}" * (scheme != OFFICIAL)]
        heading = f"{model} on {task} ({', '.join(filter(None, details))})"
        counts = f"{first['crystals']:,} test crystals, folds: {first['folds']}, seeds: {first['seeds']}"
        lines = [f"Error: {first['error']:.4g}{unit} ({counts}). Drift: mean absolute change of a prediction."]
        rows_of = [_cells(row) for row in _records(mine)]
        sections.append(Section(heading, TITLES, rows_of, [*lines, *_words(mine)]))
    return sections


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        str(row["transform"]),
        _number(row["drift"]),
        _number(row["relative_to_error"]),
        _number(row["max"]),
        f"{100 * row['share_beyond']:.0f} %",
        f"{row['max_id']} {row['max_formula']}" if row["max"] > 0 else MISSING,
        number_text(row["max_before"]).replace("-", "−") if row["max"] > 0 else MISSING,
        number_text(row["max_after"]).replace("-", "−") if row["max"] > 0 else MISSING,
    ]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(map(str, table), row, strict=True)) for row in table.itertuples(index=False)]


def _number(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:.3g}".replace("-", "−")


def _words(mine: pd.DataFrame) -> list[str]:
    drifting, growing, still = [], [], []
    for row in _records(mine[mine["expected"] == "unchanged"]):
        if not row["relative_to_error"] > NOTICED:
            still.append(row["transform"])
        elif not math.isnan(row["drift_per_atom"]) and row["drift_per_atom"] <= GROWS * row["drift"]:
            growing.append(row["transform"])
        else:
            drifting.append(f"{row['transform']} ({100 * row['relative_to_error']:.0f} % of the error)")
    lines = []
    if drifting:
        lines.append(f"Depends on what has no meaning: {', '.join(drifting)}.")
    if growing:
        lines.append(f"Grows with the cell, right for a property of the cell only: {', '.join(growing)}.")
    if still:
        lines.append(f"Unchanged within 1 % of the error: {', '.join(still)}.")
    return lines
