"""Conformal intervals: how wide intervals around predictions must be, and where they cover less than they should.

The errors of an entry on the test parts of the other folds calibrate the intervals of a fold. `docs/uncertainty.md`
says what is guaranteed by this, and what is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd

from crystalbench.evaluation.calibration import ROUND_OFF
from crystalbench.evaluation.columns import require_columns
from crystalbench.evaluation.group_means import DRAWS, Floats, group_means
from crystalbench.evaluation.slices import TaskRows, entries_of, groups_of, row_means
from crystalbench.targets import Kind

COLUMNS = ("task", "model", "method", "level", "slice", "value", "rows", "coverage", "low", "high", "width", "unit")
"""Columns of a frame of conformal intervals and of ``conformal.csv``."""

PREDICTION_COLUMNS = (
    "task",
    "data",
    "model",
    "kind",
    "unit",
    "configuration",
    "fold",
    "seed",
    "id",
    "target",
    "prediction",
    "std",
)

PLAIN, NORMALISED = "plain", "normalised"

LEVEL = 0.9
"""Nominal level of the intervals."""

OFFSET = 0.1
"""This share of the mean standard deviation is added to each, so that intervals around a standard deviation of 0 have a
width."""

_Intervals: TypeAlias = tuple[pd.DataFrame, Floats]


def conformal(
    predictions: pd.DataFrame,
    rows: TaskRows,
    names: Mapping[str, str] | None = None,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> pd.DataFrame:
    """Coverage and width of conformal intervals on every slice of a task.

    ``plain`` intervals are prediction ± q, where q is the quantile of `quantile` of the absolute errors on the other
    folds. ``normalised`` ones, of entries with standard deviations σ, are prediction ± q (σ + b), where errors are
    divided by σ + b, and b is the share `OFFSET` of the mean σ on the other folds. Runs of each seed are calibrated
    separately. Classification has no intervals.

    Args:
        predictions: one row per predicted sample (see `crystalbench.results.frames.predictions_frame`). Those of other
            tasks, and of other rows of this task, do not count.
        rows: facts of the rows.
        names: names of entries by configuration; the name of the model by default.
        level: nominal level of the intervals, between 0 and 1.
        draws: number of bootstrap samples.

    Returns:
        A frame with the columns `COLUMNS`, sorted by model, method, slice and value (see
        `crystalbench.evaluation.slices.slices`). ``rows`` is the number of rows with an interval, ``coverage`` the
        share of targets within it, ``width`` its mean width in the unit of the target. ``low`` and ``high`` are the
        limits of a 95 % interval of the coverage over formulas, NaN for rows of a single formula. Folds for which the
        other folds of a seed have too few rows have no intervals.

    Raises:
        DataError: the frame lacks a column, or an id is not one of the task.
        ValueError: the level is not between 0 and 1.
    """
    require_columns(predictions, PREDICTION_COLUMNS, "predictions")
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: must be between 0 and 1")
    groups = groups_of(rows)
    values: dict[tuple[str, str, str], Floats] = {}
    units: dict[str, str] = {}
    for name, part in entries_of(predictions[predictions["kind"] == Kind.REGRESSION], rows, names):
        units[name] = str(part["unit"].iloc[0])
        for method in (PLAIN, NORMALISED):
            half = half_widths(part, level, normalised=method == NORMALISED)
            there = np.isfinite(half)
            if there.any():
                mine, half = part[there], half[there]
                errors = np.abs(mine["target"].to_numpy(np.float64) - mine["prediction"].to_numpy(np.float64))
                values[name, method, "coverage"] = row_means(mine, (errors <= half).astype(np.float64), rows)
                values[name, method, "width"] = row_means(mine, 2 * half, rows)
    if not values:
        return pd.DataFrame({name: [] for name in COLUMNS})
    found = group_means(values, groups.members, rows.clusters, draws)
    parts = [
        pd.DataFrame(
            {
                "task": rows.task,
                "model": name,
                "method": method,
                "level": level,
                **groups.columns,
                "rows": of.rows,
                "coverage": of.mean,
                "low": of.low,
                "high": of.high,
                "width": found[name, method, "width"].mean,
                "unit": units[name],
            }
        )
        for (name, method, what), of in found.items()
        if what == "coverage"
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame = frame[frame["rows"] > 0].sort_values("model", kind="stable")
    return frame.reset_index(drop=True)[list(COLUMNS)]


def half_widths(part: pd.DataFrame, level: float = LEVEL, *, normalised: bool = False) -> Floats:
    """(n,) half the width of the conformal interval of each prediction of an entry.

    NaN where the other folds of the same seed have too few rows, and, for normalised intervals, without standard
    deviations or if all of them are 0.

    Args:
        part: the n predictions of one entry: columns ``fold``, ``seed``, ``target``, ``prediction`` and ``std``.
        level: nominal level.
        normalised: whether widths are proportional to the standard deviation plus an offset.
    """
    half = np.full(len(part), np.nan)
    errors = np.abs(part["target"].to_numpy(np.float64) - part["prediction"].to_numpy(np.float64))
    std = part["std"].to_numpy(np.float64) if normalised else np.ones(len(part))
    for mine, others in _splits(part):
        scale, offset = std, 0.0
        if normalised:
            offset = OFFSET * float(std[others].mean())
            if not offset > ROUND_OFF * float(errors[others].mean()):
                continue
        scale = std + offset
        half[mine] = scale[mine] * quantile(errors[others] / scale[others], level)
    return np.where(np.isinf(half), np.nan, half)


def _splits(part: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Masks (n,) of the rows of each run, and of the other folds of the same seed if there are any."""
    seeds, folds = part["seed"].to_numpy(), part["fold"].to_numpy()
    for seed in np.unique(seeds):
        for fold in np.unique(folds[seeds == seed]):
            others = (seeds == seed) & (folds != fold)
            if others.any():
                yield (seeds == seed) & (folds == fold), others


def quantile(scores: Floats, level: float) -> float:
    """The ⌈(n + 1) level⌉-th smallest of n scores; infinite if n is too small.

    A score that is exchangeable with these n is at most this large with a probability of at least the level.

    Source: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, Journal of the American Statistical Association 113, 1094
    (2018).

    Args:
        scores: (n,) scores.
        level: between 0 and 1.
    """
    n = len(scores)
    k = math.ceil((n + 1) * level - 1e-9)  # 10 · 0.9 may be 9.000000000000002
    return float(np.partition(scores, k - 1)[k - 1]) if k <= n else math.inf
