"""`run_models`: runs from a script or a notebook, on a loaded task."""

from __future__ import annotations

import contextlib
import inspect
import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crystalbench.errors import ConfigError, CrystalBenchError
from crystalbench.models import Model, get_model
from crystalbench.models.devices import checked_device
from crystalbench.models.names import name_of
from crystalbench.results.record import Record
from crystalbench.results.store import RecordStore
from crystalbench.runs.executors import Engine, executor_for
from crystalbench.runs.fit_checkpoints import FitCheckpoints
from crystalbench.runs.locks import RunLocks
from crystalbench.runs.numbers import LARGEST_SEED, MOST_PROCESSES, whole_number, whole_numbers
from crystalbench.runs.observer import Observer
from crystalbench.runs.plan import Plan, Selection, plan_of_task
from crystalbench.runs.resources import Resources, number_of_workers, usable_cores
from crystalbench.runs.runner import Runner
from crystalbench.runs.scheduler import Outcome, run_plan
from crystalbench.runs.suite import ModelEntry, ProtocolEntry, ResourcesEntry, Suite, TuningEntry
from crystalbench.runs.tune import Tuner
from crystalbench.source_code import source_digest
from crystalbench.tasks.task import Task

log = logging.getLogger(__name__)

ModelChoice = str | type[Model]
"""A model: registered name, ``package.module:Class``, ``path/to/file.py:Class``, or a class."""


