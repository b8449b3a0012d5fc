"""Parts of the page of information: descriptors that models know, and crystals that distances cannot tell apart."""

from __future__ import annotations

from typing import Any

import pandas as pd

from crystalbench.reports.descriptors import TITLES, columns_of, sentences, undefined
from crystalbench.reports.readout import readout_sections


def descriptor_part(rows: pd.DataFrame) -> dict[str, Any] | None:
    """R² by descriptor, model and mode with intervals, and what each model knows in words; None without rows.

    Args:
        rows: of one task, as of `crystalbench.evaluation.descriptors.descriptors`.
    """
    if rows.empty:
        return None
    columns = columns_of(rows)
    cells = {(row["descriptor"], row["model"], row["mode"]): row for row in rows.to_dict("records")}
    first = rows.drop_duplicates("descriptor")
    return {
        "columns": [{"model": model, "mode": TITLES[mode]} for model, mode in columns],
        "rows": [
            {
                "descriptor": name,
                "kind": kind,
                "cells": [_score(cells.get((name, model, mode))) for model, mode in columns],
            }
            for name, kind in zip(first["descriptor"], first["kind"], strict=True)
        ],
        "words": [*sentences(rows), *undefined(rows)],
    }


def refinement_part(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Counts of pairs of crystals, by number of neighbours.

    Args:
        rows: of one task, as of `crystalbench.evaluation.refinement.refinement`.
    """
    names = ("neighbours", "tolerance", "pairs", "other_space_group", "rows")
    return [
        {name: f"{row[name]:,}" for name in names} | {"examples": "" if pd.isna(row["examples"]) else row["examples"]}
        for row in rows.to_dict("records")
    ]


def readout_part(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Tables of texts of the controls of the readout, with the verdict.

    Args:
        table: as of `crystalbench.evaluation.readout.readout`.
    """
    if table.empty:
        return []
    sections = readout_sections(table.fillna({"readout": ""}))  # a CSV file has no empty texts
    return [{"heading": s.heading, "titles": s.titles, "rows": s.rows, "lines": s.lines} for s in sections]


def _score(row: dict[Any, Any] | None) -> dict[str, Any] | None:
    if row is None or pd.isna(row["r2"]):
        return None
    r2 = float(row["r2"])
    interval = "" if pd.isna(row["low"]) else f"{row['low']:z.2f} to {row['high']:z.2f}"
    return {"text": f"{r2:z.2f}", "interval": interval, "shade": min(max(int(r2 * 5), 0), 4)}
