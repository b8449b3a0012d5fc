"""What the command line shows: lists, runs while they go on, and the studies that are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from crystalbench.data.views import get_view, view_names
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models import get_model, model_names
from crystalbench.results.record import Record
from crystalbench.results.study import Study
from crystalbench.runs.observer import SilentObserver
from crystalbench.runs.plan import Run
from crystalbench.runs.suite import load_suite, suite_names
from crystalbench.targets import METRICS
from crystalbench.tasks import DataSources, TaskSpec, get_task_spec, task_specs

WIDE = 130
_ROOM_FOR_BARS = 120

# ---------------------------------------------------------------------- runs


class _Title(ProgressColumn):
    """A run's title in one line; of all columns, the only one that gives way where there is no room."""

    def render(self, task: Task) -> Text:
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class LiveProgress(SilentObserver):
    """A bar over all runs and one for the run under way; on a plain stream, one line for each finished run.

    Args:
        console: where to write.
        total: number of runs.
    """

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total = console, total
        self.done = 0
        bar = [BarColumn(bar_width=24, table_column=Column(no_wrap=True))] if console.width >= _ROOM_FOR_BARS else []
        self.bars = Progress(
            SpinnerColumn(table_column=Column(no_wrap=True)),
            _Title(),
            *bar,
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn("left"),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[numbers]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self.overall = self.bars.add_task("all runs", total=total, numbers="")
        self._bars_of: dict[str, TaskID] = {}
        self._said_waiting = False

    def __enter__(self) -> LiveProgress:
        """Show the bars."""
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bars of unfinished runs away and leave the overall one."""
        for key in list(self._bars_of):
            self._drop(key)
        self.bars.stop()

    def started(self, run: Run) -> _RunProgress:
        """A bar for the run."""
        key = run.spec.key
        self._drop(key)  # another worker takes over from one that died
        self._bars_of[key] = self.bars.add_task(run.title, total=None, numbers="")
        return _RunProgress(self.bars, self._bars_of[key])

    def finished(self, run: Run, record: Record, *, computed: bool) -> None:
        """One line for a run that was made just now."""
        self._advance(run)
        if computed:
            metric = METRICS[record.metric]
            value = record.scores.get(record.metric)
            unit = f" {record.unit}" if metric.has_unit and record.unit else ""
            shown = "undefined" if value is None else f"{value:.4g}{unit}"
            self.console.print(
                f"[green]✓[/] {escape(f'{run.title}  {metric.label} {shown}')}  "
                f"[dim]({_tuning_text(record)}{record.seconds.fit:.1f} s, "
                f"{self.done} of {self.total})[/]",
                highlight=False,
                soft_wrap=True,
            )

    def waiting(self, runs: list[Run]) -> None:
        """Say once that other processes are at work."""
        if not self._said_waiting:
            self._said_waiting = True
            number = f"{len(runs)} run{'s' * (len(runs) != 1)}"
            self.console.print(f"waiting for {number} that other processes are doing", style="dim")

    def failed(self, run: Run, reason: str) -> None:
        """One line with the reason."""
        self._advance(run)
        text = f"[red]✗[/] {escape(run.title)}  [red]failed[/]: {escape(reason)}"
        self.console.print(text, highlight=False, soft_wrap=True)

    def _advance(self, run: Run) -> None:
        self.done += 1
        self.bars.update(self.overall, completed=self.done)
        self._drop(run.spec.key)

    def _drop(self, key: str) -> None:
        if key in self._bars_of:
            self.bars.remove_task(self._bars_of.pop(key))


def _tuning_text(record: Record) -> str:
    """What was spent on tuning a run; a study of another fold has been told of there."""
    tuned = record.tuned
    if tuned is None:
        return ""
    if tuned.fold != record.spec.fold:
        return f"as tuned on fold {tuned.fold}, "
    failed = f", {tuned.failed} failed," if tuned.failed else ""
    return f"tuned with {tuned.trials} trial{'s' * (tuned.trials != 1)}{failed} in {tuned.seconds:,.0f} s, "


class _RunProgress:
    def __init__(self, bars: Progress, bar: TaskID) -> None:
        self.bars, self.bar = bars, bar

    def __call__(self, done: int, total: int, **numbers: float) -> None:
        parts = [f"{name} {value:.3g}" for name, value in numbers.items() if name not in ("trial", "trials")]
        if (trial := numbers.get("trial")) is not None:
            budget = f" of {numbers['trials']:.0f}" if "trials" in numbers else ""
            parts.insert(0, f"trial {trial + 1:.0f}{budget}")
        shown = "  ".join(parts)
        self.bars.update(self.bar, completed=done, total=total, numbers=shown)


# ---------------------------------------------------------------------- studies


def asked_for(
    studies: Sequence[Study], folder: Path, tasks: Sequence[str], models: Sequence[str], folds: Sequence[int]
) -> tuple[list[str], list[str]]:
    """The tasks and models by the names that studies have, having checked that there are studies of each.

    Args:
        studies: all that there are.
        folder: where they are, for messages.
        tasks: names, or task files.
        models: names, labels, or places as they were given to a run.
        folds: outer folds.

    Raises:
        UnknownNameError: there is no study of a task or model.
        ConfigError: there is no study of a fold.
    """
    names = [get_task_spec(task).name if task.endswith(".toml") else task for task in tasks]
    _check(f"task of the studies in {folder}", names, {study.spec.task for study in studies})
    left = [study for study in studies if not tasks or study.spec.task in names]
    known = {name for study in left for name in (study.label, study.spec.model)}
    called = [name if name in known else _without_folders(name) for name in models]
    _check(f"model of the studies in {folder}", called, known)
    left = [study for study in left if not models or study.label in called or study.spec.model in called]
    there = sorted({study.spec.fold for study in left})
    for fold in folds:
        if fold not in there:
            raise ConfigError(
                f"{folder}: there is no study of fold {fold}; there are studies of fold{'s' * (len(there) != 1)} "
                + ", ".join(map(str, there))
            )
    return names, called


def _check(what: str, names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownNameError(what, name, known)


def _without_folders(model: str) -> str:
    """Of a model in a file, what stands in records: ``file.py:Class``."""
    return model.replace("\\", "/").rpartition("/")[2] if ":" in model else model


# ---------------------------------------------------------------------- lists


def print_lists(console: Console, sources: DataSources) -> None:
    """Tasks with the rows that are here, models, views and suites."""
    models = [(name, get_model(name)) for name in model_names()]
    suites = [(name, load_suite(name)) for name in suite_names()]
    _print_table(
        console,
        "Tasks",
        ("task", "rows", "here", "unit", "kind", "property", "sees", "where"),
        [_task_row(spec, sources) for spec in task_specs().values()],
    )
    _print_table(
        console,
        "Models",
        ("model", "needs", "what it is"),
        [(name, str(model.needs), (model.__doc__ or "").strip().splitlines()[0]) for name, model in models],
    )
    _print_table(console, "Views", ("view", "removes"), [(name, get_view(name).removes) for name in view_names()])
    _print_table(
        console,
        "Suites",
        ("suite", "what it is", "tasks"),
        [(name, suite.description, ", ".join(suite.tasks)) for name, suite in suites],
    )


def _task_row(spec: TaskSpec, sources: DataSources) -> tuple[str, ...]:
    found = spec.availability(sources)
    here = "–" if not found.here else ("?" if found.rows is None else f"{found.rows:,}")
    sees = "structures" if spec.has_structures else "compositions"
    target = spec.target
    rows = f"{spec.rows_total:,}"
    return (spec.name, rows, here, target.unit, str(target.kind), target.name, sees, found.where)


def _print_table(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose names are never cut; on a narrow terminal the last columns of a wide one are left out."""
    shown = len(columns) if console.width >= WIDE else min(len(columns), 5)
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns[:shown]):
        widest = max((len(row[i]) for row in rows), default=0)
        numeric = column in ("rows", "here")
        whole = widest if i == 0 or numeric else None
        table.add_column(column, justify="right" if numeric else "left", min_width=whole, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row[:shown]), style="dim" if "–" in row[:shown] else "")
    console.print(table)
    console.print()
