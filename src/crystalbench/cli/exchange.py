"""``crystalbench import``: predictions that were computed elsewhere, as entries of the leaderboards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalbench.cli import options
from crystalbench.cli.console import command, note, say

if TYPE_CHECKING:
    from crystalbench.exchange.importing import Imported


def import_(
    path: Annotated[
        Path,
        typer.Argument(
            help="results.json.gz of the package matbench, a table TASK.parquet with a column for each model, or a CSV "
            "file with the columns id, prediction and perhaps std; or a folder with files of the first two kinds."
        ),
    ],
    results: options.Results = Path("results"),
    task: Annotated[str | None, typer.Option(help="Name of the task; needed for CSV files.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the entry; that of a CSV file by default.")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Folder with a table TASK.parquet (columns id, target) for each official task, for tasks whose data "
            "is not on this machine; a folder `labels` near the files is found by itself."
        ),
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Accept predictions of only some rows of a task.")] = False,
    pretrained_on: Annotated[
        list[str] | None,
        typer.Option(help="A data set that a pretrained part of the model has seen (repeatable).", metavar="NAME"),
    ] = None,
    remark: Annotated[
        list[str] | None, typer.Option("--note", help="What a reader should know (repeatable).", metavar="TEXT")
    ] = None,
    data_dir: options.DataDir = None,
    data: options.Data = None,
    verbose: options.Verbose = False,
) -> None:
    """Import predictions that were computed elsewhere: they are checked, scored fold by fold, and ranked."""
    with command(verbose):
        from crystalbench.exchange.importing import import_path

        sources = options.data_sources(data_dir, data, None, True, [task] if task else [])
        done = import_path(
            path,
            results,
            task=task,
            name=name,
            labels=labels,
            sources=sources,
            partial=partial,
            pretrained_on=pretrained_on or (),
            notes=remark or (),
            progress=_show,
        )
        new = sum(imported.is_new for imported in done)
        say(f"{new:,} entries imported, {len(done) - new:,} were there already; `crystalbench report` ranks them")


def _show(imported: Imported) -> None:
    from crystalbench.targets import METRICS

    entry = imported.entry
    metric = METRICS[entry.metric]
    values = [value for fold in entry.folds if (value := fold.scores[metric.name]) is not None]
    mean = f"{sum(values) / len(values):.4g}" if values else "undefined"
    unit = f" {entry.unit}" if metric.has_unit and entry.unit else ""
    count = f"{len(entry.folds)} of {entry.folds_total} folds"
    again = "" if imported.is_new else " (was there already)"
    say(f"{entry.task}: {entry.name}: {metric.label} {mean}{unit}, {count}{again}")
    for text in (*entry.notes, *imported.remarks):
        note(f"{entry.name}: {text}")
