"""Suites: named lists of tasks and models with a protocol, in TOML files.

The suites of CrystalBench, and the task files they use, are package data; they are found by name. Other suites are
found by the path of their file.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib.resources
import itertools
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crystalbench._files import expanded
from crystalbench._validation import problems
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models import get_model, model_names
from crystalbench.results.spec import TOO_FEW_EVALUATIONS, ProtocolSpec, TuningSpec
from crystalbench.runs.resources import Reservation
from crystalbench.targets import OFFICIAL, main_metric
from crystalbench.tasks.suffixes import divided, is_made_of_another


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ResourcesEntry(_Strict):
    """What each run reserves on a cluster; see `crystalbench.runs.resources.Reservation`."""

    cpus: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    gpus: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class ModelEntry(_Strict):
    """A model of a suite.

    Attributes:
        model: registered name, ``package.module:Class`` or ``path/to/file.py:Class``.
        label: name in tables; by default the registered name, or the class's name.
        parameters: hyperparameters that differ from the defaults.
        seeds: numbers of the repetitions of this model, instead of those of the protocol.
        views: what this model may see, instead of the views of the protocol.
        resources: what its runs reserve on a cluster, instead of the resources of the suite.
        ensemble: number of members of this model, instead of that of the protocol.
    """

    model: str
    label: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    seeds: tuple[int, ...] | None = Field(default=None, min_length=1)
    views: tuple[str, ...] | None = Field(default=None, min_length=1)
    resources: ResourcesEntry = ResourcesEntry()
    ensemble: int | None = Field(default=None, ge=1)

    @property
    def name(self) -> str:
        """Name in tables."""
        return self.label or self.model.rpartition(":")[2]


class ProtocolEntry(_Strict):
    """The protocol of a suite.

    `crystalbench.results.spec.ProtocolSpec` describes the first two keys.

    Attributes:
        seeds: numbers of the repetitions.
        folds: numbers of the outer folds to run; all if it is missing.
        views: what the models may see.
        fold_scheme: how the outer folds are made: ``official``, a scheme such as ``formula`` or ``element:O``, or a
            ``.json`` file of folds, whose path is relative to the folder of the suite file.
        train_fractions: shares of the training part that the models learn from, each above 0 and at most 1.
    """

    inner_folds: int = Field(default=10, ge=2)
    ensemble: int = Field(default=1, ge=1)
    seeds: tuple[int, ...] = (0,)
    folds: tuple[int, ...] | None = None
    views: tuple[str, ...] = ("full",)
    fold_scheme: str = OFFICIAL
    train_fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (1.0,)

    def protocol(self, ensemble: int | None = None) -> ProtocolSpec:
        """The part of the protocol that determines the results of a run.

        Args:
            ensemble: number of members of a model that has its own.
        """
        return ProtocolSpec(inner_folds=self.inner_folds, ensemble=ensemble or self.ensemble)


class TuningEntry(_Strict):
    """How a suite's models are tuned; see `crystalbench.results.spec.TuningSpec`."""

    trials: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    scheme: Literal["per_fold", "first_fold"] = "per_fold"
    inner_folds: int = Field(default=5, ge=2)
    splits: int = Field(default=3, ge=1)
    seeds: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.trials is None) == (self.minutes is None):
            raise ValueError("give either trials or minutes")
        if self.splits > self.inner_folds:
            raise ValueError("splits cannot be more than inner_folds")
        if self.splits * self.seeds < 2:
            raise ValueError(TOO_FEW_EVALUATIONS)
        return self

    def tuning(self, space: str, kind: str, metric: str) -> TuningSpec:
        """The specification of tuning, given the SHA-256 of a search space and the kind and main metric of a task."""
        return TuningSpec(**self.model_dump(), space=space, metric="" if metric == main_metric(kind).name else metric)


