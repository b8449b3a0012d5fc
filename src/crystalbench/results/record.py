"""Records: the result of each run, one immutable file per run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import AliasChoices, Field

from crystalbench.results.names import plain_name
from crystalbench.results.sealed import Frozen, Sealed
from crystalbench.results.spec import RunSpec

FORMAT = 3


class RowCounts(Frozen):
    """Numbers of rows: fitted, validated, predicted, at hand in the task, and in the complete task; and its folds."""

    train: int
    valid: int
    test: int
    task: int
    task_total: int
    task_folds: int


class Timings(Frozen):
    """Wall-clock seconds.

    Attributes:
        featurise: to compute the representations of the whole task from nothing (measured when they were computed,
            also where this run read them from the cache).
        fit: to fit, all members of an ensemble together.
        predict: to predict the test part.
    """

    featurise: float
    fit: float
    predict: float


class DataFile(Frozen):
    """The data file: its name, SHA-256, and how it was verified (see `crystalbench.tasks.Source`)."""

    name: str
    sha256: str
    verified: str


class RecordedPredictions(Frozen):
    """Predictions of the test part, row by row.

    Attributes:
        ids: ids of the rows.
        targets: true values (class numbers for classification).
        values: predictions: a number, a probability of class 1, or a list of probabilities for each row.
        std: predicted standard deviations, where the model gives them.
    """

    ids: list[str]
    targets: list[float]
    values: list[float] | list[list[float]]
    std: list[float] | None = None


class TuningResult(Frozen):
    """What tuning found.

    Attributes:
        study: name of the study.
        fold: the fold in whose training part it searched.
        parameters: the hyperparameters found, which stand in place of those asked.
        trial: the trial that found them, counted from 0; trial 0 is the configuration that was asked.
        metric: what was judged by.
        value: best mean over the inner splits.
        complete: trials that were finished.
        pruned: trials that were stopped since they were bad.
        failed: trials that ended with an error.
        seconds: of all trials together.
    """

    study: str
    fold: int
    parameters: dict[str, Any]
    trial: int
    metric: str
    value: float
    complete: int
    pruned: int
    failed: int
    seconds: float

    @property
    def trials(self) -> int:
        """All trials."""
        return self.complete + self.pruned + self.failed


class Record(Sealed):
    """The result of one run.

    Attributes:
        spec: what determines the result; ``asked`` in records of format 2 and before.
        label: the model's name in tables.
        metric: the task's main metric.
        kind: kind of the target.
        unit: unit of the target.
        scores: all metrics on the test part.
        predictions: the test part, row by row.
        rows: numbers of rows.
        seconds: wall-clock seconds.
        peak_memory_mb: largest resident memory of the process during the run, in MB (10^6 bytes).
        n_parameters: fitted parameters, where that means something.
        device: torch device.
        threads: threads used.
        source: the data file.
        environment: versions, processor, git commit.
        model_source: SHA-256 of the file that defines the model.
        code: SHA-256 of all modules of the package that the model is computed by; it tells whether code has changed
            since, and is no part of the key. Empty in records of format 2 and before.
        command: repeats the run.
        finished: UTC time, ISO 8601.
        tuned: what tuning found, where it was asked for.
        format: version of this format.
    """

    noun = "record"
    remedy = "delete it and run again"

    spec: RunSpec = Field(validation_alias=AliasChoices("spec", "asked"))
    label: str
    metric: str
    kind: str
    unit: str
    scores: dict[str, float | None]
    predictions: RecordedPredictions
    rows: RowCounts
    seconds: Timings
    peak_memory_mb: float
    n_parameters: int | None
    device: str
    threads: int
    source: DataFile
    environment: dict[str, Any]
    model_source: str
    command: str
    finished: str
    tuned: TuningResult | None = None
    code: str = ""
    format: int = FORMAT

    @property
    def key(self) -> str:
        """The key of the run."""
        return self.spec.key

    @property
    def file_name(self) -> str:
        """Path of the file below the folder of records."""
        return f"{plain_name(self.spec.task)}/{plain_name(self.label)}/{self.name_of(self.spec)}"

    @staticmethod
    def name_of(spec: RunSpec) -> str:
        """Name of the file of a run's record."""
        return f"{plain_name(spec.view)}-fold{spec.fold}-seed{spec.seed}-{spec.key[:16]}.json"


def scores_for_json(scores: dict[str, float]) -> dict[str, float | None]:
    """Scores with null where a metric is not defined."""
    return {name: (float(s) if math.isfinite(s) else None) for name, s in scores.items()}


def predicted(
    ids: npt.NDArray[np.str_], targets: npt.NDArray[Any], values: npt.NDArray[Any], std: npt.NDArray[Any] | None
) -> RecordedPredictions:
    """Predictions of n rows from arrays."""
    return RecordedPredictions(
        ids=[str(i) for i in ids],
        targets=targets.tolist(),
        values=values.tolist(),
        std=None if std is None else std.tolist(),
    )
