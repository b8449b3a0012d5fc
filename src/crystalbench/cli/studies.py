"""``crystalbench studies``: results of tuning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalbench.cli import options
from crystalbench.cli.console import command, complain, say, screen
from crystalbench.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from crystalbench.results.study import Study


def studies(
    show: Annotated[bool, typer.Option("--show", help="Also write pages with plots, and winning suites.")] = False,
    results: options.Results = Path("results"),
    task: Annotated[list[str] | None, typer.Option(help="Only this task (repeatable).")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Only this model, by name, label or place (repeatable).")
    ] = None,
    fold: Annotated[list[int] | None, typer.Option(help="Only this outer fold (repeatable).")] = None,
    storage: Annotated[str | None, typer.Option(help="Also show unfinished studies from there.", metavar="URL")] = None,
    verbose: options.Verbose = False,
) -> None:
    """Show the results of tuning: the best configurations and how important each hyperparameter is.

    Studies are made by ``crystalbench run --tune``.
    """
    with command(verbose):
        _show(results, task or (), model or (), fold or (), storage, pages=show)


def _show(
    results: Path,
    tasks: Sequence[str],
    models: Sequence[str],
    folds: Sequence[int],
    storage: str | None,
    *,
    pages: bool,
) -> None:
    from crystalbench.reports import studies as reports

    found, problems = reports.read_studies(results / "studies", storage)
    for problem in problems:
        complain("left out", str(problem))
    if not found:
        raise ConfigError(options.nothing_found(results, "studies", "tune first (crystalbench run --tune)"))
    tasks, models = requested(found, results / "studies", tasks, models, folds)
    chosen = reports.chosen(found, tasks, models, folds)
    for study in chosen:
        say(reports.heading(study), style="bold")
        screen.print(reports.best_table(study, screen.width))
    if pages:
        folder = results / "studies" / reports.PAGES
        paths = [path for study in chosen for path in reports.write_all(study, folder)]
        counts = [
            _count(sum(p.suffix == end for p in paths), what) for end, what in ((".html", "page"), (".toml", "suite"))
        ]
        say(f"written: {' and '.join(counts)} in {folder}")
    if problems:
        raise typer.Exit(1)


def requested(
    studies: Sequence[Study], folder: Path, tasks: Sequence[str], models: Sequence[str], folds: Sequence[int]
) -> tuple[list[str], list[str]]:
    """Names of the requested tasks and models as studies have them.

    Args:
        studies: all studies.
        folder: their folder, for messages.
        tasks: names, or task files.
        models: names, labels, or places as they were given to a run.
        folds: outer folds.

    Raises:
        UnknownNameError: there is no study of a task or model.
        ConfigError: there is no study of a fold.
    """
    from crystalbench.tasks import get_task_spec

    names = [get_task_spec(task).name if task.endswith(".toml") else task for task in tasks]
    _check(f"task of the studies in {folder}", names, {study.spec.task for study in studies})
    left = [study for study in studies if not tasks or study.spec.task in names]
    known = {name for study in left for name in (study.label, study.spec.model)}
    called = [name if name in known else _without_folders(name) for name in models]
    _check(f"model of the studies in {folder}", called, known)
    left = [study for study in left if not models or study.label in called or study.spec.model in called]
    available = sorted({study.spec.fold for study in left})
    for fold in folds:
        if fold not in available:
            raise ConfigError(
                f"{folder}: there is no study of fold {fold}; there are studies of fold{'s' * (len(available) != 1)} "
                + ", ".join(map(str, available))
            )
    return names, called


def _check(what: str, names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownNameError(what, name, known)


def _without_folders(model: str) -> str:
    """The place of a model as records have it: ``file.py:Class`` without folders."""
    return model.replace("\\", "/").rpartition("/")[2] if ":" in model else model


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
