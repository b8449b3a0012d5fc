"""``crystalbench import`` and ``export``: predictions of others on our boards, and ours for those of others."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalbench.cli import options
from crystalbench.cli.console import command, note, say

if TYPE_CHECKING:
    from crystalbench.exchange.importing import Imported


class Form(StrEnum):
    """A format that predictions are exported in."""

    MATBENCH = "matbench"
    JARVIS = "jarvis"


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


def export(
    form: Annotated[
        Form,
        typer.Argument(
            metavar="FORMAT",
            help="matbench: results.json.gz and info.json; jarvis: a .csv.zip per task for the JARVIS-Leaderboard.",
        ),
    ],
    entry: Annotated[str, typer.Argument(help="Title of an entry, as in the tables, e.g. 'cgcnn (tuned)'.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    results: options.Results = Path("results"),
    task: Annotated[
        list[str] | None, typer.Option(help="An official task (repeatable); all of the entry by default.")
    ] = None,
    authors: Annotated[str, typer.Option(help="Authors of the algorithm, for info.json.")] = "",
    verbose: options.Verbose = False,
) -> None:
    """Export the predictions of a complete entry for the leaderboards of others."""
    with command(verbose):
        from crystalbench.exchange.exporting import export_jarvis, export_matbench
        from crystalbench.results import load_results

        found, tasks = load_results(results), task or []
        if form is Form.MATBENCH:
            paths = export_matbench(found, entry, out, tasks, authors)
            note("complete info.json before a submission: authors, algorithm_long, bibtex_refs, notes, requirements")
        else:
            paths = export_jarvis(found, entry, out, tasks)
        say(f"written: {', '.join(map(str, paths))}")
