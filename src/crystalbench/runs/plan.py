"""Plans: a suite and a selection to the list of runs, in order, with notes on what cannot be run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from crystalbench.data.views import FULL, View, full, get_view
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.models import Model, Needs, get_model
from crystalbench.models.model import hyperparameter_types
from crystalbench.plugins import source_digest
from crystalbench.results.spec import RunSpec
from crystalbench.runs.execute import CommandNames
from crystalbench.runs.suite import ModelEntry, Suite
from crystalbench.tasks import DataSources, TaskSpec, get_task_spec, require_data, resolve_tasks
from crystalbench.tasks.task import Task
from crystalbench.tuning.space import Space, default_in, digest_of, space_of


@dataclass(frozen=True)
class Selection:
    """What to take of a suite; everything where empty. Models may also be ones that the suite does not name."""

    tasks: Sequence[str] = ()
    models: Sequence[str] = ()
    folds: Sequence[int] = ()
    seeds: Sequence[int] = ()
    views: Sequence[str] = ()
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Run:
    """One run to do: what is asked, of which class, on which loaded task, under which view, with what to tune.

    ``given`` holds the words by which the user gave model and view, for the command that repeats the run.
    """

    spec: RunSpec
    label: str
    model: type[Model]
    task: Task
    view: View = full
    space: Space = field(default_factory=dict)
    given: CommandNames | None = None

    @property
    def title(self) -> str:
        """One line for people."""
        view = "" if self.spec.view == FULL else f", view {self.spec.view}"
        seed = f", seed {self.spec.seed}" if self.spec.seed else ""
        tuned = "" if self.spec.tuning is None else ", tuned"
        return f"{self.task.name} · {self.label} · fold {self.spec.fold}{view}{seed}{tuned}"


@dataclass(frozen=True)
class Plan:
    """Runs in order, and notes on what was left out and why."""

    runs: list[Run]
    tasks: list[Task]
    notes: list[str]


class _Notes:
    """Reasons for leaving tasks out, each with the tasks it is true of."""

    def __init__(self) -> None:
        self._tasks: dict[str, dict[str, None]] = defaultdict(dict)
        self._plain: dict[str, None] = {}

    def add(self, reason: str, task: str) -> None:
        self._tasks[reason][task] = None

    def say(self, line: str) -> None:
        self._plain[line] = None

    def lines(self) -> list[str]:
        left_out = [f"{reason}, left out: {', '.join(tasks)}" for reason, tasks in self._tasks.items()]
        return [*left_out, *self._plain]


def make_plan(suite: Suite, selection: Selection, sources: DataSources) -> Plan:
    """All runs of a suite that a selection takes: task by task, fold by fold, model by model.

    Raises:
        UnknownNameError: a selected task, model, hyperparameter or view does not exist.
        ConfigError: a selected fold does not exist, or no run is left.
        DataError: data is missing or damaged.
    """
    notes = _Notes()
    entries = [(entry, get_model(entry.model)) for entry in _chosen_models(suite, selection)]
    _check_parameters(entries, selection.parameters)
    entries = [(_with_parameters(entry, model, selection.parameters), model) for entry, model in entries]
    spaces = [_space(entry, model, suite, notes) for entry, model in entries]
    specs = _chosen_tasks(suite, selection)
    if suite.optional_data:
        specs = _at_hand(specs, sources, notes)
    else:
        require_data(specs, sources)
    tasks = [spec.load(sources) for spec in specs]
    runs: list[Run] = []
    for task in tasks:
        able = [(e, m, s) for (e, m), s in zip(entries, spaces, strict=True) if _can(task, e, m, notes)]
        for fold in _chosen_folds(task, selection.folds or suite.protocol.folds):
            for view in dict.fromkeys(selection.views or suite.protocol.views):
                if view != FULL and not task.has_structures:
                    notes.add(f"the view {view} needs structures", task.name)
                    continue
                seen = get_view(view)
                for seed in dict.fromkeys(selection.seeds or suite.protocol.seeds):
                    for entry, model, space in able:
                        given = CommandNames(entry.model, view)
                        runs.append(_run(task, entry, model, space, fold, seen, seed, suite, given))
    if not runs:
        raise ConfigError("nothing to run: " + ("; ".join(notes.lines()) or "the selection is empty"))
    return Plan(runs, tasks, notes.lines())


def _run(
    task: Task,
    entry: ModelEntry,
    model: type[Model],
    space: Space,
    fold: int,
    view: View,
    seed: int,
    suite: Suite,
    given: CommandNames,
) -> Run:
    spec = RunSpec(
        task=task.name,
        data=task.digest,
        fold=fold,
        model=entry.model if ":" not in entry.model else entry.model.replace("\\", "/").rpartition("/")[2],
        model_version=model.version,
        parameters=model.from_configuration(entry.parameters).configuration(),
        model_code=source_digest(model) if ":" in entry.model else None,
        view=view.name,
        view_version=view.version,
        seed=seed,
        protocol=suite.protocol.protocol(),
        tuning=suite.tuning.tuning(digest_of(space), task.target.kind, task.metric) if suite.tuning and space else None,
    )
    members = suite.protocol.ensemble
    label = entry.name if members == 1 else f"{entry.name} x{members}"
    return Run(spec, label, model, task, view, space, given)


def _space(entry: ModelEntry, model: type[Model], suite: Suite, notes: _Notes) -> Space:
    """What is tuned of an entry: hyperparameters that are not given; nothing where tuning is not asked for."""
    if suite.tuning is None:
        return {}
    space = space_of(model, entry.parameters)
    if not space:
        notes.say(f"{entry.name} has nothing to tune and runs as it is")
    default_in(space, model.from_configuration(entry.parameters).configuration(), entry.name)
    return space


def _chosen_tasks(suite: Suite, selection: Selection) -> list[TaskSpec]:
    if not selection.tasks:
        return resolve_tasks(suite.tasks)
    listed = {spec.name: spec for spec in resolve_tasks(suite.tasks)}
    chosen = []
    for name in selection.tasks:
        spec = listed.get(name) or get_task_spec(name)
        if spec.name not in listed:
            raise UnknownNameError(f"task of the suite {suite.name}", name, listed)
        chosen.append(spec)
    return list(dict.fromkeys(chosen))


def _chosen_models(suite: Suite, selection: Selection) -> list[ModelEntry]:
    listed = {entry.name: entry for entry in suite.entries()}
    if not selection.models:
        return list(listed.values())
    chosen: list[ModelEntry] = []
    for name in dict.fromkeys(selection.models):
        if name not in listed:
            get_model(name)  # tells what is wrong with the name
        chosen.append(listed.get(name) or ModelEntry(model=name))
    return chosen


def _check_parameters(entries: list[tuple[ModelEntry, type[Model]]], given: dict[str, Any]) -> None:
    known = {name for _, model in entries for name in hyperparameter_types(model)}
    for name in given:
        if name not in known:
            raise UnknownNameError(f"hyperparameter of {' or '.join(e.name for e, _ in entries)}", name, known)


def _with_parameters(entry: ModelEntry, model: type[Model], given: dict[str, Any]) -> ModelEntry:
    known = hyperparameter_types(model)
    mine = {name: value for name, value in given.items() if name in known}
    return entry.model_copy(update={"parameters": {**entry.parameters, **mine}})


def _chosen_folds(task: Task, folds: Iterable[int] | None) -> list[int]:
    chosen = list(dict.fromkeys(folds or task.fold_numbers))
    for fold in chosen:
        if fold not in task.fold_numbers:
            raise ConfigError(f"{task.name}: has no fold {fold}; its folds are {task.fold_numbers}")
    return chosen


def _at_hand(specs: list[TaskSpec], sources: DataSources, notes: _Notes) -> list[TaskSpec]:
    kept = []
    for spec in specs:
        try:
            require_data([spec], sources)
            kept.append(spec)
        except DataError:
            notes.add("data not at hand", spec.name)
    if not kept:
        require_data(specs, sources)  # says what is missing and how to get it
    return kept


def _can(task: Task, entry: ModelEntry, model: type[Model], notes: _Notes) -> bool:
    if model.needs is Needs.STRUCTURE and not task.has_structures:
        notes.add(f"{entry.name} needs structures", task.name)
        return False
    if task.target.kind not in model.kinds:
        notes.add(f"{entry.name} does not predict {task.target.kind} targets", task.name)
        return False
    return True
