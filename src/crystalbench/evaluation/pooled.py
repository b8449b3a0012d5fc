"""Scores over the test samples of all folds together, for folds of unequal size and difficulty.

The folds of other schemes than the official one differ in size and in what they ask: the mean over folds would weigh a
test sample by the inverse size of its fold. So a score is computed once over the samples of all folds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd

from crystalbench.errors import DataError
from crystalbench.evaluation.columns import require_columns
from crystalbench.evaluation.metrics import score

COLUMNS = ("model", "configuration", "fold", "seed", "kind", "id", "target", "prediction")
"""Columns of the predictions frame that pooling needs."""

Pooled: TypeAlias = Mapping[tuple[str, str], Mapping[str, float]]
"""Pooled scores by metric, for each entry, i.e. pair of model and configuration; NaN where a metric is undefined."""


def pooled_scores(predictions: pd.DataFrame) -> Pooled:
    """Score the entries of a frame over the samples of all their folds.

    With several seeds, the score is the mean over the seeds; seeds that lack folds which others have are left out.

    Args:
        predictions: one row per predicted sample, e.g. ``load_results("results").predictions``.

    Raises:
        DataError: an entry predicted a sample twice with one seed, or the frame lacks a column.
    """
    require_columns(predictions, COLUMNS, "predictions")
    found: dict[tuple[str, str], Mapping[str, float]] = {}
    for (model, configuration), rows in predictions.groupby(["model", "configuration"], sort=False):
        by_seed = [run for _, run in rows.groupby("seed")]
        most = max(run["fold"].nunique() for run in by_seed)
        scores = [_score(run, str(model)) for run in by_seed if run["fold"].nunique() == most]
        found[str(model), str(configuration)] = {
            metric: float(np.mean([each[metric] for each in scores])) for metric in scores[0]
        }
    return found


def _score(run: pd.DataFrame, model: str) -> dict[str, float]:
    twice = run["id"].duplicated()
    if twice.any():
        raise DataError(f"{model}: {run.loc[twice, 'id'].iloc[0]} is predicted twice with one seed; its folds overlap")
    kind = str(run["kind"].iloc[0])
    if kind != "multiclass":
        return score(kind, run["target"].to_numpy(), run["prediction"].to_numpy())
    classes = [name for name in map(str, run) if name.startswith("p_") and run[name].notna().any()]
    return score(kind, run["target"].to_numpy(), run[classes].to_numpy())
