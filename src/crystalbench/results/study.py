"""Studies: the result of each search for hyperparameters, one immutable file per study."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field

from crystalbench.errors import RecordError
from crystalbench.results.names import plain_name
from crystalbench.results.record import TuningResult
from crystalbench.results.sealed import Frozen, Sealed
from crystalbench.results.seeds import derived_seed
from crystalbench.results.spec import RunSpec

FORMAT = 2

State = Literal["complete", "pruned", "failed", "running"]


class Trial(Frozen):
    """One configuration that was tried.

    Attributes:
        number: from 0; trial 0 is the configuration that was spec.
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
    intermediate: list[tuple[int, float]] = Field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None
    tries: int = 1


class Study(Sealed):
    """One search for hyperparameters in the training part of one fold.

    Attributes:
        spec: what determines the search; ``asked`` in studies written before format 2.
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

    noun = "study"
    remedy = "delete it"

    spec: RunSpec = Field(validation_alias=AliasChoices("spec", "asked"))
    label: str
    metric: str
    higher_is_better: bool
    unit: str
    space: dict[str, Any]
    trials: list[Trial]
    environment: dict[str, Any] = Field(default_factory=dict)
    finished: str = ""
    format: int = FORMAT

    @property
    def name(self) -> str:
        """Name in the storage, and of the file."""
        return study_name(self.spec)

    @property
    def file_name(self) -> str:
        """Path of the file below the folder of studies."""
        return f"{plain_name(self.spec.task)}/{plain_name(self.label)}/{self.name_of(self.spec)}"

    @staticmethod
    def name_of(spec: RunSpec) -> str:
        """Name of the file of a study."""
        return f"{study_name(spec)}.json"

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

    def tuned(self) -> TuningResult:
        """What a run's record tells of the study.

        Raises:
            RecordError: no trial was completed.
        """
        if self.best is None or self.best.value is None:
            raise RecordError(f"study {self.name}: no trial was completed")
        return TuningResult(
            study=self.name,
            fold=self.spec.fold,
            parameters=self.best.parameters,
            trial=self.best.number,
            metric=self.metric,
            value=self.best.value,
            complete=self.count("complete"),
            pruned=self.count("pruned"),
            failed=self.count("failed"),
            seconds=round(self.seconds, 2),
        )


def study_spec(spec: RunSpec, first_fold: int) -> RunSpec:
    """What determines the study that a tuned run needs: all but what the search does not depend on.

    Repetitions (seeds) and ensembles of a run share its study, and so do both schemes on the first fold.

    Args:
        spec: specification of the run, with tuning.
        first_fold: number of the task's first fold.
    """
    if spec.tuning is None:
        raise ValueError("a run without tuning has no study")
    fold = first_fold if spec.tuning.scheme == "first_fold" else spec.fold
    return spec.model_copy(
        update={
            "fold": fold,
            "seed": 0,
            "protocol": spec.protocol.model_copy(update={"ensemble": 1}),
            "tuning": spec.tuning.model_copy(update={"scheme": "per_fold"}),
        }
    )


def study_name(spec: RunSpec) -> str:
    """Readable name of a study, with a hash of what determines it."""
    model = plain_name(spec.model.rpartition(":")[2])
    return f"{plain_name(spec.task)}-{model}-{plain_name(spec.view)}-fold{spec.fold}-{spec.key[:16]}"


def study_seed(spec: RunSpec, *purpose: int | str) -> int:
    """A seed in [0, 2^31) that follows from what determines a study and a purpose, e.g. the number of a trial."""
    return derived_seed("study", spec.key, *purpose)
