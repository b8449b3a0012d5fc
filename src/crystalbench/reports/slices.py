"""Slices of all tasks of some results whose data is found."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from crystalbench.errors import DataError, UnknownNameError
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.evaluation.slices import COLUMNS, slices
from crystalbench.reports.formatting import full_title
from crystalbench.results.loading import Results
from crystalbench.tasks import DataSources, TaskSpec, get_task_spec, require_data
from crystalbench.tasks.facts import rows_of


def slices_of(results: Results, sources: DataSources, tasks: Sequence[str] = ()) -> tuple[pd.DataFrame, list[str]]:
    """Slices of results, with entries named as on leaderboards.

    Records are joined to the rows of a task by id. Those of other rows or targets than the task has now are left out.

    Args:
        results: the results.
        sources: where the data of the tasks is.
        tasks: the tasks to slice, names or task files; all tasks of the results by default.

    Returns:
        The frame of `crystalbench.evaluation.slices.slices`, task by task, and what was left out and why.

    Raises:
        UnknownNameError: one of ``tasks`` does not exist.
    """
    problems: list[str] = []
    missing: list[TaskSpec] = []
    specs = [get_task_spec(name) for name in tasks] or _specs(results, problems)
    parts = []
    for spec in specs:
        mine = results.select(task=spec.name)
        if not len(mine):
            problems.append(f"{spec.name}: there are no records")
            continue
        try:
            require_data([spec], sources)
        except DataError:
            missing.append(spec)
            continue
        task = spec.load(sources)
        same = mine.select(data=task.digest)
        if other := mine.scores.loc[mine.scores["data"] != task.digest, "key"].nunique():
            total = mine.scores["key"].nunique()
            problems.append(
                f"{spec.name}: {other} of {total} records are of other rows or targets; is --limit missing?"
            )
        names = {
            e.configuration: full_title(e) for b in leaderboards(mine.scores) for e in b.entries if e.configuration
        }
        if len(same):
            parts.append(slices(same.predictions, rows_of(task), names))
    if missing:
        try:
            require_data(missing, sources)
        except DataError as error:
            problems.append(str(error))
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS)), problems


def _specs(results: Results, problems: list[str]) -> list[TaskSpec]:
    """The registered tasks of results; others need their task file."""
    specs = []
    for name in sorted(results.scores["task"].unique()):
        try:
            specs.append(get_task_spec(str(name)))
        except UnknownNameError:
            problems.append(f"{name}: is not a registered task; name its task file, --task FILE.toml")
    return specs
