"""Records: what a run leaves behind, one immutable file each."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from crystalbench.errors import RecordError

log = logging.getLogger(__name__)

FORMAT = 1


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


class Asked(_Frozen):
    """What a run was asked to do. The run's key is the hash of this, so nothing else may change the result.

    Attributes:
        task: name of the task.
        data: digest of the task's rows, targets and folds.
        fold: outer fold.
        model: registered name, or ``module:Class``.
        model_version: the model class's version.
        model_code: of a model that is not registered, the SHA-256 of its file, since its author changes it without
            raising the version.
        parameters: all hyperparameters, defaults included.
        view: what the model may see.
        view_version: the view's version.
        seed: number of the repetition.
        protocol: how the training part is used.
        tuning: how the hyperparameters were found; None for defaults or given ones.
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
    tuning: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        """Hash of what was asked."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

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
    format: int = FORMAT

    @property
    def key(self) -> str:
        """Hash of what was asked."""
        return self.asked.key

    @property
    def file_name(self) -> str:
        """Place of the record's file below the records folder."""
        return f"{_plain(self.asked.task)}/{_plain(self.label)}/{_file_name(self.asked)}"

    def to_json(self) -> str:
        """The file's text: the record and a digest of it, one line for each field."""
        body = self.model_dump(mode="json")
        lines = [f" {json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in body.items()]
        lines.append(f' "digest": "{_digest(body)}"')
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str, name: str = "record") -> Record:
        """Read a file's text, checking that it is whole and unchanged.

        Raises:
            RecordError: it is not a record, or was changed after it was written.
        """
        try:
            body = json.loads(text)
            digest = body.pop("digest")
            record = cls.model_validate(body)
            unchanged = digest == _digest(body)
        except (ValueError, KeyError, AttributeError, TypeError, ValidationError) as error:
            reason = _in_words(error)
            raise RecordError(f"{name}: is not a whole record ({reason}); delete it and run again") from error
        if not unchanged:
            raise RecordError(f"{name}: was changed after it was written (its digest differs); delete it and run again")
        return record


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
        return next((self.root / _plain(asked.task)).glob(f"*/{_file_name(asked)}"), None)

    def write(self, record: Record) -> Path:
        """Write a record; its file appears whole or not at all.

        Raises:
            RecordError: the folder cannot be written or the disk is full.
        """
        path = self.root / record.file_name
        scratch = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=path.parent, prefix=".", suffix=".part", delete=False
            ) as file:
                scratch = Path(file.name)
                file.write(record.to_json())
                file.flush()
                os.fsync(file.fileno())
            scratch.chmod(0o644)
            scratch.replace(path)
        except OSError as error:
            if scratch is not None:
                scratch.unlink(missing_ok=True)
            raise RecordError(
                f"{path}: the record cannot be written ({error.strerror or error}); make room or give another "
                "--results folder, then call the same command again: only this run is lost"
            ) from error
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


def _in_words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _digest(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _file_name(asked: Asked) -> str:
    return f"{_plain(asked.view)}-fold{asked.fold}-seed{asked.seed}-{asked.key[:16]}.json"


def _plain(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", label).strip(".-") or "model"
