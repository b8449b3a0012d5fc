"""All tasks by name: those of CrystalBench and those of other packages.

A package registers tasks with an entry point of the group ``crystalbench.tasks``, a sequence of `TaskSpec`::

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

from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.tasks.described import DescribedTaskSpec
from crystalbench.tasks.shuffled import ShuffledTaskSpec
from crystalbench.tasks.sources import DataSources
from crystalbench.tasks.spec import TaskSpec
from crystalbench.tasks.suffixes import DESCRIPTOR, SHUFFLED, divided
from crystalbench.tasks.tables.spec import TableTaskSpec

ENTRY_POINTS = "crystalbench.tasks"
_GLOB = frozenset("*?[")


def task_specs() -> dict[str, TaskSpec]:
    """All registered tasks by name.

    An entry point that cannot be loaded is skipped with a warning.

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
            if others := [spec for spec in found if not isinstance(spec, TaskSpec)]:
                raise TypeError(f"{others[0]!r} is not a TaskSpec")
        except Exception as error:  # a broken package must not break this one
            warnings.warn(
                f"Tasks of entry point {entry.name!r} ({entry.value}) are skipped: {type(error).__name__}: {error}",
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
    """Find a task by its name, or by the path of a task file that ends in ``.toml``.

    Both may be followed by ``+descriptor:NAME``, for a task with a descriptor of the crystals as its target (see
    `crystalbench.tasks.described`), and by ``+shuffled_labels``, for the control of the task (see
    `crystalbench.tasks.shuffled`).

    Raises:
        UnknownNameError: there is no such task or descriptor.
        ConfigError: the task file is missing or has mistakes, or what follows the name is in another order.
    """
    plain, suffix = divided(name)
    if suffix and divided(plain)[1]:
        raise ConfigError(
            f"task {name}: +descriptor:NAME comes before +shuffled_labels, and each at most once; write "
            f"{divided(plain)[0]}+descriptor:NAME+shuffled_labels"
        )
    if name.endswith(SHUFFLED):
        return ShuffledTaskSpec.of(get_task_spec(name.removesuffix(SHUFFLED)))
    if DESCRIPTOR in name:
        plain, _, descriptor = name.rpartition(DESCRIPTOR)
        return DescribedTaskSpec.of(get_task_spec(plain), descriptor)
    if name.endswith(".toml"):
        return TableTaskSpec.from_toml(Path(name))
    specs = task_specs()
    if name not in specs:
        raise UnknownNameError("task", name, specs)
    return specs[name]


def resolve_tasks(patterns: Iterable[str]) -> list[TaskSpec]:
    """Find tasks by names, patterns such as ``matbench_*``, and paths of task files.

    Returns:
        The tasks in the order of the patterns, without duplicates.

    Raises:
        UnknownNameError: no task matches a name or a pattern.
        ConfigError: a task file is missing or has mistakes, or two different tasks have the same name.
    """
    chosen: dict[str, TaskSpec] = {}
    for pattern in patterns:
        for spec in _matching(pattern):
            if chosen.setdefault(spec.name, spec) != spec:
                raise ConfigError(f"Two of the requested tasks are named {spec.name!r}; rename one in its task file")
    return list(chosen.values())


def _matching(pattern: str) -> list[TaskSpec]:
    if pattern.endswith(".toml") or not _GLOB & set(pattern):
        return [get_task_spec(pattern)]
    specs = task_specs()
    if names := [name for name in specs if fnmatch.fnmatchcase(name, pattern)]:
        return [specs[name] for name in names]
    raise UnknownNameError("task", pattern, specs)


def require_data(specs: Iterable[TaskSpec], sources: DataSources) -> None:
    """Check, before any run starts, that the data of all tasks is available; download what is missing.

    Raises:
        DataError: the data of some tasks is missing; lists all of them, and says how to get it.
        ConfigError: a file named for a task is one that the task does not read.
    """
    sources.find_all(specs)
