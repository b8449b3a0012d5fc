"""``crystalbench list``: tasks, models, views and suites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from crystalbench.cli import options
from crystalbench.cli.console import command, say, screen

if TYPE_CHECKING:
    from rich.console import Console

    from crystalbench.runs.suite import Suite
    from crystalbench.tasks import DataSources, TaskSpec

WIDE = 130
"""Width of a terminal that shows all columns."""

SHOWN_COLUMNS = 5
"""Columns on a narrower terminal."""


def list_all(data_dir: options.DataDir = None, data: options.Data = None) -> None:
    """List tasks (with the number of rows available), models, views, fold schemes, probes and suites."""
    with command():
        print_lists(screen, options.data_sources(data_dir, data, None, offline=True))


def print_lists(console: Console, sources: DataSources) -> None:
    """Print a table each of tasks with the rows available, models, views, fold schemes, probes and suites."""
    from crystalbench.data.views import view_names
    from crystalbench.models import get_model, model_names
    from crystalbench.models.registry import summary
    from crystalbench.probes import get_probe, probe_names
    from crystalbench.runs.suite import load_suite, suite_names
    from crystalbench.tasks import task_specs
    from crystalbench.tasks.schemes import fold_schemes

    models = [(name, get_model(name)) for name in model_names()]
    suites = [(name, load_suite(name)) for name in suite_names()]
    _print_tasks(console, task_specs().values(), sources)
    _print_table(
        console,
        "Models",
        ("model", "needs", "description"),
        [(name, str(model.needs), summary(model)) for name, model in models],
    )
    _print_views(console, view_names())
    _print_table(
        console,
        "Fold schemes",
        ("scheme", "description"),
        [(name, scheme.description) for name, scheme in fold_schemes().items()],
    )
    _print_table(
        console, "Probes", ("probe", "description"), [(name, get_probe(name).description) for name in probe_names()]
    )
    _print_table(
        console,
        "Suites",
        ("suite", "description", "tasks"),
        [(name, suite.description, ", ".join(map(_task_name, suite.tasks))) for name, suite in suites],
    )


def print_suite(console: Console, name: str, sources: DataSources) -> None:
    """Print the tasks of a suite with the rows available, its models, its views, and its protocol.

    Raises:
        UnknownNameError: there is no such suite, or one of its tasks, models or views does not exist.
        ConfigError: the suite's file is wrong.
    """
    from crystalbench.models import get_model
    from crystalbench.runs.suite import load_suite
    from crystalbench.tasks import resolve_tasks

    suite = load_suite(name)
    _print_tasks(console, resolve_tasks(suite.tasks), sources)
    rows = []
    for entry in suite.entries():
        set_here = ", ".join(f"{key}={value}" for key, value in entry.parameters.items())
        rows.append((suite.label(entry), str(get_model(entry.model).needs), set_here))
    _print_table(console, "Models", ("model", "needs", "hyperparameters"), rows)
    _print_views(console, suite.all_views())
    for line in _protocol(suite):
        say(line)


def _protocol(suite: Suite) -> list[str]:
    """The protocol of a suite, and a line for each seeds or views that some of its models have instead."""
    protocol, tuning = suite.protocol, suite.tuning
    members = f"ensembles of {protocol.ensemble}" if protocol.ensemble > 1 else "single models"
    folds = f"{protocol.fold_scheme} folds" + (f" {_listed(protocol.folds)}" if protocol.folds is not None else "")
    parts = [f"{members} (xN: ensembles of N)", folds, f"{protocol.inner_folds} inner folds"]
    parts += [f"seeds {_listed(protocol.seeds)}", f"views {_listed(protocol.views)}"]
    if protocol.train_fractions != (1.0,):
        parts.append(f"shares of the training part {_listed(protocol.train_fractions)}")
    if tuning is not None:
        parts.append(f"tuned with {tuning.trials} trials" if tuning.trials else f"tuned for {tuning.minutes:g} minutes")
    instead: dict[str, list[str]] = {}
    for entry in suite.entries():
        for name, own in (("seeds", entry.seeds), ("views", entry.views)):
            if own:
                instead.setdefault(f"{name} {_listed(own)}", []).append(suite.label(entry))
    own_lines = [f"With {what} instead: {', '.join(models)}." for what, models in instead.items()]
    return [f"Protocol: {', '.join(parts)}.", *own_lines]


def _listed(values: Iterable[object]) -> str:
    return " ".join(map(str, values))


def _print_tasks(console: Console, specs: Iterable[TaskSpec], sources: DataSources) -> None:
    columns = ("task", "rows", "available", "unit", "kind", "property", "inputs", "source")
    _print_table(console, "Tasks", columns, [_task_row(spec, sources) for spec in specs])


def _print_views(console: Console, names: Iterable[str]) -> None:
    from crystalbench.data.views import get_view

    _print_table(console, "Views", ("view", "removes"), [(name, get_view(name).removes) for name in names])


def _task_name(task: str) -> str:
    """The name of a task that a suite gives by name or by task file."""
    return Path(task).stem if task.endswith(".toml") else task


def _task_row(spec: TaskSpec, sources: DataSources) -> tuple[str, ...]:
    found = spec.availability(sources)
    available = "–" if not found.here else ("?" if found.rows is None else f"{found.rows:,}")
    inputs = "structures" if spec.has_structures_here(sources) else "compositions"
    target = spec.target
    rows = f"{spec.rows_total:,}"
    return (spec.name, rows, available, target.unit, str(target.kind), target.name, inputs, found.where)


def _print_table(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose names are never cut; a narrow terminal shows the first columns only."""
    shown = len(columns) if console.width >= WIDE else min(len(columns), SHOWN_COLUMNS)
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns[:shown]):
        widest = max((len(row[i]) for row in rows), default=0)
        numeric = column in ("rows", "available")
        least = widest if i == 0 or numeric else None
        table.add_column(column, justify="right" if numeric else "left", min_width=least, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row[:shown]), style="dim" if "–" in row[:shown] else "")
    console.print(table)
    console.print()
