"""The ids, targets and folds of a task, with which foreign predictions are scored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from crystalbench.data.checks import first_ids
from crystalbench.errors import ConfigError, DataError
from crystalbench.results.entry import task_digest
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources, TaskSpec, get_task_spec
from crystalbench.tasks.matbench.folds import official_folds, official_labels
from crystalbench.tasks.matbench.official import OFFICIAL, OfficialTask, official_ids, rows_of_ids


@dataclass(frozen=True, eq=False)
class Truth:
    """What predictions of a task are scored with.

    Attributes:
        task: name of the task.
        kind: kind of the target, ``regression`` or ``binary``.
        metric: name of the main metric.
        unit: unit of the target.
        ids: (n,) ids of all rows that are ever tested, sorted.
        targets: (n,) true values, or 0 and 1.
        folds: (n,) the fold that tests each row.
        rows_total: rows of the complete task.
    """

    task: str
    kind: str
    metric: str
    unit: str
    ids: npt.NDArray[np.str_]
    targets: npt.NDArray[np.float64]
    folds: npt.NDArray[np.int64]
    rows_total: int

    @cached_property
    def digest(self) -> str:
        """SHA-256 of ids, targets and folds."""
        return task_digest(self.ids, self.targets, self.folds)

    def positions(self, ids: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
        """Positions of ids in `ids`, shape (m,); -1 where there is no such id."""
        places = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[places] == ids, places, -1)

    @property
    def fold_numbers(self) -> list[int]:
        """The folds in ascending order."""
        return [int(fold) for fold in np.unique(self.folds)]


def truth_of(name: str, sources: DataSources, labels: Path | None = None) -> Truth:
    """Find the ids, targets and folds of a task.

    They are taken from a table of labels, from the task's data on this machine, or, for official classification tasks,
    from the labels in this package.

    Args:
        name: name of the task, or path of a task file.
        sources: where to look for data.
        labels: folder with a table ``TASK.parquet`` for each official task, with the columns ``id`` and ``target``;
            the prefix ``matbench_`` may be left out of the names.

    Raises:
        UnknownNameError: there is no such task.
        ConfigError: the target is multiclass.
        DataError: no targets are found, or they are incomplete or damaged.
    """
    spec = get_task_spec(name)
    if spec.target.kind is Kind.MULTICLASS:
        raise ConfigError(f"{spec.name}: predictions of multiclass targets cannot be imported")
    official = OFFICIAL.get(spec.name)
    if official is not None and labels is not None and (table := _labels_file(labels, official)) is not None:
        return _official(spec, official, _read_labels(table, official))
    if spec.availability(sources).here:
        return _of_data(spec, sources)
    if official is not None and official.kind is Kind.BINARY:
        return _official(spec, official, official_labels(spec.name).astype(np.float64))
    raise DataError(
        f"{spec.name}: its targets are needed to score predictions, and they are not on this machine; name a folder "
        f"with a table {spec.name}.parquet (columns id, target) with --labels, or the data with --data-dir or "
        f"--data {spec.name}=PATH"
    )


def _official(spec: TaskSpec, official: OfficialTask, targets: npt.NDArray[np.float64]) -> Truth:
    return Truth(
        task=spec.name,
        kind=str(spec.target.kind),
        metric=spec.metric,
        unit=spec.target.unit,
        ids=official_ids(official.name),
        targets=targets,
        folds=official_folds(official.name).astype(np.int64),
        rows_total=official.n_samples,
    )


def _of_data(spec: TaskSpec, sources: DataSources) -> Truth:
    task = spec.load(sources)
    if spec.name in OFFICIAL and task.is_partial:
        raise DataError(
            f"{spec.name}: {task.source.name} has {len(task):,} of {task.rows_total:,} rows, but the targets of all "
            f"are needed; name the complete data, or a folder with a table {spec.name}.parquet with --labels"
        )
    order = np.argsort(task.inputs.ids, kind="stable")
    order = order[task.folds[order] >= 0]
    return Truth(
        task=task.name,
        kind=str(task.target.kind),
        metric=task.metric,
        unit=task.target.unit,
        ids=np.asarray(task.inputs.ids, np.str_)[order],
        targets=task.targets[order],
        folds=task.folds[order].astype(np.int64),
        rows_total=task.rows_total,
    )


def _labels_file(folder: Path, official: OfficialTask) -> Path | None:
    if not folder.is_dir():
        raise DataError(f"--labels {folder}: there is no such folder")
    files = (folder / f"{name}.parquet" for name in (official.name, official.short))
    return next((file for file in files if file.is_file()), None)


def _read_labels(file: Path, official: OfficialTask) -> npt.NDArray[np.float64]:
    """The targets in official order."""
    try:
        table = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as Parquet ({error})") from error
    if missing := [name for name in ("id", "target") if name not in table]:
        raise DataError(f"{file}: has no column {', '.join(missing)}")
    try:
        rows = rows_of_ids(official.name, table["id"].astype(str))
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    lacking = np.setdiff1d(np.arange(official.n_samples), rows)
    if len(lacking):
        raise DataError(
            f"{file}: {len(lacking):,} of {official.n_samples:,} rows are missing: "
            f"{first_ids(official_ids(official.name)[lacking])}"
        )
    targets = np.empty(official.n_samples)
    targets[rows] = pd.to_numeric(table["target"], errors="coerce").to_numpy(np.float64)
    if (bad := ~np.isfinite(targets)).any():
        raise DataError(f"{file}: the target of {first_ids(official_ids(official.name)[bad])} is not a finite number")
    if official.kind is Kind.BINARY and (targets != official_labels(official.name)).any():
        wrong = np.flatnonzero(targets != official_labels(official.name))
        raise DataError(f"{file}: the label of {first_ids(official_ids(official.name)[wrong])} is not the official one")
    if "fold" in table:
        _check_folds(file, table, rows, official)
    return targets


def _check_folds(file: Path, table: pd.DataFrame, rows: npt.NDArray[np.intp], official: OfficialTask) -> None:
    wrong = table["fold"].to_numpy() != official_folds(official.name)[rows]
    if wrong.any():
        raise DataError(
            f"{file}: the fold of {first_ids(table['id'].to_numpy(np.str_)[wrong])} is not the official one"
        )
