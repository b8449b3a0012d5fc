"""Import and export for scripts and notebooks, which ``import crystalbench as cb`` offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from crystalbench.exchange import exporting
from crystalbench.exchange.importing import Imported, import_path
from crystalbench.results import Results, load_results
from crystalbench.tasks import DataSources


def import_predictions(
    path: Path | str,
    results: Path | str = "results",
    *,
    task: str | None = None,
    name: str | None = None,
    labels: Path | str | None = None,
    data_dir: Path | str | None = None,
    data: Mapping[str, Path | str] | None = None,
    partial: bool = False,
    pretrained_on: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> list[Imported]:
    """Import predictions that were computed elsewhere, as ``crystalbench import`` does.

    They are checked, scored fold by fold, and stored as entries of a folder of results, so that `load_results` reads
    them together with the records.

    Args:
        path: a CSV file with the columns ``id``, ``prediction`` and perhaps ``std``; ``results.json.gz`` of the package
            matbench; a table ``TASK.parquet`` with a column for each model; or a folder with files of the last two.
        results: folder of results.
        task: name of the task; needed for CSV files.
        name: name of the entry; that of a CSV file by default.
        labels: folder with a table ``TASK.parquet`` of the targets, for official tasks whose data is not available.
        data_dir: folder with matminer's Matbench files.
        data: data file by task, as ``--data TASK=PATH``.
        partial: whether predictions of only some rows are accepted.
        pretrained_on: names of data sets that a pretrained part of the model has seen.
        notes: what a reader should know about the entry.

    Returns:
        For each entry its facts and scores (``entry``), its file (``path``), whether it is new (``is_new``), and what
        the check found and did not refuse (``remarks``).

    Raises:
        ConfigError: an argument is missing or does not fit the file, or another entry has the same name.
        DataError: a file is damaged, an id is unknown, missing or repeated, or a value is not a valid prediction.
    """
    files = {of: Path(file) for of, file in (data or {}).items()}
    return import_path(
        Path(path),
        Path(results),
        task=task,
        name=name,
        labels=None if labels is None else Path(labels),
        sources=DataSources(None if data_dir is None else Path(data_dir), files, download=False),
        partial=partial,
        pretrained_on=pretrained_on,
        notes=notes,
    )


def export_matbench(
    results: Results | Path | str,
    entry: str,
    folder: Path | str,
    tasks: str | Sequence[str] = (),
    *,
    authors: str = "",
    notes: str = "",
) -> list[Path]:
    """Write ``results.json.gz`` and ``info.json`` of a complete entry, as ``crystalbench export matbench`` does.

    Args:
        results: results, or a folder of results.
        entry: title of the entry, as in the tables, e.g. ``cgcnn (tuned)``.
        folder: folder of the two files.
        tasks: names of official tasks; all that the entry was run on by default.
        authors: authors of the algorithm.
        notes: remarks for readers of the leaderboard.

    Returns:
        The files.

    Raises:
        UnknownNameError: there is no such entry or official task.
        DataError: the entry lacks folds or rows of a task.
    """
    return exporting.export_matbench(_results(results), entry, Path(folder), _names(tasks), authors, notes)


def export_jarvis(
    results: Results | Path | str, entry: str, folder: Path | str, tasks: str | Sequence[str] = ()
) -> list[Path]:
    """Write a ``.csv.zip`` per task in the form of the JARVIS-Leaderboard, as ``crystalbench export jarvis`` does.

    Arguments, returned files and errors are those of `export_matbench`.
    """
    return exporting.export_jarvis(_results(results), entry, Path(folder), _names(tasks))


def _results(results: Results | Path | str) -> Results:
    return results if isinstance(results, Results) else load_results(results)


def _names(names: str | Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else names
