"""Conformal intervals as a page: coverage of all rows, and the slices that are covered less."""

from __future__ import annotations

from typing import Any

import pandas as pd

from crystalbench.reports.formatting import axis_title, format_spec, markdown_table, percent_text

FEWEST_ROWS = 20
"""Slices with fewer rows are not named on the page."""

MOST_SLICES = 6
"""Number of slices that are named for an entry."""

INTRODUCTION = (
    "Intervals around the predictions of each fold that are calibrated on the errors of the other folds: `plain` ones "
    "of one width, and `normalised` ones in proportion to the predicted standard deviation. Over all rows they cover "
    "what they should, almost by construction; what a model does not know shows in their width, and in groups of rows "
    f"that they cover less. Named are up to {MOST_SLICES} slices of at least {FEWEST_ROWS} rows whose coverage is "
    "below the nominal level with its whole 95 % interval (bootstrap over formulas). Of many slices, a few are below "
    "by chance. `conformal.csv` has all of them."
)


def conformal_markdown(frame: pd.DataFrame) -> str:
    """A page with a table for each task.

    Args:
        frame: the frame of `crystalbench.evaluation.conformal.conformal`, of one or several tasks.
    """
    lines = ["# Conformal intervals", "", INTRODUCTION]
    for task, group in frame.groupby("task", sort=True):
        level, unit = float(group["level"].iloc[0]), str(group["unit"].iloc[0])
        rows = []
        for (model, method), entry in group.groupby(["model", "method"], sort=False):
            whole = entry[entry["slice"] == "all"].iloc[0]
            width = f"{whole['width']:{format_spec(whole['width'])}}"
            less = "; ".join(_slice_text(line) for _, line in under_covered(entry).iterrows())
            rows.append([str(model), str(method), _coverage_text(whole), width, less])
        header = ["model", "intervals", "coverage", axis_title("mean width", unit), "covered less"]
        lines += ["", f"## {task}, {100 * level:g} %", "", *markdown_table(header, rows)]
    return "\n".join(lines) + "\n"


def under_covered(entry: pd.DataFrame) -> pd.DataFrame:
    """The slices of an entry and method that are covered less than the nominal level, lowest coverage first."""
    below = entry[(entry["high"] < entry["level"]) & (entry["rows"] >= FEWEST_ROWS)]
    return below.sort_values("coverage", kind="stable").head(MOST_SLICES)


def _slice_text(line: pd.Series[Any]) -> str:
    return f"{str(line['slice']).replace('_', ' ')} {line['value']}: {_coverage_text(line)}"


def _coverage_text(line: pd.Series[Any]) -> str:
    return percent_text(float(line["coverage"]), float(line["low"]), float(line["high"]))
