"""How predictions change with the description of a crystal, in units of the model's own error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from crystalbench.evaluation.columns import require_columns
from crystalbench.evaluation.configurations import newest

COLUMNS = (
    *("task", "model", "transform", "drift", "relative_to_error", "max", "max_id", "max_formula", "max_before"),
    *("max_after", "share_beyond", "median_ratio", "drift_per_atom", "expected", "error", "unit", "folds", "seeds"),
    *("crystals", "rows", "view", "fold_scheme"),
)

BEYOND = 0.01
"""A prediction that changes by more than this share of the error counts in ``share_beyond``."""

ANSWERS = ("transform", "expected", "id", "formula", "before", "after", "change", "change_per_atom", "error")
"""Columns of the answers: what was asked, and for each crystal the predictions before and after, how far they are
apart, how far they are relative to the number of atoms in the cell, and the error of the prediction before."""


def invariance(answers: pd.DataFrame) -> pd.DataFrame:
    """How far predictions drift under each transformation: a row per task, model and transformation.

    If there are several versions of a model, the newest counts.

    Args:
        answers: a row per run, transformation and crystal, with the columns `ANSWERS` and the facts of the runs.

    Returns:
        A frame with the columns `COLUMNS`:

        * ``drift``: mean absolute change of the prediction over crystals, folds and seeds, in ``unit``; for
          classification, half the sum of the absolute changes of the probabilities of all classes
        * ``relative_to_error``: the same divided by ``error``, the mean absolute error on the same crystals; for
          classification, the mean of 1 − the probability of the true class
        * ``max``: the largest change, with the id and the formula of the crystal, and the predictions before and after
          (for several classes, of the class that was most probable before)
        * ``share_beyond``: share of the predictions that change by more than 1 % of the error
        * ``median_ratio``: median of the prediction after over that before; about 2 under ``supercell`` if predictions
          grow with the cell; NaN for classification
        * ``drift_per_atom``: the drift of predictions per atom of the cell, times the atoms before: what remains of
          the drift if the property belongs to the cell
        * ``expected``: what an ideal model does: ``unchanged``, or ``nearly unchanged`` if the crystal itself changes
        * ``folds``, ``seeds``, ``crystals``: their numbers; ``rows`` of the task
        * ``view``, ``fold_scheme``: of the runs

    Raises:
        DataError: a column is missing.
    """
    if answers.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    require_columns(answers, ANSWERS, "answers")
    found = newest(answers[answers["train_fraction"] == 1])
    found = found.sort_values(["fold", "seed", "id"], kind="stable")  # so that the first of equal changes is the same
    by = ["task", "fold_scheme", "rows", "view", "entry", "transform"]
    rows = [_row(dict(zip(by, name, strict=True)), part) for name, part in found.groupby(by, sort=False)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(name: dict[str, Any], part: pd.DataFrame) -> dict[str, Any]:
    regression = part["kind"].iloc[0] == "regression"
    error = float(part["error"].mean())
    drift = float(part["change"].mean())
    worst = part.iloc[int(part["change"].to_numpy().argmax())]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = part["after"].to_numpy(np.float64) / part["before"].to_numpy(np.float64)
    return {
        "task": name["task"],
        "model": name["entry"],
        "transform": name["transform"],
        "drift": drift,
        "relative_to_error": drift / error if error else np.nan,
        "max": worst["change"],
        "max_id": worst["id"],
        "max_formula": worst["formula"],
        "max_before": worst["before"],
        "max_after": worst["after"],
        "share_beyond": float((part["change"] > BEYOND * error).mean()),
        "median_ratio": float(np.nanmedian(ratios)) if regression and not np.isnan(ratios).all() else np.nan,
        "drift_per_atom": float(part["change_per_atom"].mean()) if regression else np.nan,
        "expected": worst["expected"],
        "error": error,
        "unit": part["unit"].iloc[0] if regression else "probability",
        "folds": part["fold"].nunique(),
        "seeds": int(part.groupby("fold")["seed"].nunique().min()),
        "crystals": part["id"].nunique(),
        "rows": name["rows"],
        "view": name["view"],
        "fold_scheme": name["fold_scheme"],
    }
