"""All tasks by name: those of CrystalBench and those that other packages register.

A package registers tasks by an entry point of the group ``crystalbench.tasks``, a sequence of `TaskSpec`::

    [project.entry-points."crystalbench.tasks"]
    mine = "my_package.my_tasks:TASKS"
"""

from __future__ import annotations

import fnmatch
import functools
import importlib.metadata
import warnings
from collections.abc import Iterable
from pathlib import Path

from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.tasks.matbench.spec import MatbenchTaskSpec
from crystalbench.tasks.sources import DataSources
from crystalbench.tasks.tables.spec import TableTaskSpec
from crystalbench.tasks.task import TaskSpec

ENTRY_POINTS = "crystalbench.tasks"
_GLOB = frozenset("*?[")


def task_specs() -> dict[str, TaskSpec]:
    """All registered tasks by name.

    An entry point that cannot be loaded is left out with a warning.

    Raises:
        ConfigError: two entry points register the same name.
    """
    return dict(_registered())


@functools.cache
def _registered() -> dict[str, TaskSpec]:
    specs: dict[str, TaskSpec] = {}
    origins: dict[str, str] = {}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            found = list(entry.load())
            if strange := [spec for spec in found if not isinstance(spec, TaskSpec)]:
                raise TypeError(f"{strange[0]!r} is not a TaskSpec")
        except Exception as error:  # whatever another package does wrong must not stop this one
            warnings.warn(
                f"Tasks of entry point {entry.name!r} ({entry.value}) are left out: {type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=3,
            )
            continue
        for spec in found:
            if spec.name in specs:
                raise ConfigError(
                    f"Two tasks are named {spec.name!r}: one of {origins[spec.name]} and one of {entry.value}; "
                    "rename one, or uninstall a package"
                )
            specs[spec.name], origins[spec.name] = spec, entry.value
    return specs


def get_task_spec(name: str) -> TaskSpec:
    """A task by its name, or by the path of a task file ending in ``.toml``.

    Raises:
        UnknownNameError: there is no such task.
        ConfigError: the task file is missing or has mistakes.
    """
    if name.endswith(".toml"):
        return TableTaskSpec.from_toml(Path(name))
    specs = task_specs()
    if name not in specs:
        raise UnknownNameError("task", name, specs)
    return specs[name]


def resolve_tasks(patterns: Iterable[str]) -> list[TaskSpec]:
    """Tasks by names, patterns such as ``matbench_*``, and paths of task files; each once, in the order given.

    Raises:
        UnknownNameError: a name or a pattern fits no task.
        ConfigError: a task file is missing or has mistakes, or two have the same name.
    """
    chosen: dict[str, TaskSpec] = {}
    for pattern in patterns:
        for spec in _matching(pattern):
            if chosen.setdefault(spec.name, spec) != spec:
                raise ConfigError(f"Two of the tasks asked for are named {spec.name!r}; rename one in its task file")
    return list(chosen.values())


def _matching(pattern: str) -> list[TaskSpec]:
    if pattern.endswith(".toml") or not _GLOB & set(pattern):
        return [get_task_spec(pattern)]
    specs = task_specs()
    if names := [name for name in specs if fnmatch.fnmatchcase(name, pattern)]:
        return [specs[name] for name in names]
    raise UnknownNameError("task", pattern, specs)


def require_data(specs: Iterable[TaskSpec], sources: DataSources) -> None:
    """Make sure, before any work begins, that the data of all tasks is at hand; download what may be downloaded.

    Raises:
        DataError: the data of some tasks is missing; lists all of them.
    """
    problems = []
    wanted = list(specs)
    try:
        sources.find_all(spec.official for spec in wanted if isinstance(spec, MatbenchTaskSpec))
    except DataError as error:
        problems.append(str(error))
    for spec in wanted:
        if not isinstance(spec, MatbenchTaskSpec):
            availability = spec.availability(sources)
            if not availability.here:
                problems.append(f"{spec.name}: its data is not at hand ({availability.where})")
    if problems:
        raise DataError("\n".join(problems))
