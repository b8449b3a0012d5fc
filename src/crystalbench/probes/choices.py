"""What a probe makes of a selection: choices without effect, runs that would say nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from crystalbench.errors import ConfigError
from crystalbench.runs.plan import Plan, Run, Selection
from crystalbench.runs.suite import ProtocolEntry, Suite
from crystalbench.tasks import resolve_tasks, task_specs


def ignored(
    selection: Selection, fields: Iterable[str], reason: str, others: Mapping[str, Any] | None = None
) -> list[str]:
    """A note on the choices of a selection that have no effect; none if nothing of the kind was chosen.

    Args:
        selection: the selection.
        fields: names of the fields of the selection that have no effect.
        reason: why, in words.
        others: further choices without effect by name, e.g. of the protocol.
    """
    chosen = []
    for field in fields:
        value = getattr(selection, field)
        if value:
            names = [f"{name}={setting}" for name, setting in value.items()] if isinstance(value, dict) else value
            chosen.append(f"{field} {', '.join(map(str, names))}")
    chosen += [f"{name} {value}" for name, value in (others or {}).items()]
    return [f"{reason}; without effect: {'; '.join(chosen)}"] if chosen else []


def changed_protocol(protocol: ProtocolEntry) -> dict[str, Any]:
    """What differs from the default protocol and determines the results of a run, by name."""
    names = ("inner_folds", "ensemble", "fold_scheme", "train_fractions")
    found = {name: getattr(protocol, name) for name in names if getattr(protocol, name) != getattr(_PROTOCOL, name)}
    return {name: ", ".join(map(str, v)) if isinstance(v, tuple) else v for name, v in found.items()}


_PROTOCOL = ProtocolEntry()


def require_structures(probe: str, suite: Suite, selection: Selection) -> None:
    """Check, before data is loaded, that a selected task has structures.

    Raises:
        ConfigError: none has; names them, and the registered tasks that have.
    """
    specs = resolve_tasks(selection.tasks or suite.tasks)
    if not any(spec.has_structures for spec in specs):
        raise _without_structures(probe, [spec.name for spec in specs])


def _without_structures(probe: str, tasks: Iterable[str]) -> ConfigError:
    tasks = list(tasks)
    fitting = [name for name, spec in task_specs().items() if spec.has_structures and name not in tasks]
    here = [name for name in tasks if name in task_specs() and task_specs()[name].has_structures]
    data = f", or name data with structures: --data {here[0]}=PATH" if here else ""
    return ConfigError(
        f"probe {probe}: needs structures, and these tasks have compositions only: {', '.join(tasks)}; choose "
        f"another task with --task: a task file with structures, or one of {', '.join(fitting)}{data}"
    )


def with_structures(probe: str, plan: Plan) -> Plan:
    """The runs on tasks with structures; others are noted.

    Raises:
        ConfigError: no task has structures; as `require_structures`.
    """
    kept = [task for task in plan.tasks if task.has_structures]
    others = [task.name for task in plan.tasks if not task.has_structures]
    if not kept:
        raise _without_structures(probe, others)
    notes = [f"the probe {probe} needs structures, left out: {', '.join(others)}"] if others else []
    return Plan([run for run in plan.runs if run.task.has_structures], kept, [*plan.notes, *notes])


def informative(probe: str, plan: Plan, why_not: Callable[[Run], tuple[str, str] | None], advice: str) -> Plan:
    """The runs that say something; what is left out is noted.

    Args:
        probe: name of the probe.
        plan: the plan.
        why_not: called with each run; returns the reason to leave it out and what is left out, or None.
        advice: what to choose instead, for the message if no run is left.

    Raises:
        ConfigError: no run is left.
    """
    runs: list[Run] = []
    left_out: dict[str, dict[str, None]] = {}
    for run in plan.runs:
        if (found := why_not(run)) is None:
            runs.append(run)
        else:
            left_out.setdefault(found[0], {})[found[1]] = None
    notes = [f"{reason}, left out: {', '.join(what)}" for reason, what in left_out.items()]
    if not runs:
        raise ConfigError(f"probe {probe}: nothing to run: {'; '.join(notes)}; {advice}")
    names = {run.task.name for run in runs}
    return Plan(runs, [task for task in plan.tasks if task.name in names], [*plan.notes, *notes])