class Suite(_Strict):
    """A named list of tasks and models, with a protocol.

    Attributes:
        name: name of the suite.
        description: one line.
        tasks: task names, patterns such as ``matbench_*``, or task files. Paths are relative to the folder of the suite
            file or, if there is no such file, to the current folder.
        models: model names, patterns such as ``*``, or tables with parameters. A later entry replaces an earlier one
            of the same name.
        protocol: how folds are used.
        tuning: how the models are tuned; they are not tuned if it is missing.
        resources: what each run reserves on a cluster.
        results: folder of the results, relative to the current folder.
        limit: maximum number of rows of each task.
        optional_data: whether tasks without data are left out with a note; otherwise missing data is an error.
    """

    name: str
    description: str = ""
    tasks: tuple[str, ...] = Field(min_length=1)
    models: tuple[str | ModelEntry, ...] = ("*",)
    protocol: ProtocolEntry = ProtocolEntry()
    tuning: TuningEntry | None = None
    resources: ResourcesEntry = ResourcesEntry()
    results: str = "results"
    limit: int | None = Field(default=None, ge=1)
    optional_data: bool = False

    def entries(self) -> list[ModelEntry]:
        """The models, with patterns resolved.

        Raises:
            UnknownNameError: a name or pattern matches no registered model.
        """
        found: dict[str, ModelEntry] = {}
        for item in self.models:
            for entry in _resolve(item):
                found[entry.name] = entry
        return list(found.values())

    def reservation(self, entry: ModelEntry) -> Reservation:
        """What a run of a model reserves on a cluster."""
        declared = {**self.resources.model_dump(), **entry.resources.model_dump(exclude_none=True)}
        return Reservation(**declared)

    def label(self, entry: ModelEntry) -> str:
        """The name of a model in tables, with the number of members of an ensemble: ``hybrid_sen x5``."""
        members = entry.ensemble or self.protocol.ensemble
        return entry.name if members == 1 else f"{entry.name} x{members}"

    def all_views(self) -> list[str]:
        """Names of the views of the protocol and of single models, without duplicates."""
        own = [entry.views or () for entry in self.models if isinstance(entry, ModelEntry)]
        return list(dict.fromkeys(itertools.chain(self.protocol.views, *own)))


def with_tuning(suite: Suite, **options: Any) -> Suite:
    """A suite with its tuning changed by command-line options. An option that is None keeps the suite's value.

    Args:
        suite: the suite.
        options: fields of `TuningEntry`; ``trials = 0`` means no tuning.

    Raises:
        ConfigError: the options contradict each other, or configure tuning when nothing is tuned.
    """
    changes = {key: value for key, value in options.items() if value is not None}
    if changes.get("trials") == 0:
        if len(changes) > 1:
            raise ConfigError("--tune 0 means no tuning; leave the other --tune options out")
        return suite.model_copy(update={"tuning": None})
    if not changes:
        return suite
    if "trials" in changes and "minutes" in changes:
        raise ConfigError("give --tune or --tune-minutes, not both")
    if suite.tuning is None and not changes.keys() & {"trials", "minutes"}:
        raise ConfigError("give the budget of tuning: --tune TRIALS or --tune-minutes MINUTES")
    before = suite.tuning.model_dump() if suite.tuning else {}
    if changes.keys() & {"trials", "minutes"}:
        before |= {"trials": None, "minutes": None}
    try:
        tuning = TuningEntry.model_validate({**before, **changes})
    except ValidationError as error:
        found = problems(error)[0]
        key, _, rest = found.partition(": ")
        is_option = key in TuningEntry.model_fields
        text = f"--tune-{key.replace('_', '-')}: {rest}" if is_option else f"tuning: {found}"
        raise ConfigError(text) from error
    return suite.model_copy(update={"tuning": tuning})


def _resolve(item: str | ModelEntry) -> list[ModelEntry]:
    if isinstance(item, ModelEntry):
        return [item]
    if any(c in item for c in "*?["):
        matched = fnmatch.filter(model_names(), item)
        if not matched:
            raise UnknownNameError("model pattern", item, model_names())
        return [ModelEntry(model=name) for name in matched]
    get_model(item)
    return [ModelEntry(model=item)]


