"""What the page of a task says about predicted standard deviations, conformal intervals and the composition ceiling."""

from __future__ import annotations

from typing import Any

import pandas as pd

from crystalbench.evaluation.board import Board
from crystalbench.reports.formatting import format_spec
from crystalbench.reports.site.content import Content

LEVEL = 0.9
"""Nominal level of the intervals that are shown."""


def uncertainty(content: Content, board: Board) -> list[dict[str, Any]]:
    """A row per entry and method of intervals: coverage, width, the slice that is covered least, and calibration."""
    frame = _of(content.table("conformal"), board)
    if frame.empty:
        return []
    frame = frame[(frame["level"] - LEVEL).abs() < 1e-9]
    calibration = _of(content.table("calibration"), board)
    rows = []
    for (model, method), mine in frame.groupby(["model", "method"], sort=False):
        everyone = mine[mine["slice"] == "all"]
        if everyone.empty:
            continue
        row = everyone.iloc[0]
        low = mine[mine["high"] < LEVEL].sort_values("coverage", kind="stable")
        rows.append(
            {
                "model": str(model),
                "method": str(method),
                "coverage": _percent(row["coverage"], row["low"], row["high"]),
                "width": f"{row['width']:{format_spec(abs(row['width']))}}",
                "size": float(row["width"]),
                "least": "" if low.empty else _least(low.iloc[0]),
                **_calibration(calibration, str(model)),
            }
        )
    return rows


def ceiling(content: Content, board: Board) -> list[dict[str, Any]]:
    """The bounds for models of the composition, in the main metric or the one that it follows from."""
    frame = _of(content.table("ceiling"), board)
    if frame.empty:
        return []
    metric = "balanced_accuracy" if board.metric.startswith("rocauc") else board.metric
    rows = []
    for row in frame[frame["metric"] == metric].to_dict("records"):
        spec = format_spec(abs(row["value"]))
        interval = "" if pd.isna(row["low"]) else f"{row['low']:{spec}} to {row['high']:{spec}}"
        best = "" if pd.isna(row["model"]) else f"{row['model']}: {row['score']:{spec}}"
        rows.append(
            {
                "part": str(row["part"]),
                "bound": str(row["bound"]).replace("_", " "),
                "value": f"{row['value']:{spec}}",
                "interval": interval,
                "rows": int(row["rows"]),
                "best": best,
            }
        )
    return rows


def _of(frame: pd.DataFrame, board: Board) -> pd.DataFrame:
    if frame.empty or not board.is_official:
        return pd.DataFrame()
    mine = frame[frame["task"] == board.task]
    return mine[mine["data"] == board.data] if "data" in mine else mine


def _percent(value: float, low: float, high: float) -> str:
    interval = "" if pd.isna(low) else f" ({100 * low:.0f} to {100 * high:.0f})"
    return f"{100 * value:.0f} %{interval}"


def _least(row: pd.Series[Any]) -> str:
    return f"{str(row['slice']).replace('_', ' ')} {row['value']}: {100 * row['coverage']:.0f} %"


def _calibration(frame: pd.DataFrame, model: str) -> dict[str, str]:
    """Coverage of the predicted 90 % intervals, and rank correlation; empty without standard deviations."""
    if frame.empty:
        return {"sigma": "", "order": ""}
    mine = frame[frame["model"] == model]
    coverage = mine[(mine["quantity"] == "coverage") & ((mine["level"] - LEVEL).abs() < 1e-9)]["value"]
    order = mine[mine["quantity"] == "rank_correlation"]["value"]
    return {
        "sigma": "" if coverage.empty else f"{100 * coverage.iloc[0]:.0f} %",
        "order": "" if order.empty else f"{order.iloc[0]:.2f}",
    }
