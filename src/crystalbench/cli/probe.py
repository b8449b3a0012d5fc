"""``crystalbench probe``: what models know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from crystalbench.cli import options
from crystalbench.cli.console import INTERRUPTED, command, complain, note, say, screen
from crystalbench.cli.run import chosen_suite
from crystalbench.errors import ConfigError

if TYPE_CHECKING:
    from crystalbench.probes import Probed
    from crystalbench.reports.sections import Section
    from crystalbench.runs.plan import Selection
    from crystalbench.runs.suite import Suite
    from crystalbench.tasks import DataSources


def probe(
    name: Annotated[
        str,
        typer.Argument(help="Name of a probe (crystalbench list shows them), package.module:Class or file.py:Class."),
    ],
    task: Annotated[list[str] | None, typer.Option(help="Name of a task, or a task file .toml (repeatable).")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Name of a model, package.module:Class or file.py:Class (repeatable)."),
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="Take tasks, models and protocol from a suite, or a TOML file.")
    ] = None,
    fold: Annotated[list[int] | None, typer.Option(help="Only this outer fold (repeatable).")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this repetition (repeatable).", min=0)] = None,
    view: Annotated[
        list[str] | None, typer.Option(help="What models may see, instead of the views of the probe (repeatable).")
    ] = None,
    folds: Annotated[
        str | None, typer.Option(help="How the outer folds are made. [default: official]", metavar="SCHEME")
    ] = None,
    set_: options.Settings = None,
    data_dir: options.DataDir = None,
    data: options.Data = None,
    limit: options.Limit = None,
    results: Annotated[Path | None, options.RESULTS] = None,
    inner_folds: Annotated[
        int | None, typer.Option(help="Inner folds of a training part; one of them validates.", min=2)
    ] = None,
    ensemble: Annotated[
        int | None, typer.Option(help="Ensemble members, each validated on another inner fold.", min=1)
    ] = None,
    device: options.Device = "cpu",
    threads: options.Threads = 1,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that compute runs. [default: usable cores / threads, at most the runs]", min=1),
    ] = None,
    offline: options.Offline = False,
    verbose: options.Verbose = False,
) -> None:
    """Find out what models know: run a probe on tasks and models, and show and write its tables.

    What has been computed is not computed again: stop at any time, and repeat the command to continue.
    """
    with command(verbose):
        from crystalbench.probes import get_probe
        from crystalbench.runs.plan import Selection

        found = get_probe(name)  # a mistake is found before anything else
        if suite is None and not (task and (model or not found.takes_models)):
            if not found.suite:
                models = " --model MODEL" if found.takes_models else ""
                raise ConfigError(f"name what to probe: --task TASK{models}, or --suite SUITE")
            suite = found.suite
        selection = Selection(task or (), model or (), fold or (), seed or (), view or (), options.parameters(set_))
        chosen = chosen_suite(suite, selection, inner_folds=inner_folds, ensemble=ensemble, fold_scheme=folds)
        sources = options.data_sources(data_dir, data, limit, offline, (*chosen.tasks, *selection.tasks))
        _probe(name, chosen, selection, sources, results or Path(chosen.results), device, threads, workers)


def _probe(
    name: str,
    suite: Suite,
    selection: Selection,
    sources: DataSources,
    results: Path,
    device: str,
    threads: int,
    workers: int | None,
) -> None:
    from crystalbench.runs.resources import Resources, let_threads_sleep

    if threads > 1:
        let_threads_sleep()  # before torch is imported
    from crystalbench.cli.progress import LiveProgress, Reading
    from crystalbench.probes import check_kinds, get_probe, run_probe
    from crystalbench.tasks.download import rich_progress
    from crystalbench.tasks.suffixes import divided, is_made_of_another

    options.check_machine(device, threads, workers)
    found = get_probe(name)
    sources = replace(sources, limit=sources.limit or suite.limit)
    with rich_progress() as downloads, Reading(screen) as reading:
        plan = found.plan(suite, selection, replace(sources, progress=downloads), reading)
    check_kinds(found, plan)
    for line in plan.notes:
        note(line)
    for loaded in plan.tasks:
        if loaded.is_partial and not is_made_of_another(loaded.name):
            note(f"{loaded.name}: {len(loaded):,} of {loaded.rows_total:,} rows")
    say(f"probe {found.name}: {len(plan.runs)} run{'s' * (len(plan.runs) != 1)}")
    live = LiveProgress(screen, len(plan.runs))
    resources = Resources(device, threads)
    try:
        with live:
            probed = run_probe(name, plan, results, resources=resources, workers=workers, observer=live)
    except KeyboardInterrupt:
        say(f"stopped after {live.done} of {len(plan.runs)} runs; repeat the command to continue", style="yellow")
        raise typer.Exit(INTERRUPTED) from None
    names = {name for task in plan.tasks for name in (task.name, divided(task.name)[0])}
    shown = {
        title: table[table["task"].isin(names)] if "task" in table else table for title, table in probed.tables.items()
    }
    for section in found.report(shown):
        _show(section)
    say(f"\nwritten: {', '.join(map(str, probed.files))}")
    _show_failures(probed)


def _show(section: Section) -> None:
    screen.print()
    say(section.heading, style="bold")
    if section.titles:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for i, title in enumerate(section.titles):
            table.add_column(escape(title), justify="right" if i else "left", overflow="fold")
        for row in section.rows:
            table.add_row(*(escape(str(cell)) for cell in row))
        screen.print(table)
    for line in section.lines:
        screen.print(escape(line), highlight=False)


def _show_failures(probed: Probed) -> None:
    failures: Sequence[tuple[object, str]] = probed.failures
    for run, reason in failures:
        complain("failed", f"{getattr(run, 'title', run)}: {reason}")
    if failures:
        raise typer.Exit(1)