@functools.cache
def _packaged_folder() -> Path:
    return Path(str(importlib.resources.files("crystalbench") / "suites"))


def suite_names() -> dict[str, Path]:
    """The suites that come with CrystalBench: names and files, sorted by name."""
    return {file.stem: file for file in sorted(_packaged_folder().glob("*.toml"))}


@functools.cache
def packaged_tasks() -> dict[str, Path]:
    """Tasks that come with CrystalBench as task files, without their tables: names and files."""
    files = sorted((_packaged_folder() / "tasks").rglob("*.toml"))
    return {str(tomllib.loads(file.read_text(encoding="utf-8"))["name"]): file for file in files}


def load_suite(name: str) -> Suite:
    """A suite that comes with CrystalBench, by name, or a suite file, by its path ending in ``.toml``.

    Raises:
        UnknownNameError: no suite has this name.
        ConfigError: the file is not a suite; names the file and the key.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such file")
    else:
        known = suite_names()
        if name not in known:
            raise UnknownNameError("suite", name, known)
        path = known[name]
    return parse_suite(path)


def suite_of_tasks(tasks: Sequence[str]) -> Suite:
    """The first suite, by name, that has all these tasks; one of all models if there is one.

    Runs requested by task alone thus share the protocol and the results folder of the suite. One of chosen models, such
    as variants of a single one, is about these; it counts only for tasks that it alone has. Tasks that no suite has,
    such as a user's own, form a suite with the default protocol.
    """
    wanted = [_task_file(task, Path()) for task in tasks]
    suites = sorted((load_suite(name) for name in suite_names()), key=lambda suite: "*" not in suite.models)
    for suite in suites:
        if all(any(_is_listed(task, entry) for entry in suite.tasks) for task in wanted):
            return suite
    demo = all(task.startswith("demo_") for task in tasks)  # results on demo data are kept apart
    return Suite(name="selection", tasks=tuple(wanted), results="results/demo" if demo else "results")


def _is_listed(task: str, entry: str) -> bool:
    """Whether a task is an entry of a suite, or matches it; a task made of another one is not listed with it."""
    return task == entry or (not is_made_of_another(task) and fnmatch.fnmatchcase(task, entry))


def parse_suite(path: Path) -> Suite:
    """Read a suite's file.

    Raises:
        ConfigError: the file is not a suite; names the file and the key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # skips a byte order mark
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML ({error})") from error
    try:
        suite = Suite.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        raise ConfigError(f"{path}: {'; '.join(problems(error, _SECTIONS))}") from error
    protocol = suite.protocol
    if protocol.fold_scheme.endswith(".json"):
        protocol = protocol.model_copy(update={"fold_scheme": _found(protocol.fold_scheme, path.parent)})
    tasks = tuple(_task_file(task, path.parent) for task in suite.tasks)
    return suite.model_copy(update={"tasks": tasks, "protocol": protocol})


def _task_file(task: str, folder: Path) -> str:
    """The path of a task file or of a packaged task; other names and patterns are returned unchanged.

    The path is relative to the current folder if the file is below it.
    """
    task, suffix = divided(task)
    if suffix:
        return _task_file(task, folder) + suffix
    if task.endswith(".toml"):
        return _found(task, folder)
    return _from_here(packaged_tasks()[task]) if task in packaged_tasks() else task


def _found(file: str, folder: Path) -> str:
    """The path of a file in a folder or, if it is not there, in the current folder."""
    places = [Path(os.path.normpath(Path.cwd() / start / expanded(file))) for start in (folder, Path.cwd())]
    return _from_here(next((place for place in places if place.is_file()), places[0]))


def _from_here(place: Path) -> str:
    """A path, relative to the current folder if it is below."""
    here = Path.cwd()
    return str(place.relative_to(here) if place.is_relative_to(here) else place)


_SECTIONS: dict[tuple[str, ...], type[BaseModel]] = {
    (): Suite,
    ("models",): ModelEntry,
    ("protocol",): ProtocolEntry,
    ("tuning",): TuningEntry,
    ("resources",): ResourcesEntry,
}
