"""Studies: the result of each hyperparameter search, one immutable file per study."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field

from crystalbench.errors import RecordError
from crystalbench.results.names import plain_name
from crystalbench.results.record import Decision, TuningResult
from crystalbench.results.sealed import Frozen, Sealed
from crystalbench.results.seeds import derived_seed
from crystalbench.results.spec import RunSpec

FORMAT = 3

State = Literal["complete", "pruned", "failed", "running"]


class Trial(Frozen):
    """One configuration of a study.

    Attributes:
        number: from 0; trial 0 is the configuration of the specification.
        state: ``complete``, ``pruned``, ``failed``, or ``running`` while the study is not finished.
        parameters: hyperparameters of the search space.
        value: score, the mean over the evaluations; None unless the trial was completed.
        scores: score of each evaluation, in order; empty up to format 2.
        intermediate: pairs of the number of an evaluation, from 1, and the mean score up to it. Up to format 2, pairs
            of progress (in tenths of the first fit) and the best validation score so far, with the sign of the
            metric's direction.
        seconds: time to fit and score the trial.
        error: message of the error of a failed trial.
        tries: number of attempts; more than one if a worker was stopped.
    """

    number: int
    state: State
    parameters: dict[str, Any]
    value: float | None = None
    scores: list[float] = Field(default_factory=list)
    intermediate: list[tuple[int, float]] = Field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None
    tries: int = 1


class Study(Sealed):
    """One hyperparameter search on the training part of one fold.

    Attributes:
        spec: specification of the search (see `study_spec`); called ``asked`` in format 1.
        label: the model's name in tables.
        metric: name of the metric that scores the trials.
        higher_is_better: whether a larger score is better.
        unit: unit of the target.
        space: the search space: Optuna's distributions as JSON, by hyperparameter.
        trials: the trials, ordered by number.
        decision: whether the default was kept, and why; provisional while the study is running. None if no trial was
            completed, and up to format 2.
        environment: versions, processor and git commit of the process that finished the study.
        finished: UTC time, ISO 8601; empty while the study is running.
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
    decision: Decision | None = None
    environment: dict[str, Any] = Field(default_factory=dict)
    finished: str = ""
    format: int = FORMAT

    @property
    def name(self) -> str:
        """Name of the study in the storage, and of its file."""
        return study_name(self.spec)

    @property
    def file_name(self) -> str:
        """Path of the file, relative to the folder of studies."""
        return f"{plain_name(self.spec.task)}/{plain_name(self.label)}/{self.name_of(self.spec)}"

    @staticmethod
    def name_of(spec: RunSpec) -> str:
        """Name of the file that holds a study."""
        return f"{study_name(spec)}.json"

    @property
    def best(self) -> Trial | None:
        """The best completed trial; of equal ones, the earliest. None if no trial was completed."""
        sign = -1 if self.higher_is_better else 1
        done = [t for t in self.trials if t.state == "complete" and t.value is not None]
        return min(done, key=lambda t: (sign * (t.value or 0.0), t.number), default=None)

    @property
    def chosen(self) -> Trial | None:
        """The trial whose configuration a run uses: that of the decision; in studies without one, the best."""
        if self.decision is None:
            return self.best
        number = 0 if self.decision.kept else self.decision.candidate
        return next(trial for trial in self.trials if trial.number == number)

    @property
    def seconds(self) -> float:
        """Time of all trials together."""
        return sum(t.seconds for t in self.trials)

    def count(self, state: State) -> int:
        """Number of trials in a state."""
        return sum(t.state == state for t in self.trials)

    def tuned(self) -> TuningResult:
        """Summary of the study for the records of the runs that use it.

        Raises:
            RecordError: no trial was completed.
        """
        chosen = self.chosen
        if chosen is None or chosen.value is None:
            raise RecordError(f"study {self.name}: no trial was completed")
        return TuningResult(
            study=self.name,
            fold=self.spec.fold,
            parameters=chosen.parameters,
            trial=chosen.number,
            metric=self.metric,
            value=chosen.value,
            complete=self.count("complete"),
            pruned=self.count("pruned"),
            failed=self.count("failed"),
            seconds=round(self.seconds, 2),
            decision=self.decision,
        )


def study_spec(spec: RunSpec, first_fold: int) -> RunSpec:
    """Specification of the study that a tuned run needs.

    It leaves out everything that the search does not depend on: runs that differ in seed or in the size of the ensemble
    share a study, and so do both schemes on the first fold. Runs on a fraction of the training part keep their seed,
    which chooses the rows.

    Args:
        spec: specification of a run with tuning.
        first_fold: number of the task's first fold.

    Raises:
        ValueError: the run has no tuning.
    """
    if spec.tuning is None:
        raise ValueError("a run without tuning has no study")
    fold = first_fold if spec.tuning.scheme == "first_fold" else spec.fold
    return spec.model_copy(
        update={
            "fold": fold,
            "seed": 0 if spec.train_fraction is None else spec.seed,
            "protocol": spec.protocol.model_copy(update={"ensemble": 1}),
            "tuning": spec.tuning.model_copy(update={"scheme": "per_fold"}),
        }
    )


def study_name(spec: RunSpec) -> str:
    """Readable name of a study, with the start of its key."""
    model = plain_name(spec.model.rpartition(":")[2])
    return f"{plain_name(spec.task)}-{model}-{plain_name(spec.view)}-fold{spec.fold}-{spec.key[:16]}"


def study_seed(spec: RunSpec, *purpose: int | str) -> int:
    """A seed in [0, 2^31) derived from the specification of a study and a purpose, e.g. the number of a trial."""
    return derived_seed("study", spec.key, *purpose)
