"""The command line: run, report, tune, list."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from crystalbench import __version__
from crystalbench.errors import ConfigError, CrystalBenchError
from crystalbench.tasks import DataSources, get_task_spec, parse_data_options, task_specs

app = typer.Typer(
    name="crystalbench",
    help="A fair comparison of representations of crystals over the official Matbench folds.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # in which square brackets, as in [default: demo], are plain text
)
screen = Console(emoji=False)
errors = Console(stderr=True, emoji=False)

INTERRUPTED = 130
SHOWN_PROBLEMS = 5


def main() -> None:
    """Entry point of the command ``crystalbench``."""
    app()


@app.command("run")
def run(
    suite: Annotated[str | None, typer.Option(help="Suite by name, or a TOML file. [default: demo]")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task (repeatable); or a task file .toml.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Only this model (repeatable); also package.module:Class or file.py:Class."),
    ] = None,
    fold: Annotated[list[int] | None, typer.Option(help="Only this outer fold (repeatable).")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this repetition (repeatable).", min=0)] = None,
    view: Annotated[list[str] | None, typer.Option(help="What models may see (repeatable).")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A hyperparameter, name=value (repeatable).", metavar="NAME=VALUE")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with matminer's Matbench files.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="A task's data file, perhaps with part of the rows (repeatable).", metavar="TASK=PATH"),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many rows of each task.", min=1)] = None,
    results: Annotated[Path | None, typer.Option(help="Folder of records and leaderboards.")] = None,
    inner_folds: Annotated[int | None, typer.Option(help="Parts of the training part; one validates.", min=2)] = None,
    ensemble: Annotated[int | None, typer.Option(help="Members, one for each of so many inner folds.", min=1)] = None,
    tune: Annotated[
        int | None, typer.Option(help="Tune every model with so many trials; 0 for none.", min=0, metavar="TRIALS")
    ] = None,
    tune_minutes: Annotated[
        float | None, typer.Option(help="Or for so long, all trials together.", metavar="MINUTES")
    ] = None,
    tune_scheme: Annotated[
        str | None, typer.Option(help="per_fold, or first_fold: tune on the first fold for all. [default: per_fold]")
    ] = None,
    tune_inner_folds: Annotated[
        int | None, typer.Option(help="Parts of the training part; one judges trials. [default: 5]", min=2)
    ] = None,
    tune_splits: Annotated[int | None, typer.Option(help="So many of them judge. [default: 1]", min=1)] = None,
    storage: Annotated[
        str | None, typer.Option(help="Studies of several machines, e.g. postgresql://user@host/base.", metavar="URL")
    ] = None,
    device: Annotated[str, typer.Option(help="Torch device: cpu, cuda, mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Threads. [default: the cores of this machine]", min=1)] = None,
    workers: Annotated[int, typer.Option(help="Processes that share the runs; threads are divided.", min=1)] = 1,
    offline: Annotated[bool, typer.Option("--offline", help="Never download data.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List tasks, models and suites, and stop.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False,
) -> None:
    """Run what is missing of a suite, then show the leaderboard.

    Without options, the demo suite runs on data that ships with CrystalBench. Runs whose record exists are not done
    again: stop at any time and call the same command to go on.
    """
    with _for_people(verbose):
        if list_:
            _list(_sources(data_dir, data, limit, offline))
            return
        from crystalbench.runs.plan import Selection

        selection = Selection(task or (), model or (), fold or (), seed or (), view or (), _parameters(set_ or []))
        from crystalbench.runs.suite import with_tuning

        how = {"scheme": tune_scheme, "inner_folds": tune_inner_folds, "splits": tune_splits}
        chosen = _suite(suite, selection, inner_folds, ensemble)
        chosen = with_tuning(chosen, trials=tune, minutes=tune_minutes, **how)
        if storage is not None and chosen.tuning is None:
            raise ConfigError(
                "--storage says where studies are, but nothing is tuned: give --tune TRIALS or --tune-minutes MINUTES, "
                "too, or leave --storage out"
            )
        sources = _sources(data_dir, data, limit, offline, (*chosen.tasks, *selection.tasks))
        _run(chosen, selection, sources, results or Path(chosen.results), device, threads, workers, storage)


@app.command("report")
def report(
    results: Annotated[Path, typer.Option(help="Folder of records and leaderboards.")] = Path("results"),
    readme: Annotated[
        Path | None, typer.Option(help="Markdown file to fill with a summary, between its results markers.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False,
) -> None:
    """Make the leaderboard from the records and show it."""
    with _for_people(verbose):
        _report(results, None, readme)


@app.command("tune")
def tune_show(
    show: Annotated[bool, typer.Option("--show", help="Write pages with plots and winning suites, too.")] = False,
    results: Annotated[Path, typer.Option(help="Folder of records and leaderboards.")] = Path("results"),
    task: Annotated[list[str] | None, typer.Option(help="Only this task (repeatable).")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Only this model, by name, label or place (repeatable).")
    ] = None,
    fold: Annotated[list[int] | None, typer.Option(help="Only this outer fold (repeatable).")] = None,
    storage: Annotated[str | None, typer.Option(help="Look also for unfinished studies there.", metavar="URL")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False,
) -> None:
    """Show what tuning found: the best configurations and how much each hyperparameter matters.

    Studies are made by ``crystalbench run --tune``.
    """
    with _for_people(verbose):
        _show_studies(results, task or (), model or (), fold or (), storage, pages=show)


@app.command("list")
def list_all(
    data_dir: Annotated[Path | None, typer.Option(help="Folder with matminer's Matbench files.")] = None,
    data: Annotated[list[str] | None, typer.Option(metavar="TASK=PATH", help="A task's data file.")] = None,
) -> None:
    """List tasks (with the rows that are here), models, views and suites."""
    with _for_people(verbose=False):
        _list(_sources(data_dir, data, None, offline=True))


@app.command("version")
def version() -> None:
    """Print the version."""
    screen.print(__version__)


def standalone(command: Callable[..., None]) -> None:
    """Run one command as a program of its own, e.g. ``python -m benchmarks.run``."""
    program = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
    program.command()(command)
    program()


# ---------------------------------------------------------------------- the work


def _run(
    suite: Any,
    selection: Any,
    sources: DataSources,
    results: Path,
    device: str,
    threads: int | None,
    workers: int,
    storage: str | None,
) -> None:
    from crystalbench.cli.show import LiveProgress
    from crystalbench.results.store import RecordStore
    from crystalbench.runs.environment import physical_cores
    from crystalbench.runs.execute import Resources
    from crystalbench.runs.plan import make_plan
    from crystalbench.runs.scheduler import check_writable, run_plan
    from crystalbench.runs.workers import Work, run_with_workers
    from crystalbench.tasks.download import rich_progress
    from crystalbench.tuning import Storage

    if device != "cpu":  # found out here, a mistake costs no run and no trial
        from crystalbench.models.training import checked_device

        checked_device(device)
    studies = Storage(storage) if storage is not None else None
    store = RecordStore(results / "records")
    sources = replace(sources, limit=sources.limit or suite.limit)
    with rich_progress() as downloads:
        plan = make_plan(suite, selection, replace(sources, progress=downloads))
    for note in plan.notes:
        screen.print(f"[yellow]note[/] {escape(note)}", highlight=False, soft_wrap=True)
    for task in plan.tasks:
        if task.is_partial:
            screen.print(
                f"[yellow]note[/] {escape(task.name)}: {len(task):,} of {task.rows_total:,} rows", highlight=False
            )
    missing = [r for r in plan.runs if store.path_of(r.spec) is None]
    done = len(plan.runs) - len(missing)
    screen.print(f"suite {escape(suite.name)}: {len(plan.runs)} runs, {done} of them done", highlight=False)
    if missing:
        check_writable(store.root)
    if studies and any(run.spec.tuning for run in missing):
        studies.check()
    tuned = any(run.spec.tuning for run in missing)  # in which several workers share a run
    workers = workers if tuned else min(workers, max(1, len(missing)))
    machine = Resources(device, threads or max(1, physical_cores() // workers))
    live = LiveProgress(screen, len(plan.runs))
    try:
        with live:
            if workers == 1:
                outcome = run_plan(plan, store, machine, live, storage=studies)
            else:
                work = Work(suite, selection, sources, store, machine, storage=studies)
                outcome = run_with_workers(plan, work, workers, live)
    except KeyboardInterrupt:
        screen.print(
            f"stopped after {live.done} of {len(plan.runs)} runs; the same command goes on from there", style="yellow"
        )
        raise typer.Exit(INTERRUPTED) from None
    _report(results, {task.name for task in plan.tasks})
    if outcome.failures:
        for failed, reason in outcome.failures:
            text = f"[red]failed[/] {escape(failed.title)}: {escape(reason)}"
            errors.print(text, highlight=False, soft_wrap=True)
        errors.print(f"tracebacks are in {escape(str(store.root / '.failures'))}", highlight=False)
        raise typer.Exit(1)


def _report(results: Path, tasks: set[str] | None, readme: Path | None = None) -> None:
    from crystalbench.evaluation.leaderboard import leaderboards
    from crystalbench.reports.files import notes, write_leaderboards
    from crystalbench.reports.screen import screen_table
    from crystalbench.reports.summary import fill_readme
    from crystalbench.results.store import RecordStore

    store = RecordStore(results / "records")
    records, problems = store.read_all()
    if not records and not problems and tasks is None:
        raise ConfigError(_nothing(results, "records", "run a suite first (crystalbench run)"))
    boards = leaderboards(records)
    for board in boards:
        if tasks is None or board.task in tasks:
            screen.print()
            screen.print(screen_table(board, screen.width))
            for note in notes(board):
                screen.print(escape(note), style="dim", highlight=False)
    for problem in problems[:SHOWN_PROBLEMS]:
        errors.print(f"[red]not counted[/] {escape(str(problem))}", highlight=False, soft_wrap=True)
    if len(problems) > SHOWN_PROBLEMS:
        errors.print(f"[red]not counted[/] {len(problems) - SHOWN_PROBLEMS} more files that are no whole records")
    if records:
        paths = write_leaderboards(boards, results)
        if readme is not None:
            fill_readme(readme, boards)
            paths.append(readme)
        screen.print(f"\nwritten: {escape(', '.join(map(str, paths)))}", highlight=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)


def _show_studies(
    results: Path,
    tasks: Sequence[str],
    models: Sequence[str],
    folds: Sequence[int],
    storage: str | None,
    *,
    pages: bool,
) -> None:
    from crystalbench.cli.show import asked_for
    from crystalbench.reports import studies as reports

    studies, problems = reports.read_studies(results / "studies", storage)
    for problem in problems:
        errors.print(f"[red]left out[/] {escape(str(problem))}", highlight=False, soft_wrap=True)
    if not studies:
        raise ConfigError(_nothing(results, "studies", "call run --tune first"))
    tasks, models = asked_for(studies, results / "studies", tasks, models, folds)
    found = reports.chosen(studies, tasks, models, folds)
    for study in found:
        screen.print(reports.heading(study), style="bold", highlight=False, markup=False)
        screen.print(reports.best_table(study, screen.width))
    if pages:
        folder = results / "studies" / reports.PAGES
        paths = [path for study in found for path in reports.write_all(study, folder)]
        counts = [
            _count(sum(p.suffix == end for p in paths), what) for end, what in ((".html", "page"), (".toml", "suite"))
        ]
        screen.print(
            f"written: {' and '.join(counts)} in {escape(str(folder))}",
            highlight=False,
            soft_wrap=True,
        )
    if problems:
        raise typer.Exit(1)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _nothing(results: Path, what: str, first: str) -> str:
    """That a folder of results has no records or studies, how to get some, and which folders below it have."""
    near = [str(path.parent) for path in sorted(results.glob(f"*/{what}")) if any(path.glob("*/*/*.json"))]
    where = f" (there are some in {', '.join(near)})" if near else ""
    return f"{results / what}: there are no {what}; {first}, or give --results{where}"


def _suite(name: str | None, selection: Any, inner_folds: int | None, ensemble: int | None) -> Any:
    from crystalbench.runs.suite import load_suite, suite_of_tasks

    suite = suite_of_tasks(selection.tasks) if name is None and selection.tasks else load_suite(name or "demo")
    changes = {"inner_folds": inner_folds, "ensemble": ensemble}
    changes = {key: value for key, value in changes.items() if value is not None}
    return suite.model_copy(update={"protocol": suite.protocol.model_copy(update=changes)})


def _list(sources: DataSources) -> None:
    from crystalbench.cli.show import print_lists

    print_lists(screen, sources)


def _sources(
    data_dir: Path | None, data: list[str] | None, limit: int | None, offline: bool, tasks: Sequence[str] = ()
) -> DataSources:
    if data_dir is not None and not data_dir.is_dir():
        raise ConfigError(f"--data-dir {data_dir}: there is no such folder")
    own = [get_task_spec(task).name for task in tasks if data and task.endswith(".toml")]
    return DataSources(data_dir, parse_data_options(data or [], (*task_specs(), *own)), limit, not offline)


def _parameters(assignments: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in assignments:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise ConfigError(f"--set {text!r}: write it as name=value, e.g. --set epochs=50")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = {"True": True, "False": False, "None": None}.get(value, value)
    return found


@contextlib.contextmanager
def _for_people(verbose: bool) -> Iterator[None]:
    """Show errors that CrystalBench raises on purpose in one line, and others with their traceback."""
    level = logging.DEBUG if verbose else logging.WARNING
    handler = RichHandler(console=errors, show_path=verbose, show_time=verbose)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("crystalbench").setLevel(level)
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    # What a batch system sends at the end of the time ends the workers, too, and leaves nothing half done.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except CrystalBenchError as error:
        errors.print(f"[red]error[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from (error if verbose else None)
    except KeyboardInterrupt:
        errors.print("stopped", style="yellow")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # the reader of a pipe (head, less) has gone
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        raise typer.Exit(1) from None
    finally:
        signal.signal(signal.SIGTERM, before)
