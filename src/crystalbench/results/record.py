"""Records: the result of each run, one immutable file per run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import AliasChoices, Field

from crystalbench.errors import ConfigError
from crystalbench.results.names import plain_name
from crystalbench.results.sealed import Frozen, Sealed
from crystalbench.results.spec import RunSpec
from crystalbench.sees import Sees
from crystalbench.targets import metrics_of

FORMAT = 6


class RowCounts(Frozen):
    """Numbers of rows.

    Attributes:
        train: rows of the training part that were fitted only.
        valid: rows of the training part that also validated. Networks of records up to format 3 did not fit them.
        test: rows that were predicted.
        task: available rows of the task.
        task_total: rows of the complete task.
        task_folds: number of folds of the task.
    """

    train: int
    valid: int
    test: int
    task: int
    task_total: int
    task_folds: int


class Timings(Frozen):
    """Wall-clock seconds.

    Attributes:
        featurise: time to compute the representations of all rows of the task. If the run read them from the cache,
            this is the time measured when they were computed.
        fit: time to fit, all members of an ensemble together.
        predict: time to predict the test part.
        fit_waited: the part of ``fit`` spent waiting for a processor that other processes used; None where the system
            does not say, for a fit that was interrupted, and in records of format 5 and before.
    """

    featurise: float
    fit: float
    predict: float
    fit_waited: float | None = None


class DataFile(Frozen):
    """The data file: its name, its SHA-256, and how it was verified (see `crystalbench.tasks.Source`)."""

    name: str
    sha256: str
    verified: str


class RecordedPredictions(Frozen):
    """Predictions for the test part, row by row.

    Attributes:
        ids: ids of the rows.
        targets: true values (class numbers for classification).
        values: predictions: for each row a number, a probability of class 1, or a list of class probabilities.
        std: predicted standard deviations, if the model gives them.
    """

    ids: list[str]
    targets: list[float]
    values: list[float] | list[list[float]]
    std: list[float] | None = None


class Decision(Frozen):
    """Whether tuning kept the default, i.e. the configuration of the specification (trial 0), and why.

    Attributes:
        kept: whether the default was kept.
        reason: why, on one line.
        candidate: number of the best completed trial other than the default; None if there is none.
        default_scores: score of each evaluation of the default; empty if it failed.
        candidate_scores: the same for the candidate; empty if there is none.
        gain: mean over the evaluations of the candidate's improvement on the default, in the unit of the metric and
            positive if the candidate is better; None unless there are both.
        standard_error: standard error of the gain, from the differences of the paired evaluations.
    """

    kept: bool
    reason: str
    candidate: int | None = None
    default_scores: list[float] = Field(default_factory=list)
    candidate_scores: list[float] = Field(default_factory=list)
    gain: float | None = None
    standard_error: float | None = None


class TuningResult(Frozen):
    """The outcome of tuning.

    Attributes:
        study: name of the study.
        fold: the fold whose training part was used.
        parameters: the chosen hyperparameters, which replace those of the specification.
        trial: number of the chosen trial; trial 0 is the configuration of the specification.
        metric: name of the metric that scored the trials.
        value: score of the chosen trial, the mean over its evaluations.
        complete: number of completed trials.
        pruned: number of trials that were stopped early because they were poor.
        failed: number of trials that ended with an error.
        seconds: time of all trials together.
        decision: whether the default was kept, and why; None up to format 3, when the best trial was chosen.
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
    decision: Decision | None = None

    @property
    def trials(self) -> int:
        """Number of all trials."""
        return self.complete + self.pruned + self.failed


class Record(Sealed):
    """The result of one run.

    Attributes:
        spec: specification of the run; called ``asked`` up to format 2.
        label: the model's name in tables.
        metric: the task's main metric.
        kind: kind of the target.
        unit: unit of the target.
        scores: all metrics on the test part; None where a metric is undefined.
        predictions: predictions for the test part.
        rows: numbers of rows.
        seconds: wall-clock seconds.
        peak_memory_mb: largest resident memory of the process during the run, in MB (10^6 bytes).
        n_parameters: number of fitted parameters; None if the model has no such number.
        device: torch device.
        threads: number of threads.
        concurrent: number of processes in which the command computed runs at the same time; 1 if the run was alone. It
            does not count other programs on the machine, which ``seconds.fit_waited`` shows. None in records of format
            3 and before, where it is unknown.
        source: the data file.
        environment: versions, processor, git commit.
        model_source: SHA-256 of the file that defines the model.
        code: SHA-256 of all modules of the package that compute the model. It shows whether the code has changed since
            and is not part of the key. Empty up to format 2.
        command: the command that repeats the run.
        finished: UTC time, ISO 8601.
        tuned: the outcome of tuning; None without tuning.
        remarks: remarks on the data, e.g. which rows were dropped and why; empty in records of format 2 and before.
        defaults_chosen_on: sorted names of the tasks whose rows were used in choosing the defaults of the model class;
            empty in records of format 3 and before, which did not state them.
        sees: what the model saw of the materials under the view of the run; ``undeclared`` in records of format 4 and
            before, which did not state it (see `crystalbench.sees.Sees`). It is not part of the key.
        pretrained_on: sorted names of the data sets that a pretrained part of the model has seen; empty in records of
            format 4 and before, when no model had such a part.
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
    concurrent: int | None = None
    source: DataFile
    environment: dict[str, Any]
    model_source: str
    command: str
    finished: str
    tuned: TuningResult | None = None
    code: str = ""
    remarks: list[str] = Field(default_factory=list)
    defaults_chosen_on: list[str] = Field(default_factory=list)
    sees: str = Sees.UNDECLARED.value
    pretrained_on: list[str] = Field(default_factory=list)
    format: int = FORMAT

    def check_content(self) -> None:
        """Check that the kind of the target is known and has the main metric, and that the kind of input is known."""
        known = [metric.name for metric in metrics_of(self.kind)]
        if self.metric not in known:
            raise ConfigError(f"{self.metric!r} is not a metric of {self.kind} targets, which have {', '.join(known)}")
        if self.sees not in (kinds := [kind.value for kind in Sees]):
            raise ConfigError(f"sees = {self.sees!r} is none of {', '.join(kinds)}")

    @property
    def key(self) -> str:
        """The key of the run."""
        return self.spec.key

    @property
    def file_name(self) -> str:
        """Path of the file, relative to the folder of records."""
        return f"{plain_name(self.spec.task)}/{plain_name(self.label)}/{self.name_of(self.spec)}"

    @staticmethod
    def name_of(spec: RunSpec) -> str:
        """Name of the file that holds the record of a run."""
        return f"{plain_name(spec.view)}-fold{spec.fold}-seed{spec.seed}-{spec.key[:16]}.json"


def scores_for_json(scores: dict[str, float]) -> dict[str, float | None]:
    """Scores with None, i.e. null in JSON, where a metric is undefined."""
    return {name: (float(s) if math.isfinite(s) else None) for name, s in scores.items()}


def predicted(
    ids: npt.NDArray[np.str_], targets: npt.NDArray[Any], values: npt.NDArray[Any], std: npt.NDArray[Any] | None
) -> RecordedPredictions:
    """Predictions of n rows from arrays.

    Args:
        ids: (n,) ids.
        targets: (n,) true values or class numbers.
        values: (n,) predictions or (n, classes) probabilities.
        std: (n,) predicted standard deviations, or None.
    """
    return RecordedPredictions(
        ids=[str(i) for i in ids],
        targets=targets.tolist(),
        values=values.tolist(),
        std=None if std is None else std.tolist(),
    )
