"""Calibration of predicted standard deviations as a page and as CSV."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from crystalbench.evaluation.calibration import COVERAGE, LEVELS
from crystalbench.reports.files import write_frame
from crystalbench.reports.formatting import MISSING, axis_title, format_spec, markdown_table, percent_text, short_digest

JUDGED_AT = 0.9
"""Nominal level of the verdicts."""

INTRODUCTION = (
    "Entries that predict a standard deviation, read as that of a normal distribution around the prediction; means "
    "over the official folds. Coverage is the share of targets (in %) in the central interval of the level in the "
    "heading. The area is that between nominal and observed coverage (0 is perfect, 0.5 the worst). Std / RMSE is the "
    "root mean square of the standard deviations over that of the errors. Rank correlation is that of standard "
    "deviation and absolute error: whether larger ones point to larger errors. CRPS is the continuous ranked "
    "probability score, NLL the negative log-likelihood in nats, which is infinite if a standard deviation is 0. In "
    "parentheses, 95 % intervals of the corrected t-test over the folds; `calibration.csv` has those of all quantities."
)


def calibration_markdown(frame: pd.DataFrame) -> str:
    """A page with a table and a line in words about each entry for each task.

    Args:
        frame: the frame of `crystalbench.evaluation.calibration.calibration`.
    """
    lines = ["# Calibration", "", INTRODUCTION]
    for (task, data), group in frame.groupby(["task", "data"], sort=True):
        unit = next((unit for unit in group["unit"] if unit), "")
        header = ["model", *(f"{100 * level:.0f} %" for level in LEVELS)]
        header += ["area", "std / RMSE", "rank correlation", axis_title("CRPS", unit), "NLL", "folds"]
        entries = [entry for _, entry in group.groupby("model", sort=True)]
        several = len(frame.loc[frame["task"] == task, "data"].unique()) > 1
        heading = f"## {task}, data {short_digest(str(data))}" if several else f"## {task}"
        lines += ["", heading, "", *markdown_table(header, [_row(entry) for entry in entries]), ""]
        lines += [f"- {calibration_text(entry)}" for entry in entries]
    return "\n".join(lines) + "\n"


def _row(entry: pd.DataFrame) -> list[str]:
    coverage = entry[entry["quantity"] == COVERAGE].set_index("level")["value"]
    value = entry[entry["quantity"] != COVERAGE].set_index("quantity")["value"]
    others = [_number(value[name]) for name in ("miscalibration_area", "std_over_error", "rank_correlation")]
    scores = [_number(value[name]) for name in ("crps", "negative_log_likelihood")]
    cells = [f"{100 * coverage[level]:.1f}" for level in LEVELS]
    return [str(entry["model"].iloc[0]), *cells, *others, *scores, str(entry["folds"].iloc[0])]


def _number(value: float) -> str:
    if math.isnan(value):
        return MISSING
    return f"{value:{format_spec(abs(value))}}".replace("inf", "∞").replace("-", "−")


def calibration_text(entry: pd.DataFrame) -> str:
    """Whether the intervals of an entry cover what they should, and whether its standard deviations point to errors.

    Args:
        entry: the rows of one entry in the frame of `crystalbench.evaluation.calibration.calibration`.
    """
    model = str(entry["model"].iloc[0])
    judged = entry[(entry["quantity"] == COVERAGE) & (entry["level"] == JUDGED_AT)].iloc[0]
    value, low, high = (float(judged[name]) for name in ("value", "low", "high"))
    found = f"{model}: {100 * JUDGED_AT:.0f} % intervals cover {percent_text(value, low, high)}"
    if math.isnan(low):
        verdict = "a single fold says little"
    elif high < JUDGED_AT:
        verdict = "too narrow"
    elif low > JUDGED_AT:
        verdict = "too wide"
    else:
        verdict = f"no resolved difference from {100 * JUDGED_AT:.0f} %"
    certain = float(entry.loc[entry["quantity"] == "certain", "value"].iloc[0])
    if certain > 0:
        verdict += f"; for {100 * certain:.1f} % of the rows, the standard deviation is 0"
    return f"{found}, {verdict}."


def write_calibration(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Write ``calibration.csv`` and ``calibration.md``; nothing if no entry predicts standard deviations.

    Raises:
        CrystalBenchError: the folder cannot be written.
    """
    return write_frame("calibration", frame, folder, calibration_markdown(frame)) if len(frame) else []
