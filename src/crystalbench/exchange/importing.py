"""Check predictions against a task, score them, and store them as entries of a folder of results."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from crystalbench.data.checks import first_ids
from crystalbench.errors import ConfigError, DataError
from crystalbench.evaluation.metrics import score
from crystalbench.exchange.submissions import Submission, files_of, read_submissions
from crystalbench.exchange.truth import Truth, truth_of
from crystalbench.results.entry import (
    COLUMNS,
    ENTRIES,
    EntryFold,
    EntryOrigin,
    EntryStore,
    ImportedEntry,
    rows_digest,
    task_digest,
    truth_digest,
)
from crystalbench.results.record import scores_for_json
from crystalbench.targets import METRICS
from crystalbench.tasks import DataSources, get_task_spec

OF_PROBABILITIES = ("rocauc_true", "log_loss")
"""Metrics that labels without probabilities do not define."""

TOLERANCE = 1e-6
"""Relative difference between a recorded score and the recomputed one that is not reported."""


@dataclass(frozen=True)
class Imported:
    """An entry that was imported.

    Attributes:
        entry: its facts and scores.
        path: its file.
        is_new: whether it was written now; false if the same predictions were imported before.
        remarks: what the check found and did not refuse.
    """

    entry: ImportedEntry
    path: Path
    is_new: bool
    remarks: tuple[str, ...] = ()


def import_path(
    path: Path,
    results: Path,
    *,
    task: str | None = None,
    name: str | None = None,
    labels: Path | None = None,
    sources: DataSources | None = None,
    partial: bool = False,
    pretrained_on: Sequence[str] = (),
    notes: Sequence[str] = (),
    progress: Callable[[Imported], None] = lambda imported: None,
) -> list[Imported]:
    """Import all predictions of a file or folder into a folder of results.

    All files are checked before anything is written.

    Args:
        path: a file in one of the formats of `read_submissions`, or a folder, see `files_of`.
        results: folder of results; entries are stored in ``entries`` below it.
        task: name of the task; needed for CSV files.
        name: name of the entry.
        labels: folder with tables of the targets; by default, a folder ``labels`` in the given folder or next to it.
        sources: where to look for data of tasks.
        partial: whether predictions of some rows of a task only are accepted.
        pretrained_on: names of data sets that a pretrained part of the model has seen.
        notes: what a reader should know about the entries.
        progress: called after each entry.

    Raises:
        ConfigError: an option is missing or does not fit the file.
        DataError: a file is damaged, an id is unknown, missing or repeated, or a value is not a valid prediction.
        RecordError: another entry has the same name, or the results cannot be written.
    """
    files = files_of(path)
    labels = labels or _labels_near(path)
    sources = sources or DataSources(download=False)
    task = task and get_task_spec(task).name
    store, now = EntryStore(results / ENTRIES), datetime.now(UTC).isoformat(timespec="seconds")
    truths: dict[str, Truth] = {}
    for file in files:
        for submission in read_submissions(file, task, name):
            if submission.task not in truths:
                truths[submission.task] = truth_of(submission.task, sources, labels)
            check(submission, truths[submission.task], partial)
    done: list[Imported] = []
    for file in files:
        for submission in read_submissions(file, task, name):
            entry, rows = entry_of(submission, truths[submission.task], partial, pretrained_on, notes, now)
            remarks = _remarks(truths[submission.task], entry, rows)
            if (stored := _stored(store, entry)) is not None:
                done.append(Imported(*stored, False, remarks))
            else:
                done.append(Imported(entry, store.write(entry, rows), True, remarks))
            progress(done[-1])
    return done


def check(submission: Submission, truth: Truth, partial: bool = False) -> npt.NDArray[np.int64]:
    """Check predictions against a task.

    Args:
        submission: the predictions.
        truth: ids, targets and folds of the task.
        partial: whether predictions of some rows only are accepted.

    Returns:
        (n,) positions of the rows in the truth.

    Raises:
        DataError: an id is unknown, missing or repeated, or a value is not a valid prediction; names the file, the
            first such ids and their rows.
    """
    positions = _checked_positions(submission, truth, partial)
    _check_values(submission, truth.kind)
    return positions


def entry_of(
    submission: Submission,
    truth: Truth,
    partial: bool = False,
    pretrained_on: Sequence[str] = (),
    notes: Sequence[str] = (),
    now: str = "",
) -> tuple[ImportedEntry, pd.DataFrame]:
    """Check predictions and score them fold by fold.

    Args:
        submission: the predictions.
        truth: ids, targets and folds of the task.
        partial: whether predictions of some rows only are accepted.
        pretrained_on: names of data sets that a pretrained part of the model has seen.
        notes: what a reader should know about the entry.
        now: time of the import.

    Returns:
        The facts of the entry and its rows, with the columns of `crystalbench.results.entry.COLUMNS`.

    Raises:
        DataError: see `check`.
    """
    positions = check(submission, truth, partial)
    std = np.full(len(positions), np.nan) if submission.std is None else submission.std
    rows = pd.DataFrame(
        {
            "id": submission.ids.astype(object),
            "fold": truth.folds[positions],
            "target": truth.targets[positions],
            "prediction": submission.values,
            "std": std,
        }
    )[list(COLUMNS)]
    rows = rows.sort_values(["fold", "id"], kind="stable", ignore_index=True)
    folds = [_scored(fold, rows[rows["fold"] == fold], truth.kind) for fold in np.unique(rows["fold"]).tolist()]
    sizes = {int(fold): int((truth.folds == fold).sum()) for fold in truth.fold_numbers}
    is_complete = all(fold.rows == sizes[fold.fold] for fold in folds)
    entry = ImportedEntry(
        task=truth.task,
        name=submission.name,
        source="imported" if submission.format == "csv" else "published",
        origin=EntryOrigin(file=submission.file.name, sha256=submission.sha256, format=submission.format),
        imported=now,
        kind=truth.kind,
        metric=truth.metric,
        unit=truth.unit,
        rows=len(truth.ids) if is_complete else len(rows),
        rows_total=truth.rows_total,
        folds_total=len(sizes),
        truth=truth.digest if is_complete else task_digest(rows["id"], rows["target"], rows["fold"]),
        folds=folds,
        rows_sha256=rows_digest(rows),
        pretrained_on=sorted(set(pretrained_on)),
        notes=[*notes, *_findings(submission, truth, rows, folds)],
    )
    return entry, rows


def _labels_near(path: Path) -> Path | None:
    """A folder ``labels`` in the folder of a path or next to it."""
    folder = path if path.is_dir() else path.parent
    return next((near for near in (folder / "labels", folder.parent / "labels") if near.is_dir()), None)


def _stored(store: EntryStore, entry: ImportedEntry) -> tuple[ImportedEntry, Path] | None:
    """The same entry and its file if it was imported before.

    Raises:
        ConfigError: an entry of this name has other predictions.
    """
    found = store.find(entry.task, entry.name)
    if found is None:
        return None
    path, other = found
    if other.rows_sha256 != entry.rows_sha256:
        raise ConfigError(
            f"{entry.task}: {path} is an entry {entry.name!r} with other predictions; delete it, or give another --name"
        )
    return other, path


def _checked_positions(submission: Submission, truth: Truth, partial: bool) -> npt.NDArray[np.int64]:
    """Positions of the rows in the truth."""
    ids, title = submission.ids, f"{submission.file}: {submission.name} on {submission.task}"
    if len(ids) == 0:
        raise DataError(f"{title}: has no predictions")
    positions = truth.positions(ids)
    if (unknown := np.flatnonzero(positions < 0)).size:
        raise DataError(
            f"{title}: {len(unknown):,} of {len(ids):,} ids are not of this task, the first in "
            f"{submission.places[unknown[0]]}: {first_ids([repr(str(i)) for i in ids[unknown]])}; its ids are "
            f"{truth.ids[0]} to {truth.ids[-1]}"
        )
    counts = np.bincount(positions, minlength=len(truth.ids))
    if (counts > 1).any():
        twice = int(np.flatnonzero(counts > 1)[0])
        where = submission.places[positions == twice]
        raise DataError(
            f"{title}: {int((counts > 1).sum()):,} ids occur more than once; {truth.ids[twice]} is in {where[0]} and "
            f"{where[1]}; keep one prediction of each"
        )
    if submission.folds is not None and (wrong := submission.folds != truth.folds[positions]).any():
        first = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{title}: {int(wrong.sum()):,} rows are in another fold than the official one; {ids[first]} "
            f"({submission.places[first]}) is in fold {submission.folds[first]} instead of "
            f"{truth.folds[positions[first]]}"
        )
    if not partial and (missing := np.flatnonzero(counts == 0)).size:
        raise DataError(
            f"{title}: {len(missing):,} of {len(truth.ids):,} rows are missing: {first_ids(truth.ids[missing])}; add "
            "them, or state with --partial that only some rows were predicted"
        )
    return positions


def _check_values(submission: Submission, kind: str) -> None:
    values, std = submission.values, submission.std
    if kind == "regression" and submission.labels is not None:
        _refuse(submission, submission.labels, "the prediction", "is true or false, not a number")
    _refuse(submission, ~np.isfinite(values), "the prediction", "is not a finite number")
    if kind == "binary":
        _refuse(submission, (values < 0) | (values > 1), "the prediction", "is not a probability, 0 to 1")
    if std is not None:
        _refuse(submission, ~(np.isfinite(std) & (std >= 0)), "the standard deviation", "is not a number of 0 or more")


def _refuse(submission: Submission, bad: npt.NDArray[np.bool_], what: str, problem: str) -> None:
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{submission.file}: {submission.name} on {submission.task}: {what} of {submission.ids[first]} "
            f"({submission.places[first]}) {problem} ({int(bad.sum()):,} of {len(bad):,} rows)"
        )


def _scored(fold: int, rows: pd.DataFrame, kind: str) -> EntryFold:
    targets, values = rows["target"].to_numpy(), rows["prediction"].to_numpy()
    scores = scores_for_json(score(kind, targets, values))
    if kind == "binary" and np.isin(values, (0, 1)).all():
        scores |= dict.fromkeys(OF_PROBABILITIES)
    return EntryFold(fold=fold, rows=len(rows), truth=truth_digest(rows["id"], targets), scores=scores)


def _findings(submission: Submission, truth: Truth, rows: pd.DataFrame, folds: Sequence[EntryFold]) -> list[str]:
    """What a reader of the board should know, although it does not forbid the import."""
    found = []
    if len(rows) < len(truth.ids):
        found.append(f"{len(rows):,} of {len(truth.ids):,} rows were predicted")
    differing = [
        f"{name} of fold {fold.fold} ({recorded:.6g}, recomputed {value:.6g})"
        for fold in folds
        for name, recorded in submission.scores.get(fold.fold, {}).items()
        if (value := fold.scores.get(name)) is not None and not math.isclose(recorded, value, rel_tol=TOLERANCE)
    ]
    if differing:
        found.append(f"its file records other scores than its predictions have: {first_ids(differing)}")
    return found


def _remarks(truth: Truth, entry: ImportedEntry, rows: pd.DataFrame) -> tuple[str, ...]:
    """What the person who imports should know; the boards mark both by themselves."""
    found = []
    if truth.kind == "binary" and rows["prediction"].isin((0, 1)).all():
        found.append(f"gives labels, not probabilities, so {' and '.join(OF_PROBABILITIES)} are undefined")
    metric = METRICS[truth.metric]
    mine = np.array([fold.scores[metric.name] for fold in entry.folds], dtype=np.float64)
    dummy = np.array([_dummy_score(truth, rows[rows["fold"] == fold.fold], fold.fold) for fold in entry.folds])
    gain = (mine - dummy if metric.higher_is_better else dummy - mine).mean()
    if gain <= 0:  # never if the metric is undefined
        found.append(
            f"not better than the dummy: mean {metric.label} {mine.mean():.4g}, of the training mean {dummy.mean():.4g}"
        )
    return tuple(found)


def _dummy_score(truth: Truth, rows: pd.DataFrame, fold: int) -> float:
    """The main metric of the mean of the training targets on the rows of a fold."""
    mean = float(truth.targets[truth.folds != fold].mean())
    return score(truth.kind, rows["target"].to_numpy(), np.full(len(rows), mean))[truth.metric]
