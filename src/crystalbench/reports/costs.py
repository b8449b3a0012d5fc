"""What the entries of a board cost, for Markdown."""

from __future__ import annotations

import math

import pandas as pd

from crystalbench.evaluation.board import Board
from crystalbench.evaluation.costs import costs_frame
from crystalbench.reports.formatting import format_spec, markdown_table, metric_title
from crystalbench.reports.timing import APPROXIMATE
from crystalbench.targets import METRICS, Metric

TITLES = (
    "featurise (s)",
    "fit (s)",
    "predict (s)",
    "memory (MB)",
    "parameters",
    "device",
    "hardware",
    "Pareto-optimal",
)


def explanation(board: Board) -> str:
    """What the table of `cost_table` contains, and which entries are Pareto-optimal."""
    frame = costs_frame(board)
    found = frame[frame["pareto"].fillna(False)].sort_values("fit_seconds", kind="stable")
    text = (
        "Costs of our entries: seconds to compute the representations of all rows (once, then they are cached), to fit "
        "a fold and to predict its test part, means over the runs; largest memory of a run."
    )
    if found.empty:
        return text
    label = METRICS[board.metric].label
    names = ", ".join(found["model"])
    unsure = "" if frame["comparable"].all() else f" Seconds marked {APPROXIMATE} are not comparable with the others."
    return f"{text} Pareto-optimal in {label} against seconds of the fit, fastest first: {names}.{unsure}"


def cost_table(board: Board) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of a table of the costs of our entries, best entry first; no rows if there are none."""
    metric = METRICS[board.metric]
    titles = ["model", metric_title(metric, board.unit), *TITLES]
    rows = []
    for row in costs_frame(board).to_dict("records"):
        about = "" if row["comparable"] else APPROXIMATE
        rows.append(
            [
                row["model"],
                _score(row["score"], metric),
                *(f"{about}{_seconds(row[name])}" for name in ("featurise_seconds", "fit_seconds", "predict_seconds")),
                f"{row['memory_mb']:,.0f}",
                "" if pd.isna(row["parameters"]) else f"{row['parameters']:,}",
                row["device"],
                row["hardware"],
                "yes" if row["pareto"] is True else "",
            ]
        )
    return titles, rows


def _score(value: float, metric: Metric) -> str:
    if math.isnan(value):
        return "undefined"
    return f"{value:{format_spec(abs(value), best_is_one=metric.higher_is_better)}}"


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value >= 1 else f"{value:.2g}"


def costs_markdown(board: Board) -> list[str]:
    """Lines of the table with its explanation; none without entries of ours."""
    titles, rows = cost_table(board)
    return ["", explanation(board), "", *markdown_table(titles, rows)] if rows else []
