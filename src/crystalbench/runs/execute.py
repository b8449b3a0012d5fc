"""Executing one run: fold, view, inner split, fit, predict, score, record."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crystalbench.data.samples import Predictions, Samples
from crystalbench.data.views import get_view
from crystalbench.errors import ConfigError
from crystalbench.evaluation.metrics import score
from crystalbench.models.model import Model, Phase, Progress, silent
from crystalbench.results.record import DataFile, Record, RowCounts, Timings, TuningResult, predicted, scores_for_json
from crystalbench.results.spec import RunSpec
from crystalbench.runs.command import CommandNames, repeat_command
from crystalbench.runs.ensemble import combine, new_member, release
from crystalbench.runs.environment import environment, peak_memory_mb, reset_peak_memory
from crystalbench.runs.fit_checkpoints import FitCheckpoints
from crystalbench.runs.kept_models import save_models
from crystalbench.runs.protocol import inner_splits, training_rows
from crystalbench.runs.resources import Resources
from crystalbench.runs.visible import VisibleTask
from crystalbench.runs.waiting import waited_seconds
from crystalbench.sees import Sees, seen
from crystalbench.source_code import code_digest, source_digest
from crystalbench.tasks.task import Task


@dataclass(frozen=True)
class Computed:
    """The result of a run in memory: its record and the fitted models, one for each member of the ensemble."""

    record: Record
    models: tuple[Model, ...] = ()


def execute(
    spec: RunSpec,
    label: str,
    model: type[Model],
    task: Task,
    resources: Resources,
    progress: Progress = silent,
    shown: VisibleTask | None = None,
    tuned: TuningResult | None = None,
    names: CommandNames | None = None,
    keep_models: Path | None = None,
) -> Record:
    """Compute one run and return its record. The record is not written.

    The test part reaches the model once, without targets, after the fit.

    Args:
        spec: specification of the run.
        label: the model's name in tables.
        model: the model class named by ``spec.model``.
        task: the task named by ``spec.task``, with the same digest.
        resources: device and threads.
        progress: called with the progress of the fit; the members of an ensemble are fitted in turn.
        shown: what the model may see of the task, to share representations between runs.
        tuned: the result of tuning, if the specification includes tuning.
        names: the user's names for model and view, for the command that repeats the run.
        keep_models: folder in which the fitted models are saved, if they can be saved.

    Raises:
        ValueError: ``tuned`` is given for a run without tuning, or missing for a run with tuning.
        CrystalBenchError: the model refuses the task or predicts values that are not valid.
    """
    computed = compute(spec, label, model, task, resources, progress, shown, tuned, names)
    if keep_models is not None:
        save_models(computed.record, computed.models, keep_models)
    return computed.record


def compute(
    spec: RunSpec,
    label: str,
    model: type[Model],
    task: Task,
    resources: Resources,
    progress: Progress = silent,
    shown: VisibleTask | None = None,
    tuned: TuningResult | None = None,
    names: CommandNames | None = None,
    checkpoints: FitCheckpoints | None = None,
) -> Computed:
    """Compute one run and return its record with the fitted models; see `execute`.

    With ``checkpoints``, long fits are saved there from time to time, and go on where an interrupted call saved them.
    """
    if (tuned is None) != (spec.tuning is None):
        raise ValueError("the result of tuning must be given for runs with tuning, and only for these")
    reset_peak_memory()
    shown = shown or VisibleTask.of(task, get_view(spec.view), model.needs, resources.processes)
    shown.used.clear()
    progress = shown.follow(progress)
    train_rows, (_, test_rows) = training_rows(task, spec), task.split(spec.fold)
    splits = inner_splits(task.name, spec.fold, task.targets[train_rows], task.target.kind, spec.protocol)
    test = shown.samples(test_rows, with_targets=False)
    parameters = {**spec.parameters, **(tuned.parameters if tuned else {})}
    members = []
    for number, (inner_train, inner_valid) in enumerate(splits):
        member = new_member(model, parameters, spec, number, len(splits), resources, progress, checkpoints)
        train, valid = (shown.samples(train_rows[part], with_targets=True) for part in (inner_train, inner_valid))
        fit_seconds, fit_waited = _fit(member, train, valid, shown)
        progress(0, len(test), phase=Phase.PREDICTING, unit="rows")
        start = time.perf_counter()
        predictions = _predict(member, test).checked(task.target, test.ids)
        members.append(_Member(member, predictions, fit_seconds, fit_waited, time.perf_counter() - start))
        release(member)
    rows = RowCounts(
        train=len(splits[0][0]),
        valid=len(splits[0][1]),
        test=len(test_rows),
        task=len(task),
        task_total=task.rows_total,
        task_folds=len(task.fold_numbers),
    )
    record = _record(spec, label, model, task, members, rows, shown, resources, tuned, names)
    return Computed(record, tuple(member.model for member in members))


@dataclass(frozen=True)
class _Member:
    """A fitted member of an ensemble.

    Attributes:
        model: the member.
        predictions: of the test part.
        fit_seconds: time of its fit.
        fit_waited: the part of it spent waiting for a processor; None if unknown.
        predict_seconds: time of its predictions.
    """

    model: Model
    predictions: Predictions
    fit_seconds: float
    fit_waited: float | None
    predict_seconds: float


def _fit(member: Model, train: Samples, valid: Samples, shown: VisibleTask) -> tuple[float, float | None]:
    """Fit a member.

    Returns:
        The seconds without those of representations, with those of an interrupted fit; and those of waiting for a
        processor, None if they are unknown.
    """
    member.runtime.progress(0, 0)
    prepared, before, start = shown.waited, waited_seconds(), time.perf_counter()
    member.fit(train, valid)
    seconds, after = time.perf_counter() - start - (shown.waited - prepared), waited_seconds()
    earlier = member.runtime.checkpoint.earlier_seconds if member.runtime.checkpoint is not None else 0.0
    if before is None or after is None or earlier:
        return seconds + earlier, None
    return seconds, min(after - before, seconds)


def _sum_if_known(seconds: Sequence[float | None]) -> float | None:
    known = [value for value in seconds if value is not None]
    return round(sum(known), 4) if len(known) == len(seconds) else None


def _predict(model: Model, samples: Samples) -> Predictions:
    """Predictions of a model, which may be a user's own.

    Raises:
        ConfigError: the model returns something else.
    """
    found = model.predict(samples)
    if not isinstance(found, Predictions):
        raise ConfigError(
            f"{type(model).__name__}.predict returns {type(found).__name__}; it must return "
            "crystalbench.data.Predictions(values)"
        )
    return found


def _record(
    spec: RunSpec,
    label: str,
    model: type[Model],
    task: Task,
    members: Sequence[_Member],
    rows: RowCounts,
    shown: VisibleTask,
    resources: Resources,
    tuned: TuningResult | None,
    names: CommandNames | None,
) -> Record:
    """The record of a run whose members have been fitted and have predicted the test part."""
    models = [member.model for member in members]
    combined = combine([member.predictions for member in members], task.target.kind)
    _, test_rows = task.split(spec.fold)
    targets = task.targets[test_rows]
    classes = [model, *models[0].parts]
    return Record(
        spec=spec,
        label=label,
        metric=task.metric,
        kind=str(task.target.kind),
        unit=task.target.unit,
        scores=scores_for_json(score(task.target.kind, targets, combined.values)),
        predictions=predicted(shown.inputs.ids[test_rows], targets, combined.values, combined.std),
        rows=rows,
        seconds=Timings(
            featurise=round(shown.seconds, 4),
            fit=round(sum(member.fit_seconds for member in members), 4),
            fit_waited=_sum_if_known([member.fit_waited for member in members]),
            predict=round(sum(member.predict_seconds for member in members), 4),
        ),
        peak_memory_mb=round(peak_memory_mb(), 1),
        n_parameters=_total_parameters(models),
        device=resources.device,
        threads=resources.threads,
        concurrent=resources.concurrent,
        source=DataFile(name=task.source.name, sha256=task.source.sha256, verified=task.source.verified),
        remarks=list(task.remarks),
        defaults_chosen_on=sorted(frozenset().union(*(c.defaults_chosen_on for c in classes))),
        sees=_seen_by(models[0], shown).value,
        pretrained_on=sorted(models[0].pretrained_on),
        environment=environment(resources.device),
        model_source=source_digest(model),
        code=code_digest(*classes),
        command=repeat_command(spec, task, tuned, names),
        tuned=tuned,
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _seen_by(model: Model, shown: VisibleTask) -> Sees:
    """What a model sees of a task under the view of a run.

    Raises:
        ConfigError: the model declares something else than a member of `Sees`.
    """
    declared: object = model.sees
    if not isinstance(declared, Sees):
        kinds = ", ".join(f"Sees.{kind.name}" for kind in Sees)
        raise ConfigError(f"{type(model).__name__}.sees is {declared!r}; it must be one of {kinds}")
    return seen(declared, shown.hidden)


def _total_parameters(members: Sequence[Model]) -> int | None:
    known = [n for member in members if (n := member.n_parameters) is not None]
    return sum(known) if known else None
