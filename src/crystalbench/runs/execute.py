"""Executing one run: fold, view, inner split, fit, predict, score, record."""

from __future__ import annotations

import datetime
import shlex
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.samples import Predictions, Samples
from crystalbench.data.views import View, get_view
from crystalbench.errors import DataError
from crystalbench.evaluation.metrics import score
from crystalbench.models.model import Model, Needs, Progress, Runtime, silent
from crystalbench.plugins import source_digest
from crystalbench.representations import Arrays, Representation
from crystalbench.representations.cache import represent
from crystalbench.results.record import DataFile, Record, RowCounts, Timings, TuningResult, predicted, scores_for_json
from crystalbench.results.spec import RunSpec
from crystalbench.runs.environment import environment, peak_memory_mb, reset_peak_memory
from crystalbench.runs.protocol import inner_splits
from crystalbench.targets import Kind
from crystalbench.tasks.task import Task


@dataclass(frozen=True)
class Resources:
    """Where runs run: torch device and threads."""

    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class CommandNames:
    """The words by which model and view were given.

    A place such as ``mine/my_model.py:Mine`` is needed to repeat a run, but a key must not depend on it, so it is not
    part of what is asked.
    """

    model: str
    view: str


@dataclass
class VisibleTask:
    """A task's inputs as a model may see them, with representations computed once for all folds.

    Attributes:
        task: the task.
        inputs: its inputs under a view; compositions alone for models that need no more.
        processes: that may compute representations.
        used: keys of the representations that were asked for since it was last emptied.
        waited: seconds spent so far on getting representations, computed or read.
    """

    task: Task
    inputs: Inputs
    processes: int = 1
    used: set[str] = field(default_factory=set)
    waited: float = 0.0
    _memo: dict[str, tuple[Arrays, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, task: Task, view: View, needs: Needs, processes: int = 1) -> VisibleTask:
        """What a model with these needs may see of a task under a view.

        Raises:
            DataError: the model needs structures and the task has none.
        """
        inputs = task.inputs
        if isinstance(inputs, Crystals):
            inputs = view(inputs)
            return cls(task, inputs.compositions() if needs is Needs.COMPOSITION else inputs, processes)
        if needs is Needs.STRUCTURE:
            raise DataError(f"{task.name}: has compositions only; this model needs structures")
        return cls(task, inputs, processes)

    def samples(self, rows: npt.NDArray[np.int64], *, with_targets: bool) -> Samples:
        """The rows of a part of a fold. Rows to predict carry no targets."""
        targets = self.task.targets[rows] if with_targets else None
        return Samples(self.inputs[rows], self.task.target, targets, represent=self._rows_of, rows=rows)

    @property
    def seconds(self) -> float:
        """Seconds that computing the used representations took."""
        return sum(self._memo[key][1] for key in self.used)

    def _rows_of(self, representation: Representation, rows: npt.NDArray[np.int64]) -> Arrays:
        if representation.key not in self._memo:
            start = time.perf_counter()
            self._memo[representation.key] = represent(representation, self.inputs, self.processes)
            self.waited += time.perf_counter() - start
        self.used.add(representation.key)
        return self._memo[representation.key][0][rows]


def execute(
    spec: RunSpec,
    label: str,
    model: type[Model],
    task: Task,
    machine: Resources,
    progress: Progress = silent,
    shown: VisibleTask | None = None,
    tuned: TuningResult | None = None,
    given: CommandNames | None = None,
) -> Record:
    """Do one run and return its record; nothing is written.

    The test part reaches the model once, without targets, after it was fitted.

    Args:
        spec: specification of the run.
        label: the model's name in tables.
        model: the model class that ``asked.model`` names.
        task: the task that ``asked.task`` names, with the same digest.
        machine: device and threads.
        progress: told of every epoch, members of an ensemble one after another.
        shown: what the model may see of the task, to share representations between runs.
        tuned: what tuning found, where it was asked for.
        given: the words for model and view in the command that repeats the run; without them, the names asked.
    """
    if (tuned is None) != (spec.tuning is None):
        raise ValueError("a run that asks for tuning is executed with what was found, and no other")
    reset_peak_memory()
    shown = shown or VisibleTask.of(task, get_view(spec.view), model.needs, machine.threads)
    shown.used.clear()
    train_rows, test_rows = task.split(spec.fold)
    splits = inner_splits(task.name, spec.fold, task.targets[train_rows], task.target.kind, spec.protocol)
    test = shown.samples(test_rows, with_targets=False)
    fit_seconds, predict_seconds = 0.0, 0.0
    members: list[Predictions] = []
    parameters: int | None = None
    for number, (inner_train, inner_valid) in enumerate(splits):
        member = model.from_configuration({**spec.parameters, **(tuned.parameters if tuned else {})})
        member.runtime = Runtime(
            seed=spec.derived_seed("member", number),
            device=machine.device,
            threads=machine.threads,
            progress=_member_progress(progress, number, len(splits)),
        )
        train = shown.samples(train_rows[inner_train], with_targets=True)
        valid = shown.samples(train_rows[inner_valid], with_targets=True)
        waited, start = shown.waited, time.perf_counter()
        member.fit(train, valid)
        fit_seconds += time.perf_counter() - start - (shown.waited - waited)
        start = time.perf_counter()
        members.append(member.predict(test).checked(task.target, test.ids))
        predict_seconds += time.perf_counter() - start
        if member.n_parameters is not None:
            parameters = (parameters or 0) + member.n_parameters
    combined = combine(members, task.target.kind)
    targets = task.targets[test_rows]
    return Record(
        spec=spec,
        label=label,
        metric=task.metric,
        kind=str(task.target.kind),
        unit=task.target.unit,
        scores=scores_for_json(score(task.target.kind, targets, combined.values)),
        predictions=predicted(test.ids, targets, combined.values, combined.std),
        rows=RowCounts(
            train=len(splits[0][0]),
            valid=len(splits[0][1]),
            test=len(test_rows),
            task=len(task),
            task_total=task.rows_total,
            task_folds=len(task.fold_numbers),
        ),
        seconds=Timings(
            featurise=round(shown.seconds, 4), fit=round(fit_seconds, 4), predict=round(predict_seconds, 4)
        ),
        peak_memory_mb=round(peak_memory_mb(), 1),
        n_parameters=parameters,
        device=machine.device,
        threads=machine.threads,
        source=DataFile(name=task.source.name, sha256=task.source.sha256, verified=task.source.verified),
        environment=environment(machine.device),
        model_source=source_digest(model),
        command=repeat_command(spec, task, tuned, given),
        tuned=tuned,
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def combine(members: list[Predictions], kind: Kind) -> Predictions:
    """Mean of the members' predictions; for regression also their uncertainty.

    The variance is that of the members' means plus the mean of their own variances, where they give one (the law of
    total variance).
    """
    if len(members) == 1:
        return members[0]
    values = np.stack([m.values for m in members])
    if kind is not Kind.REGRESSION:
        return Predictions(values.mean(0))
    own = [m.std**2 for m in members if m.std is not None]
    variance = values.var(0) + (np.mean(own, axis=0) if len(own) == len(members) else 0.0)
    return Predictions(values.mean(0), np.sqrt(variance))


def repeat_command(
    spec: RunSpec, task: Task, tuned: TuningResult | None = None, given: CommandNames | None = None
) -> str:
    """The command that repeats a run, given the data. What was tuned is tuned again, not set.

    Task files and tables are named without their folder; files of models and views as they were given.
    """
    given = given or CommandNames(spec.model, spec.view)
    words: list[Any] = ["python", "-m", "benchmarks.run", "--task", task.source.task_file or spec.task]
    words += ["--model", given.model]
    words += ["--fold", spec.fold, "--seed", spec.seed, "--view", given.view]
    words += ["--inner-folds", spec.protocol.inner_folds, "--ensemble", spec.protocol.ensemble]
    if (tuning := spec.tuning) is not None:
        budget = ["--tune", tuning.trials] if tuning.trials is not None else ["--tune-minutes", f"{tuning.minutes:g}"]
        words += [*budget, "--tune-scheme", tuning.scheme]
        words += ["--tune-inner-folds", tuning.inner_folds, "--tune-splits", tuning.splits]
    for name, value in spec.parameters.items():
        if tuned is None or name not in tuned.parameters:
            words += ["--set", f"{name}={value}"]
    if task.source.verified == "ids":
        words += ["--data", f"{spec.task}={task.source.name}"]
    if task.is_partial:  # where a table has no more rows than these, a limit changes nothing
        words += ["--limit", len(task)]
    return shlex.join(map(str, words))


def _member_progress(progress: Progress, number: int, members: int) -> Progress:
    def report(done: int, total: int, **numbers: float) -> None:
        progress(number * total + done, members * total, **numbers)

    return report
