"""Learning curves as a page and as CSV."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from crystalbench._files import write_text
from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.learning_curves import curve_fits
from crystalbench.reports.formatting import MISSING, format_spec, markdown_table, metric_title
from crystalbench.targets import METRICS, OFFICIAL

INTRODUCTION = (
    "Scores on the fixed test parts after learning from a fraction of the training part, with the number of rows to "
    "learn from. On official folds, brackets hold the 95 % t interval over the folds; on other folds, scores are "
    "pooled over the samples of all folds. The power law a · n^−b is fitted to the logarithms of the scores (of 1 − "
    "score where 1 is the best), with the standard error of the exponent; a constant is added only if it is resolved."
)


def curves_markdown(curves: pd.DataFrame) -> str:
    """A page with a table for each task and fold scheme: a row for each entry, a column for each fraction.

    Args:
        curves: the frame of `crystalbench.evaluation.learning_curves.learning_curves`.
    """
    lines = ["# Learning curves", "", INTRODUCTION]
    for (task, scheme), group in curves.groupby(["task", "fold_scheme"]):
        metric, unit = METRICS[group["metric"].iloc[0]], str(group["unit"].iloc[0])
        fractions = sorted(group["fraction"].unique())
        title = metric_title(metric, unit)
        rows = []
        for points, law in curve_fits(group):
            cells = {row["fraction"]: _cell(row, metric.higher_is_better) for row in points.to_dict("records")}
            name = str(points["model"].iloc[0])
            rows.append([name, *(cells.get(f, MISSING) for f in fractions), MISSING if law is None else str(law)])
        folds = "" if scheme == OFFICIAL else f", folds: {scheme}"
        pooled = "" if scheme == OFFICIAL else "pooled "
        header = ["model", *(f"{fraction:g}" for fraction in fractions), "power law"]
        lines += ["", f"## {task}{folds}", "", f"{pooled}{title} by fraction of the training part:", ""]
        lines += markdown_table(header, rows)
    return "\n".join(lines) + "\n"


def _cell(point: Mapping[Hashable, Any], best_is_one: bool) -> str:
    spec = format_spec(abs(point["score"]), best_is_one=best_is_one)
    interval = "" if math.isnan(point["low"]) else f" [{point['low']:{spec}}, {point['high']:{spec}}]"
    return f"{point['score']:{spec}}{interval}, n = {point['rows']:,}"


def write_learning_curves(curves: pd.DataFrame, folder: Path) -> list[Path]:
    """Write ``learning_curves.csv`` and ``learning_curves.md``.

    Raises:
        CrystalBenchError: the folder cannot be written.
    """
    table = curves.to_csv(index=False, float_format="%.8g", lineterminator="\n")
    files = {"learning_curves.csv": table, "learning_curves.md": curves_markdown(curves)}
    try:
        for name, text in files.items():
            write_text(folder / name, text)
    except OSError as error:
        raise CrystalBenchError(f"{folder}: learning curves cannot be written ({error.strerror or error})") from error
    return [folder / name for name in files]