@dataclass
class RunResult:
    """What `run_models` returns.

    Attributes:
        records: the records, fold by fold and model by model, without those of failed runs.
        models: fitted models by label, fold and seed, one for each member of the ensemble; empty unless requested.
        failures: titles of failed runs with the reasons.
    """

    records: list[Record]
    models: dict[tuple[str, int, int], tuple[Model, ...]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def run_models(
    models: ModelChoice | Sequence[ModelChoice],
    task: Task,
    *,
    folds: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    view: str = "full",
    parameters: Mapping[str, Any] | None = None,
    results: Path | str | None = None,
    keep_models: bool = False,
    ensemble: int | None = None,
    inner_folds: int | None = None,
    fold_scheme: str | None = None,
    train_fraction: float | Sequence[float] | None = None,
    tuning: TuningEntry | int | None = None,
    device: str = "cpu",
    workers: int | None = None,
    engine: Engine | None = None,
    observer: Observer | None = None,
) -> RunResult:
    """Run one or several models on a task, over its folds.

    Args:
        models: one model or several: registered names, ``package.module:Class``, ``path/to/file.py:Class``, or classes.
        task: the loaded task.
        folds: outer folds; by default all of the task.
        seeds: numbers of the repetitions; by default 0 only.
        view: what the models may see.
        parameters: hyperparameters, for the models that have them; the defaults for all others.
        results: folder of results. Records that it holds are not computed again, and new ones are written to it, as
            the command line does. By default nothing is written.
        keep_models: whether fitted models are returned; with ``results`` they are also saved, in its folder ``models``.
        ensemble: number of members, each validated on another inner fold; by default 1.
        inner_folds: number of inner folds of the training part; by default 10.
        fold_scheme: how the outer folds are made, e.g. ``formula`` or ``element:O``, or a ``.json`` file of folds; by
            default those of the task.
        train_fraction: shares of the training part to learn from, one or several; by default all of it.
        tuning: number of trials, or details; by default the models are not tuned.
        device: torch device.
        workers: number of processes; by default as many as usable cores, but no more than runs. On a cluster, number of
            runs in flight.
        engine: where runs are computed; by default in processes of this machine, or in this one if one is enough.
        observer: notified of the events of runs.

    Returns:
        Records, fitted models and failures.

    Raises:
        UnknownNameError: a model, view, fold scheme or hyperparameter does not exist.
        ConfigError: a fold does not exist, a model cannot be used, or the options contradict each other.
        RecordError: a record cannot be written.
        CrystalBenchError: all runs failed.

    Examples:
        >>> from crystalbench.tasks import DataSources, get_task_spec
        >>> task = get_task_spec("demo_formation_energy").load(DataSources(limit=60, download=False))
        >>> result = run_models("dummy", task, folds=[0, 1])
        >>> [record.spec.fold for record in result.records]
        [0, 1]
    """
    chosen = list(models) if isinstance(models, Sequence) and not isinstance(models, str) else [models]
    entries = [_entry(model, keeps_records=results is not None) for model in chosen]
    if not isinstance(task, Task):
        raise ConfigError(f"task = {task!r}: give a task of load_task(...), or its name")
    engine = engine or Engine()
    workers = engine.workers(None if workers is None else whole_number("workers", workers, 1, MOST_PROCESSES))
    if device != "cpu" and not engine.is_cluster:
        checked_device(device)
    if keep_models and isinstance(train_fraction, Sequence) and len(train_fraction) > 1:
        raise ConfigError("keep_models with several fractions: models are returned by label, fold and seed; run one")
    suite = Suite(
        name="run_models",
        tasks=(task.name,),
        protocol=_protocol(ensemble, inner_folds, fold_scheme, train_fraction),
        tuning=_tuning(tuning),
        resources=ResourcesEntry(cpus=engine.reserves.cpus, gpus=engine.reserves.gpus),
    )
    selection = Selection(
        folds=whole_numbers("folds", folds),
        seeds=whole_numbers("seeds", seeds, 0, LARGEST_SEED),
        views=[view],
        parameters=dict(parameters or {}),
    )
    plan = plan_of_task(task, entries, suite, selection)
    with contextlib.ExitStack() as stack:
        root = Path(results) if results is not None else None
        studies = root or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crystalbench-")))
        calls = _Calls(root, studies / "studies", device, workers, engine, keep_models, observer)
        outcome = calls.run(plan, None if root is None else RecordStore(root / "records"))
        if keep_models and (again := [run for run in plan.runs if run.spec.key in calls.without_models(outcome)]):
            # Their records were found, but not their models. The same key means the same numbers.
            outcome.models |= calls.run(Plan(again, plan.tasks, []), None).models
    return _result(plan, outcome)


@dataclass(frozen=True)
class _Calls:
    root: Path | None
    studies: Path
    device: str
    workers: int | None
    engine: Engine
    keep_models: bool
    observer: Observer | None

    def run(self, plan: Plan, store: RecordStore | None) -> Outcome:
        since = time.time()
        if store is not None:
            RunLocks(store.root).check_writable()
        missing = sum(store is None or store.path_of(run.spec) is None for run in plan.runs)
        tuned = any(run.spec.tuning for run in plan.runs)
        workers = number_of_workers(missing, Resources(self.device), self.workers, tuned=tuned)
        resources = Resources(self.device, processes=usable_cores() if workers == 1 else 1)
        runner = Runner(
            resources,
            Tuner.in_folder(self.studies, None, resources, since),
            keep_models=self.root / "models" if self.root is not None and self.keep_models else None,
            return_models=self.keep_models,
            checkpoints=None if store is None else FitCheckpoints.of_records(store.root),
        )
        with executor_for(runner, workers, self.engine if missing else None, self.workers) as executor:
            return run_plan(plan, store, executor, self.observer, since)

    @staticmethod
    def without_models(outcome: Outcome) -> set[str]:
        return {record.key for record in outcome.records} - set(outcome.models)


def _entry(model: object, *, keeps_records: bool) -> tuple[ModelEntry, type[Model]]:
    if isinstance(model, str):
        return ModelEntry(model=model), get_model(model)
    if not (inspect.isclass(model) and issubclass(model, Model)):
        raise ConfigError(f"model {model!r} is not a name and not a subclass of crystalbench.models.Model")
    name = name_of(model)
    if name.startswith("crystalbench_file_"):  # a file that was loaded by its path
        name = f"{inspect.getsourcefile(model)}:{model.__qualname__}"
    elif keeps_records and ":" in name and not source_digest(model):
        raise ConfigError(
            f"model {name}: its source is not known, so a record could not be told from one of an earlier version "
            "of it; define it in a file, or leave out results"
        )
    return ModelEntry(model=name), model


def _tuning(tuning: TuningEntry | int | None) -> TuningEntry | None:
    if tuning is None or isinstance(tuning, TuningEntry):
        return tuning
    return TuningEntry(trials=whole_number("tuning", tuning, 1))


def _protocol(
    ensemble: int | None,
    inner_folds: int | None,
    fold_scheme: str | None,
    train_fraction: float | Sequence[float] | None,
) -> ProtocolEntry:
    given: dict[str, Any] = {"ensemble": ensemble, "inner_folds": inner_folds, "fold_scheme": fold_scheme}
    if fold_scheme is not None and not isinstance(fold_scheme, str):
        raise ConfigError(f"fold_scheme = {fold_scheme!r}: give its name as text, e.g. 'formula', or a .json file")
    if train_fraction is not None:
        several = train_fraction if isinstance(train_fraction, Sequence) else [train_fraction]
        if not several or not all(isinstance(share, int | float) and 0 < share <= 1 for share in several):
            raise ConfigError(f"train_fraction = {train_fraction!r}: give numbers above 0 and at most 1")
        given["train_fractions"] = tuple(map(float, several))
    for name, least in (("ensemble", 1), ("inner_folds", 2)):
        if given[name] is not None:
            given[name] = whole_number(name, given[name], least)
    return ProtocolEntry(**{name: value for name, value in given.items() if value is not None})


def _result(plan: Plan, outcome: Outcome) -> RunResult:
    failures = {run.title: reason for run, reason in outcome.failures}
    if failures and not outcome.records:
        listing = "; ".join(f"{title}: {reason}" for title, reason in failures.items())
        raise CrystalBenchError(f"all {len(failures)} runs failed: {listing}")
    for title, reason in failures.items():
        log.warning("%s failed: %s", title, reason)
    runs = {run.spec.key: run for run in plan.runs}
    models = {
        (runs[key].label, runs[key].spec.fold, runs[key].spec.seed): fitted for key, fitted in outcome.models.items()
    }
    return RunResult(outcome.records, models, failures)
