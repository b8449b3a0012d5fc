"""What needs the rows of tasks: slices, conformal intervals and composition ceilings of all results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from crystalbench.errors import DataError, UnknownNameError
from crystalbench.evaluation.board import Board
from crystalbench.evaluation.ceiling import ceilings, with_best
from crystalbench.evaluation.conformal import conformal
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.evaluation.slices import TaskRows, slices
from crystalbench.reports.formatting import names_of
from crystalbench.results.loading import Results
from crystalbench.targets import OFFICIAL
from crystalbench.tasks import DataSources, TaskSpec, get_task_spec, require_data
from crystalbench.tasks.facts import rows_of


@dataclass(frozen=True)
class ByRows:
    """Frames of all tasks; each is empty if there is nothing to report.

    Attributes:
        slices: see `crystalbench.evaluation.slices.slices`.
        conformal: see `crystalbench.evaluation.conformal.conformal`.
        ceiling: see `crystalbench.evaluation.ceiling.with_best`.
        problems: what was left out and why.
    """

    slices: pd.DataFrame
    conformal: pd.DataFrame
    ceiling: pd.DataFrame
    problems: list[str]


def by_rows(results: Results, sources: DataSources, tasks: Sequence[str] = ()) -> ByRows:
    """Slices, conformal intervals and composition ceilings of results, with entries named as on leaderboards.

    Records are joined to the rows of a task by id. Those of other rows or targets than the task has now are left out,
    and so are runs on other folds than the task's own.

    Args:
        results: the results.
        sources: where the data of the tasks is.
        tasks: the tasks to report, names or task files; all tasks of the results by default.

    Raises:
        UnknownNameError: one of ``tasks`` does not exist.
    """
    problems: list[str] = []
    found: list[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]] = []
    for board, predictions, rows in _tasks(results, sources, tasks, problems):
        names = names_of([board])
        made = (
            slices(predictions, rows, names),
            conformal(predictions, rows, names),
            with_best(ceilings(rows), board, predictions, rows, names),
        )
        found.append(made)
    parts = [[frame for frame in frames if len(frame)] for frames in zip(*found, strict=True)] or [[], [], []]
    of_slices, intervals, bounds = (pd.concat(each, ignore_index=True) if each else pd.DataFrame() for each in parts)
    return ByRows(of_slices, intervals, bounds, problems)


def _tasks(
    results: Results, sources: DataSources, tasks: Sequence[str], problems: list[str]
) -> Iterator[tuple[Board, pd.DataFrame, TaskRows]]:
    """Board, predictions and rows of each task whose data is found."""
    missing: list[TaskSpec] = []
    for spec in [get_task_spec(name) for name in tasks] or _specs(results, problems):
        mine = results.select(task=spec.name, fold_scheme=OFFICIAL)
        if not len(mine):
            problems.append(f"{spec.name}: there are no records on its own folds")
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
        if boards := leaderboards(same.scores):
            yield boards[0], same.predictions, rows_of(task)
    if missing:
        try:
            require_data(missing, sources)
        except DataError as error:
            problems.append(str(error))


def _specs(results: Results, problems: list[str]) -> list[TaskSpec]:
    """The registered tasks of results; others need their task file."""
    specs = []
    for name in sorted(results.scores["task"].unique()):
        try:
            specs.append(get_task_spec(str(name)))
        except UnknownNameError:
            problems.append(f"{name}: is not a registered task; name its task file, --task FILE.toml")
    return specs
