"""Studies: what tuning leaves behind, one immutable file for each search."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from crystalbench._sealed import plain_name, read_sealed, seal, write_whole
from crystalbench.errors import RecordError
from crystalbench.records import Asked, Tuned

log = logging.getLogger(__name__)

FORMAT = 1

State = Literal["complete", "pruned", "failed", "running"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trial(_Frozen):
    """One configuration that was tried.

    Attributes:
        number: from 0; trial 0 is the configuration that was asked.
        state: ``complete``, ``pruned``, ``failed``, or ``running`` while the study is not finished.
        parameters: its hyperparameters in the search space.
        value: mean of the metric over the inner splits; None where it was not finished.
        intermediate: progress (in tenths of the first fit) and the best validation score until then, with the sign
            of the metric's direction.
        seconds: to fit and judge it.
        error: why it failed.
        tries: how often it was begun: more than once where a worker was stopped.
    """

    number: int
    state: State
    parameters: dict[str, Any]
    value: float | None = None
    intermediate: list[tuple[int, float]] = []
    seconds: float = 0.0
    error: str | None = None
    tries: int = 1


class Study(_Frozen):
    """One search for hyperparameters in the training part of one fold.

    Attributes:
        asked: what determines the search.
        label: the model's name in tables.
        metric: name of the metric that judges.
        higher_is_better: of the metric.
        unit: unit of the target.
        space: the search space: Optuna's distributions as JSON, by hyperparameter.
        trials: by number.
        environment: versions, processor, git commit of the process that finished the study.
        finished: UTC time, ISO 8601; empty while it goes on.
        format: version of this format.
    """

    asked: Asked
    label: str
    metric: str
    higher_is_better: bool
    unit: str
    space: dict[str, Any]
    trials: list[Trial]
    environment: dict[str, Any] = {}
    finished: str = ""
    format: int = FORMAT

    @property
    def name(self) -> str:
        """Name in the storage, and of the file."""
        return study_name(self.asked)

    @property
    def best(self) -> Trial | None:
        """The best finished trial, the earliest of equals."""
        sign = -1 if self.higher_is_better else 1
        done = [t for t in self.trials if t.state == "complete" and t.value is not None]
        return min(done, key=lambda t: (sign * (t.value or 0.0), t.number), default=None)

    @property
    def seconds(self) -> float:
        """Of all trials together."""
        return sum(t.seconds for t in self.trials)

    def count(self, state: State) -> int:
        """Number of trials in a state."""
        return sum(t.state == state for t in self.trials)

    def tuned(self) -> Tuned:
        """What a run's record tells of the study.

        Raises:
            RecordError: no trial was finished.
        """
        if self.best is None or self.best.value is None:
            raise RecordError(f"study {self.name}: no trial was finished")
        return Tuned(
            study=self.name,
            fold=self.asked.fold,
            parameters=self.best.parameters,
            trial=self.best.number,
            metric=self.metric,
            value=self.best.value,
            complete=self.count("complete"),
            pruned=self.count("pruned"),
            failed=self.count("failed"),
            seconds=round(self.seconds, 2),
        )

    def to_json(self) -> str:
        """The file's text: the study and a digest of it, one line for each field."""
        return seal(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, text: str, name: str = "study") -> Study:
        """Read a file's text, checking that it is whole and unchanged.

        Raises:
            RecordError: it is not a study, or was changed after it was written.
        """
        return read_sealed(cls, text, name, "study", "delete it")


def asked_of_study(asked: Asked, first_fold: int) -> Asked:
    """What determines the study that a tuned run needs: all but what the search does not depend on.

    Repetitions (seeds) and ensembles of a run share its study, and so do both schemes on the first fold.

    Args:
        asked: what the run is asked, with tuning.
        first_fold: number of the task's first fold.
    """
    if asked.tuning is None:
        raise ValueError("a run without tuning has no study")
    fold = first_fold if asked.tuning.scheme == "first_fold" else asked.fold
    return asked.model_copy(
        update={
            "fold": fold,
            "seed": 0,
            "protocol": asked.protocol.model_copy(update={"ensemble": 1}),
            "tuning": asked.tuning.model_copy(update={"scheme": "per_fold"}),
        }
    )


def study_name(asked: Asked) -> str:
    """Readable name of a study, with a hash of what determines it."""
    model = plain_name(asked.model.rpartition(":")[2])
    return f"{plain_name(asked.task)}-{model}-{plain_name(asked.view)}-fold{asked.fold}-{asked.key[:16]}"


def study_seed(asked: Asked, *purpose: int | str) -> int:
    """A seed in [0, 2^31) that follows from what determines a study and a purpose, e.g. the number of a trial."""
    text = ":".join(["study", asked.key, *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 2**31


@dataclass(frozen=True)
class StudyFiles:
    """A folder of finished studies.

    Attributes:
        root: the folder, ``studies`` beside the records; made when something is written.
    """

    root: Path

    def find(self, asked: Asked) -> Study | None:
        """The finished study of what was asked, if it is there.

        A damaged file is moved aside (``.damaged``), as a damaged record is, and the search goes on without it.

        Raises:
            RecordError: a damaged file cannot be moved.
        """
        for path in (self.root / plain_name(asked.task)).glob(f"*/{study_name(asked)}.json"):
            try:
                study = self.read(path)
            except RecordError as error:
                _move_aside(path, error)
                continue
            if study.asked == asked:
                return study
        return None

    def write(self, study: Study) -> Path:
        """Write a finished study; its file appears whole or not at all.

        Raises:
            RecordError: the folder cannot be written or the disk is full.
        """
        path = self.root / plain_name(study.asked.task) / plain_name(study.label) / f"{study.name}.json"
        write_whole(
            path, study.to_json(), "the study cannot be written ({reason}); make room and call the same command again"
        )
        return path

    def read(self, path: Path) -> Study:
        """Read one study.

        Raises:
            RecordError: the file is damaged or was changed.
        """
        try:
            return Study.from_json(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(f"{path}: cannot be read ({error})") from error

    def read_all(self) -> tuple[list[Study], list[RecordError]]:
        """All studies, and an error for every file that is not one."""
        outcomes = list(self._read_each())
        return (
            [o for o in outcomes if isinstance(o, Study)],
            [o for o in outcomes if isinstance(o, RecordError)],
        )

    def _read_each(self) -> Iterator[Study | RecordError]:
        for path in sorted(p for p in self.root.glob("*/*/*.json") if not p.name.startswith(".")):
            try:
                yield self.read(path)
            except RecordError as error:
                yield error


def _move_aside(path: Path, error: RecordError) -> None:
    aside = path.with_suffix(".damaged")
    try:
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            path.replace(aside)
            log.warning("%s; moved aside to %s, the study is made again", error, aside.name)
    except OSError as failure:
        raise RecordError(f"{error} (it cannot be moved aside: {failure.strerror or failure})") from failure
