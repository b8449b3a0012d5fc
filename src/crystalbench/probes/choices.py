"""What a probe makes of a selection: choices without effect, runs that would say nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from crystalbench.errors import ConfigError
from crystalbench.runs.plan import Plan, Run, Selection


def ignored(selection: Selection, fields: Iterable[str], reason: str) -> list[str]:
    """A note on the choices of a selection that have no effect; none if nothing of the kind was chosen.

    Args:
        selection: the selection.
        fields: names of the fields of the selection that have no effect.
        reason: why, in words.
    """
    chosen = []
    for field in fields:
        value = getattr(selection, field)
        if value:
            names = [f"{name}={setting}" for name, setting in value.items()] if isinstance(value, dict) else value
            chosen.append(f"{field} {', '.join(map(str, names))}")
    return [f"{reason}; without effect: {'; '.join(chosen)}"] if chosen else []


def with_structures(probe: str, plan: Plan) -> Plan:
    """The runs on tasks with structures; others are noted.

    Raises:
        ConfigError: no task has structures.
    """
    kept = [task for task in plan.tasks if task.has_structures]
    others = [task.name for task in plan.tasks if not task.has_structures]
    if not kept:
        raise ConfigError(
            f"probe {probe}: needs structures, and these tasks have compositions only: {', '.join(others)}; choose "
            "another task with --task"
        )
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
