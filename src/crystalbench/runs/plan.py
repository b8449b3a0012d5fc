"""Plans: the runs of a suite and a selection, in order, with notes on what was left out."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from crystalbench.data.views import FULL, View, full, get_view
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.models import Model, Needs, get_model
from crystalbench.models.model import Phase, Progress, hyperparameter_types
from crystalbench.models.names import title_of
from crystalbench.plugins import missing_extra
from crystalbench.results.spec import RunSpec
from crystalbench.runs.command import CommandNames
from crystalbench.runs.numbers import LARGEST_SEED, whole_number
from crystalbench.runs.resources import Reservation
from crystalbench.runs.suite import ModelEntry, Suite
from crystalbench.source_code import local_digest
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources, TaskSpec, get_task_spec, require_data, resolve_tasks
from crystalbench.tasks.schemes import FoldSource, get_folds
from crystalbench.tasks.task import Task
from crystalbench.tuning.space import Space, default_in, digest_of, space_of

_T = TypeVar("_T")


@dataclass(frozen=True)
class Selection:
    """The part of a suite to run; an empty field selects everything. Models need not be in the suite."""

    tasks: Sequence[str] = ()
    models: Sequence[str] = ()
    folds: Sequence[int] = ()
    seeds: Sequence[int] = ()
    views: Sequence[str] = ()
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Run:
    """One run, ready to be computed.

    Attributes:
        spec: its specification.
        label: the model's name in tables.
        model: the model class.
        task: the loaded task.
        view: what the model may see.
        space: the hyperparameters to tune.
        names: the user's names for model and view, for the command that repeats the run.
        reserves: what it reserves on a cluster.
    """

    spec: RunSpec
    label: str
    model: type[Model]
    task: Task
    view: View = full
    space: Space = field(default_factory=dict)
    names: CommandNames | None = None
    reserves: Reservation = field(default_factory=Reservation)

    def classes(self, tuned: Mapping[str, Any] | None = None) -> tuple[type[Model], ...]:
        """The class of the model, and those of the models that it is made of.

        Args:
            tuned: values of tuned hyperparameters.
        """
        return self.model, *self.model.from_configuration({**self.spec.parameters, **(tuned or {})}).parts

    @property
    def title(self) -> str:
        """One line for people."""
        view = "" if self.spec.view == FULL else f", view {self.spec.view}"
        seed = f", seed {self.spec.seed}" if self.spec.seed else ""
        folds = "" if self.spec.fold_scheme is None else f" of {self.spec.folds_text}"
        tuned = "" if self.spec.tuning is None else ", tuned"
        share = (
            "" if self.spec.train_fraction is None else f", {100 * self.spec.train_fraction:g} % of the training part"
        )
        return f"{self.spec.task} · {self.label} · fold {self.spec.fold}{folds}{view}{seed}{share}{tuned}"


@dataclass(frozen=True)
class Plan:
    """Runs in order, and notes on what was left out and why."""

    runs: list[Run]
    tasks: list[Task]
    notes: list[str]


def make_plan(
    suite: Suite, selection: Selection, sources: DataSources, reading: Callable[[TaskSpec], Progress] | None = None
) -> Plan:
    """All selected runs of a suite: task by task, fold by fold, model by model.

    Args:
        suite: the suite.
        selection: the part of it to run.
        sources: where the data is.
        reading: called with each task that is going to be read; returns a callback for the progress.

    Raises:
        UnknownNameError: a selected task, model, hyperparameter, view or fold scheme does not exist.
        ConfigError: a selected fold does not exist, the folds cannot be made, or no run is left.
        DataError: data is missing or damaged.
    """
    notes = _Notes()
    models = [(entry, get_model(entry.model)) for entry in _selected_models(suite, selection)]
    choices = _choices(models, suite, selection, notes)  # mistakes are found before data is loaded
    folds = get_folds(suite.protocol.fold_scheme)
    specs = _selected_tasks(suite, selection)
    if suite.optional_data:
        specs = _with_data(specs, sources, notes)
    else:
        require_data(specs, sources)
    tasks = []
    for number, spec in enumerate(specs):
        if reading is not None:
            reading(spec)(number, len(specs), phase=Phase.READING, unit="tasks")
        tasks.append(spec.load(sources))
    return _plan(_with_folds(tasks, folds, notes), choices, suite, selection, notes)


def plan_of_task(task: Task, models: Sequence[tuple[ModelEntry, type[Model]]], suite: Suite, s: Selection) -> Plan:
    """All runs of models on a loaded task, with the protocol of a suite.

    Raises:
        UnknownNameError: a selected hyperparameter, view or fold scheme does not exist.
        ConfigError: a selected fold does not exist, the folds cannot be made, or no run is left.
    """
    notes = _Notes()
    tasks = _with_folds([task], get_folds(suite.protocol.fold_scheme), notes)
    return _plan(tasks, _choices(models, suite, s, notes), suite, s, notes)


class _Notes:
    """Reasons for leaving tasks out, with the tasks they apply to."""

    def __init__(self) -> None:
        self._tasks: dict[str, dict[str, None]] = defaultdict(dict)
        self._plain: dict[str, None] = {}

    def left_out(self, reason: str, task: str) -> None:
        self._tasks[reason][task] = None

    def add(self, line: str) -> None:
        self._plain[line] = None

    def lines(self) -> list[str]:
        left_out = [f"{reason}, left out: {', '.join(tasks)}" for reason, tasks in self._tasks.items()]
        return [*left_out, *self._plain]


@dataclass(frozen=True)
class _Choice:
    """A model with the hyperparameters of its runs, and those to tune for each kind of target that it predicts."""

    entry: ModelEntry
    model: type[Model]
    spaces: Mapping[Kind, Space]
    configuration: dict[str, Any]
    code: str | None

    @property
    def name_in_key(self) -> str:
        """The name without folders, so that keys do not depend on them."""
        name = self.entry.model
        return name.replace("\\", "/").rpartition("/")[2] if ":" in name else name


def _choices(
    models: Sequence[tuple[ModelEntry, type[Model]]], suite: Suite, selection: Selection, notes: _Notes
) -> list[_Choice]:
    _check_parameters(models, selection.parameters, notes)
    choices = []
    for plain, model in models:
        entry = _with_parameters(plain, model, selection.parameters)
        made = model.from_configuration(entry.parameters)
        if not _missing_extra(entry.name, made):
            made.check_places()
        configuration = made.configuration()
        spaces = _spaces(entry, model, configuration) if suite.tuning else {kind: {} for kind in model.kinds}
        code = local_digest(model) if ":" in entry.model else None
        choices.append(_Choice(entry, model, spaces, configuration, code))
    return choices


def _plan(tasks: list[Task], choices: list[_Choice], suite: Suite, selection: Selection, notes: _Notes) -> Plan:
    protocol = suite.protocol
    for members in (protocol.protocol(c.entry.ensemble).ensemble for c in choices):
        if members > protocol.inner_folds:
            raise ConfigError(
                f"ensemble = {members} is more than inner_folds = {protocol.inner_folds}, but each member of an "
                "ensemble is validated on another one of the inner folds"
            )
    views_of = {c.entry.name: selection.views or c.entry.views or protocol.views for c in choices}
    seeds_of = {
        c.entry.name: [
            whole_number("seed", seed, 0, LARGEST_SEED) for seed in selection.seeds or c.entry.seeds or protocol.seeds
        ]
        for c in choices
    }
    views = [(name, get_view(name)) for name in _union(views_of.values())]
    seeds = _union(seeds_of.values())
    fractions = [_checked_fraction(fraction) for fraction in dict.fromkeys(protocol.train_fractions)]
    runs: list[Run] = []
    for task in tasks:
        able = [choice for choice in choices if _can(task, choice, notes)]
        if suite.tuning:
            for choice in able:
                if not choice.spaces[task.target.kind]:
                    notes.add(f"{choice.entry.name} has no hyperparameters to tune; it runs without tuning")
        for fold in _selected_folds(task, selection.folds or protocol.folds):
            for name, view in views:
                if view.name != FULL and not task.has_structures:
                    notes.left_out(f"the view {view.name} needs structures", task.name)
                    continue
                for seed, fraction in itertools.product(seeds, fractions):
                    runs += [
                        _run(task, c, fold, name, view, seed, fraction, suite)
                        for c in able
                        if name in views_of[c.entry.name] and seed in seeds_of[c.entry.name]
                    ]
    for task in tasks:
        if task.remarks:
            notes.add(task.remarks_line)
    if not runs:
        raise ConfigError("nothing to run: " + ("; ".join(notes.lines()) or "the selection is empty"))
    return Plan(runs, tasks, notes.lines())


def _union(parts: Iterable[Iterable[_T]]) -> list[_T]:
    """All items in the order of their first occurrence."""
    return list(dict.fromkeys(itertools.chain.from_iterable(parts)))


def _with_folds(tasks: Sequence[Task], folds: FoldSource, notes: _Notes) -> list[Task]:
    """The tasks with other folds; of several, those for which the folds cannot be made are left out with a note."""
    made = []
    for task in tasks:
        try:
            made.append(folds.apply(task))
        except ConfigError as error:
            if len(tasks) == 1:
                raise
            notes.left_out(str(error), task.name)
    return made


def _checked_fraction(fraction: float) -> float | None:
    """A fraction of the training part; None for all of it."""
    if not 0 < fraction <= 1:
        raise ConfigError(f"train_fraction = {fraction:g}: a fraction of the training part is above 0 and at most 1")
    return None if fraction == 1 else float(fraction)


def _run(
    task: Task,
    choice: _Choice,
    fold: int,
    view_name: str,
    view: View,
    seed: int,
    fraction: float | None,
    suite: Suite,
) -> Run:
    entry, space = choice.entry, choice.spaces[task.target.kind]
    protocol = suite.protocol.protocol(entry.ensemble)
    spec = RunSpec(
        task=task.name,
        data=task.digest,
        fold=fold,
        model=choice.name_in_key,
        model_version=choice.model.version,
        parameters=choice.configuration,
        model_code=choice.code,
        view=view.name,
        view_version=view.version,
        seed=seed,
        protocol=protocol,
        tuning=suite.tuning.tuning(digest_of(space), task.target.kind, task.metric) if suite.tuning and space else None,
        fold_scheme=task.fold_scheme,
        train_fraction=fraction,
    )
    names = CommandNames(entry.model, view_name, suite.protocol.fold_scheme)
    return Run(spec, suite.label(entry), choice.model, task, view, space, names, suite.reservation(entry))


def _spaces(entry: ModelEntry, model: type[Model], configuration: dict[str, Any]) -> dict[Kind, Space]:
    """The hyperparameters to tune, by kind of target: those with a space, that act and are not set by the user."""
    spaces: dict[Kind, Space] = {kind: space_of(model, kind, entry.parameters) for kind in model.kinds}
    for space in spaces.values():
        default_in(space, configuration, entry.name)
    return spaces


def _selected_tasks(suite: Suite, selection: Selection) -> list[TaskSpec]:
    if not selection.tasks:
        return resolve_tasks(suite.tasks)
    listed = {spec.name: spec for spec in resolve_tasks(suite.tasks)}
    selected = []
    for name in selection.tasks:
        spec = listed.get(name) or get_task_spec(name)
        if spec.name not in listed:
            raise UnknownNameError(f"task of the suite {suite.name}", name, listed)
        selected.append(spec)
    return list(dict.fromkeys(selected))


def _selected_models(suite: Suite, selection: Selection) -> list[ModelEntry]:
    listed = {entry.name: entry for entry in suite.entries()}
    if not selection.models:
        return list(listed.values())
    selected: list[ModelEntry] = []
    for name in dict.fromkeys(selection.models):
        if name not in listed:
            get_model(name)  # raises an error that says what is wrong with the name
        selected.append(listed.get(name) or ModelEntry(model=name))
    return selected


def _check_parameters(
    models: Sequence[tuple[ModelEntry, type[Model]]], parameters: dict[str, Any], notes: _Notes
) -> None:
    known = {name for _, model in models for name in hyperparameter_types(model)}
    for name in parameters:
        if name not in known:
            raise UnknownNameError(f"hyperparameter of {' or '.join(e.name for e, _ in models)}", name, known)
        if without := [entry.name for entry, model in models if name not in hyperparameter_types(model)]:
            notes.add(
                f"{name} is no hyperparameter of {', '.join(without)}, which run{'s' * (len(without) == 1)} without it"
            )


def _with_parameters(entry: ModelEntry, model: type[Model], parameters: dict[str, Any]) -> ModelEntry:
    known = hyperparameter_types(model)
    of_model = {name: value for name, value in parameters.items() if name in known}
    return entry.model_copy(update={"parameters": {**entry.parameters, **of_model}})


def _selected_folds(task: Task, folds: Iterable[int] | None) -> list[int]:
    known = task.fold_numbers
    selected = list(dict.fromkeys(folds or known))
    for fold in selected:
        if fold not in known:
            raise ConfigError(f"{task.name}: has no fold {fold}; its folds are {known}")
    return selected


def _with_data(specs: list[TaskSpec], sources: DataSources, notes: _Notes) -> list[TaskSpec]:
    kept = []
    for spec in specs:
        try:
            require_data([spec], sources)
            kept.append(spec)
        except DataError:
            notes.left_out("data not found", spec.name)
    if not kept:
        require_data(specs, sources)  # raises an error that lists what is missing and how to get it
    return kept


def _can(task: Task, choice: _Choice, notes: _Notes) -> bool:
    name, model = choice.entry.name, choice.model
    made = model.from_configuration(choice.configuration)
    if missing := _missing_extra(name, made):
        notes.left_out(missing, task.name)
        return False
    if model.needs is Needs.STRUCTURE and not task.has_structures:
        notes.left_out(f"{name} needs structures", task.name)
        return False
    if reason := made.unsupported(task.target.kind):
        notes.left_out(f"{name} {reason}", task.name)
        return False
    return True


def _missing_extra(name: str, model: Model) -> str:
    """What the model of an entry, or a part of it, needs and is not installed; empty if nothing is missing."""
    for one in (type(model), *model.parts):
        if missing := missing_extra(one.extra):
            what = name if one is type(model) else f"{name} contains {title_of(one)}, which"
            return f"{what} needs {missing}"
    return ""
