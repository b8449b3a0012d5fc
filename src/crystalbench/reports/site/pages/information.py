"""What models know: the information matrix, where skill comes from, invariances, and descriptors."""

from __future__ import annotations

from typing import Any

import pandas as pd

from crystalbench.reports.site.content import Content
from crystalbench.reports.site.pages.knowledge import descriptor_part, readout_part, refinement_part
from crystalbench.reports.site.pages.page import Page

_OF_TASKS = ("information", "information_sources", "invariance", "descriptors", "refinement")
"""Tables with a column ``task``."""


def information_pages(content: Content) -> list[Page]:
    """The page ``information.html``: a section per task, from the tables of probes, and what other probes found."""
    frames = {name: content.table(name) for name in _OF_TASKS}
    tasks = sorted({str(task) for frame in frames.values() if len(frame) for task in frame["task"].unique()})
    sections = [
        {
            "task": task,
            "matrix": _matrix(_of(frames["information"], task)),
            "sources": _sources(_of(frames["information_sources"], task)),
            "drifts": _drifts(_of(frames["invariance"], task)),
            "descriptors": descriptor_part(_of(frames["descriptors"], task)),
            "refinement": refinement_part(_of(frames["refinement"], task)),
        }
        for task in tasks
    ]
    values = {
        "tasks": sections,
        "readout": readout_part(content.table("readout")),
        "probed": dict(content.probed),
    }
    return [Page("information.html", "information.html", "What models know", values, {})]


def _of(frame: pd.DataFrame, task: str) -> pd.DataFrame:
    return frame[frame["task"] == task] if len(frame) else frame


def _matrix(rows: pd.DataFrame) -> dict[str, Any] | None:
    """Skill by model and view, with its interval; None without rows."""
    if rows.empty:
        return None
    views = list(dict.fromkeys(rows["view"]))
    models = list(dict.fromkeys(rows["model"]))
    cells = {(row["model"], row["view"]): row for row in rows.to_dict("records")}
    return {
        "views": views,
        "rows": [{"model": model, "cells": [_skill(cells.get((model, view))) for view in views]} for model in models],
    }


def _skill(row: dict[Any, Any] | None) -> dict[str, Any] | None:
    if row is None or pd.isna(row["skill"]):
        return None
    skill = float(row["skill"])
    interval = "" if pd.isna(row["low"]) else f"{row['low']:.2f} to {row['high']:.2f}"
    return {"text": f"{skill:.2f}", "interval": interval, "shade": min(max(int(skill * 5), 0), 4)}


def _sources(rows: pd.DataFrame) -> dict[str, Any] | None:
    """The skill from each kind of information, in each chain of views; None without rows."""
    if rows.empty:
        return None
    kinds, chains = (list(dict.fromkeys(rows[name])) for name in ("information", "chain"))
    found = {(row["model"], row["information"], row["chain"]): row for row in rows.to_dict("records")}
    return {
        "kinds": kinds,
        "chains": chains,
        "rows": [
            {
                "model": model,
                "cells": [[_skill(found.get((model, kind, chain))) for chain in chains] for kind in kinds],
            }
            for model in dict.fromkeys(rows["model"])
        ],
    }


def _drifts(rows: pd.DataFrame) -> dict[str, Any] | None:
    """Mean drift of predictions in units of the model's error, by model and transformation; None without rows."""
    if rows.empty:
        return None
    transforms = list(dict.fromkeys(rows["transform"]))
    cells = {(row["model"], row["transform"]): row for row in rows.to_dict("records")}
    return {
        "transforms": transforms,
        "rows": [
            {"model": model, "cells": [_drift(cells.get((model, transform))) for transform in transforms]}
            for model in dict.fromkeys(rows["model"])
        ],
    }


def _drift(row: dict[Any, Any] | None) -> dict[str, Any] | None:
    if row is None or pd.isna(row["relative_to_error"]):
        return None
    share = float(row["relative_to_error"])
    text = "< 0.1 %" if share < 1e-3 else f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"
    limits = (0.001, 0.01, 0.1, 0.5)
    return {"text": text, "drift": f"{row['drift']:.3g}", "shade": sum(share > limit for limit in limits)}
