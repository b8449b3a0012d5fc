"""Predictions of several models for the same rows of a regression task, all folds together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.errors import DataError
from crystalbench.evaluation.columns import require_columns, standard_runs

FloatArray: TypeAlias = npt.NDArray[np.float64]

RUN = ["model", "key"]
SCORE_COLUMNS = (
    "task",
    "data",
    "model",
    "view",
    "protocol",
    "seed",
    "kind",
    "unit",
    "rows",
    "rows_total",
    "folds_total",
    "finished",
    "settings",
    "key",
    "configuration",
)
PREDICTION_COLUMNS = ("task", "data", "model", "kind", "key", "id", "target", "prediction")


@dataclass(frozen=True, eq=False)
class PredictedRows:
    """Predictions of one model for n test rows, all folds together.

    Attributes:
        ids: (n,) ids of the rows, sorted.
        targets: (n,) true values.
        values: (seeds, n) predictions.
        unit: unit of both.
        settings: versions, protocol and hyperparameters of the runs, by name.
    """

    ids: npt.NDArray[np.str_]
    targets: FloatArray
    values: FloatArray
    unit: str
    settings: Mapping[str, Any]

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return len(self.values)

    @property
    def errors(self) -> FloatArray:
        """(n,) absolute errors; each is the mean over the seeds."""
        return np.asarray(np.abs(self.values - self.targets).mean(axis=0))


def predicted_rows(
    scores: pd.DataFrame, predictions: pd.DataFrame, task: str
) -> tuple[dict[str, PredictedRows], list[str]]:
    """Predictions of all models for a regression task, by name of the model.

    Only runs with the view ``full`` on the official folds are used, and only seeds that have all folds. If several
    configurations have the same name, the one that finished last is used; if there are runs on different rows of the
    task, those on most rows.

    Args:
        scores: one row per run and metric, of any tasks (see `crystalbench.results.frames.scores_frame`).
        predictions: one row per predicted sample of the same runs.
        task: name of the task.

    Returns:
        The predictions by name, all of the same rows; and notes on what was left out.

    Raises:
        DataError: a frame lacks a column, or records of the same rows disagree about ids or targets.
    """
    require_columns(scores, SCORE_COLUMNS, "scores")
    require_columns(predictions, PREDICTION_COLUMNS, "predictions")
    scores = standard_runs(scores)
    right = (scores["task"] == task) & (scores["view"] == FULL) & (scores["kind"] == "regression")
    mine = scores[right].drop_duplicates(RUN)
    if mine.empty:
        return {}, []
    notes = []
    by_data = [group for _, group in mine.groupby("data", sort=False)]
    kept = max(by_data, key=lambda group: (group["rows"].iloc[0], len(group), group["finished"].max()))
    rows, rows_total = int(kept["rows"].iloc[0]), int(kept["rows_total"].iloc[0])
    if len(by_data) > 1:
        notes.append(
            f"{task}: {len(mine) - len(kept)} records of other rows or targets are left out, "
            f"{len(kept)} of {rows:,} rows are taken"
        )
    if rows < rows_total:
        notes.append(f"{task}: only {rows:,} of its {rows_total:,} rows were used")
    same = (predictions["task"] == task) & (predictions["data"] == kept["data"].iloc[0])
    samples = predictions[same & (predictions["kind"] == "regression")]
    by_run = {run: samples.iloc[places] for run, places in samples.groupby(RUN).indices.items()}
    parts = {}
    for name, runs in kept.groupby(kept["model"] + np.where(kept["protocol"] == "default", "", " (tuned)")):
        part, more = _part(runs, by_run, f"{task}: {name}")
        notes += more
        if part is not None:
            parts[str(name)] = part
    _check_same_rows(parts, task)
    return parts, notes


def _part(runs: pd.DataFrame, by_run: Mapping[Any, pd.DataFrame], title: str) -> tuple[PredictedRows | None, list[str]]:
    notes = []
    configurations = [group for _, group in runs.groupby("configuration")]
    chosen = max(configurations, key=lambda group: group["finished"].max())
    if len(configurations) > 1:
        notes.append(f"{title} has {len(configurations)} configurations; the one finished last is taken")
    first = chosen.iloc[0]
    by_seed = dict(list(chosen.groupby("seed")))
    complete = {seed: group for seed, group in by_seed.items() if len(group) == first["folds_total"]}
    if len(complete) < len(by_seed):
        notes.append(f"{title} lacks folds of {len(by_seed) - len(complete)} of {len(by_seed)} seeds, left out")
    if not complete:
        return None, notes
    rows = []
    for group in complete.values():
        folds = [by_run[run] for run in zip(group["model"], group["key"], strict=True)]
        rows.append(_sorted_rows(pd.concat(folds), f"{title}, seed {group['seed'].iloc[0]}"))
    ids, targets, _ = rows[0]
    if any(not np.array_equal(i, ids) or not np.array_equal(y, targets) for i, y, _ in rows):
        raise DataError(f"{title}: its seeds have different test rows or targets; delete these records and run again")
    values = np.stack([values for _, _, values in rows])
    return PredictedRows(ids, targets, values, str(first["unit"]), json.loads(first["settings"])), notes


def _sorted_rows(samples: pd.DataFrame, title: str) -> tuple[npt.NDArray[np.str_], FloatArray, FloatArray]:
    """Ids, targets and predictions, sorted by id."""
    samples = samples.sort_values("id", kind="stable")
    twice = samples["id"].duplicated()
    if twice.any():
        raise DataError(f"{title}: {samples.loc[twice, 'id'].iloc[0]} is predicted more than once; its folds overlap")
    return samples["id"].to_numpy(np.str_), samples["target"].to_numpy(), samples["prediction"].to_numpy()


def _check_same_rows(parts: Mapping[str, PredictedRows], task: str) -> None:
    names = list(parts)
    for name in names[1:]:
        one, other = parts[names[0]], parts[name]
        if not np.array_equal(one.ids, other.ids) or not np.array_equal(one.targets, other.targets):
            raise DataError(
                f"{task}: {names[0]} and {name} have different test rows or targets; delete the records of one of them "
                "and run it again"
            )
