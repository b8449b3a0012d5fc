"""Records: what a run leaves behind, one immutable file each."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer, model_validator

from crystalbench._sealed import digest, plain_name, read_sealed, seal, write_whole
from crystalbench.errors import RecordError

FORMAT = 2


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Protocol(_Frozen):
    """How the training part of a fold is used; the same for every model.

    Attributes:
        inner_folds: the training part is cut in so many parts, one of which validates.
        ensemble: members, each validated on another inner fold; their mean is the prediction.
    """

    inner_folds: int = 10
    ensemble: int = 1


class Tuning(_Frozen):
    """How hyperparameters are looked for, before anything of the outcome is known; the same for every model.

    Attributes:
        trials: configurations to try.
        minutes: or the time that all trials together may take; none starts later.
        scheme: ``per_fold`` tunes in the training part of each fold; ``first_fold`` in that of the first one, for all.
        inner_folds: the training part is cut in so many parts, one of which judges a configuration.
        splits: so many of these parts judge, one after another; their mean counts.
        space: SHA-256 of the search space.
        metric: the metric that judges; empty for the main one of the target's kind.
        sampler: what proposes configurations.
        pruner: what stops bad trials.
        version: raised when the same study would take another course.
    """

    trials: int | None = None
    minutes: float | None = None
    scheme: Literal["per_fold", "first_fold"] = "per_fold"
    inner_folds: int = 5
    splits: int = 1
    space: str = ""
    metric: str = ""
    sampler: str = "tpe"
    pruner: str = "median"
    version: int = 1

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.trials is None) == (self.minutes is None):
            raise ValueError("tuning has a budget of trials or of minutes: exactly one of both")
        return self

    @model_serializer(mode="wrap")
    def _without_the_usual_metric(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Keys from before there was this field stay as they are.
        content: dict[str, Any] = handler(self)
        return content if self.metric else {name: value for name, value in content.items() if name != "metric"}

    @property
    def budget(self) -> str:
        """The budget in words."""
        return f"{self.trials} trials" if self.trials is not None else f"{self.minutes:g} minutes"


class Asked(_Frozen):
    """What a run was asked to do. The run's key is the hash of this, so nothing else may change the result.

    Round-off alone may, which depends on the device and on the number of threads.

    Attributes:
        task: name of the task.
        data: digest of the task's rows, targets and folds.
        fold: outer fold.
        model: registered name, or ``module:Class``.
        model_version: the model class's version.
        model_code: of a model that is not registered, the SHA-256 of its file, since its author changes it without
            raising the version.
        parameters: all hyperparameters, defaults included, as they were before tuning.
        view: what the model may see.
        view_version: the view's version.
        seed: number of the repetition.
        protocol: how the training part is used.
        tuning: how hyperparameters are looked for; None for defaults or given ones.
    """

    task: str
    data: str
    fold: int
    model: str
    model_version: int
    parameters: dict[str, Any]
    model_code: str | None = None
    view: str = "full"
    view_version: int = 1
    seed: int = 0
    protocol: Protocol = Protocol()
    tuning: Tuning | None = None

    @property
    def key(self) -> str:
        """Hash of what was asked."""
        return digest(self.model_dump(mode="json"))

    def derived_seed(self, *purpose: int | str) -> int:
        """A seed in [0, 2^31) that follows from the key and a purpose, e.g. the member of an ensemble."""
        text = ":".join([self.key, *map(str, purpose)])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 2**31


class Rows(_Frozen):
    """Numbers of rows: fitted, validated, predicted, at hand in the task, and in the complete task; and its folds."""

    train: int
    valid: int
    test: int
    task: int
    task_total: int
    task_folds: int


class Seconds(_Frozen):
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


class SourceOf(_Frozen):
    """The data file: its name, SHA-256, and how it was verified (see `crystalbench.tasks.Source`)."""

    name: str
    sha256: str
    verified: str


class Predicted(_Frozen):
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


class Tuned(_Frozen):
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


class Record(_Frozen):
    """One run: what was asked, and what came out.

    Attributes:
        asked: what determines the result.
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
        command: repeats the run.
        finished: UTC time, ISO 8601.
        tuned: what tuning found, where it was asked for.
        format: version of this format.
    """

    asked: Asked
    label: str
    metric: str
    kind: str
    unit: str
    scores: dict[str, float | None]
    predictions: Predicted
    rows: Rows
    seconds: Seconds
    peak_memory_mb: float
    n_parameters: int | None
    device: str
    threads: int
    source: SourceOf
    environment: dict[str, Any]
    model_source: str
    command: str
    finished: str
    tuned: Tuned | None = None
    format: int = FORMAT

    @property
    def key(self) -> str:
        """Hash of what was asked."""
        return self.asked.key

    @property
    def file_name(self) -> str:
        """Place of the record's file below the records folder."""
        return f"{plain_name(self.asked.task)}/{plain_name(self.label)}/{_file_name(self.asked)}"

    def to_json(self) -> str:
        """The file's text: the record and a digest of it, one line for each field."""
        return seal(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, text: str, name: str = "record") -> Record:
        """Read a file's text, checking that it is whole and unchanged.

        Raises:
            RecordError: it is not a record, or was changed after it was written.
        """
        return read_sealed(cls, text, name, "record", "delete it and run again")


def scores_for_json(scores: dict[str, float]) -> dict[str, float | None]:
    """Scores with null where a metric is not defined."""
    return {name: (float(s) if math.isfinite(s) else None) for name, s in scores.items()}


def predicted(
    ids: npt.NDArray[np.str_], targets: npt.NDArray[Any], values: npt.NDArray[Any], std: npt.NDArray[Any] | None
) -> Predicted:
    """Predictions of n rows from arrays."""
    return Predicted(
        ids=[str(i) for i in ids],
        targets=targets.tolist(),
        values=values.tolist(),
        std=None if std is None else std.tolist(),
    )


@dataclass(frozen=True)
class RecordStore:
    """A folder of records.

    Attributes:
        root: the folder; made when the first record is written.
    """

    root: Path

    def find(self, asked: Asked) -> Path | None:
        """The file of a run's record, if it is there."""
        return next((self.root / plain_name(asked.task)).glob(f"*/{_file_name(asked)}"), None)

    def write(self, record: Record) -> Path:
        """Write a record; its file appears whole or not at all.

        Raises:
            RecordError: the folder cannot be written or the disk is full.
        """
        path = self.root / record.file_name
        write_whole(
            path,
            record.to_json(),
            "the record cannot be written ({reason}); make room or give another --results folder, then call the same "
            "command again: only this run is lost",
        )
        return path

    def read(self, path: Path) -> Record:
        """Read one record.

        Raises:
            RecordError: the file is damaged or was changed.
        """
        try:
            return Record.from_json(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(f"{path}: cannot be read ({error})") from error

    def paths(self) -> list[Path]:
        """All record files, sorted by name."""
        return sorted(p for p in self.root.glob("*/*/*.json") if not p.name.startswith("."))

    def read_all(self) -> tuple[list[Record], list[RecordError]]:
        """All records, and an error for every file that is not one."""
        records: list[Record] = []
        problems: list[RecordError] = []
        for outcome in self._read_each():
            (problems if isinstance(outcome, RecordError) else records).append(outcome)  # type: ignore[arg-type]
        return records, problems

    def _read_each(self) -> Iterator[Record | RecordError]:
        for path in self.paths():
            try:
                yield self.read(path)
            except RecordError as error:
                yield error


def _file_name(asked: Asked) -> str:
    return f"{plain_name(asked.view)}-fold{asked.fold}-seed{asked.seed}-{asked.key[:16]}.json"
