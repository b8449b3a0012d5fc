"""Imported entries: predictions that were computed elsewhere, in one immutable file for each task and name.

A file is a Parquet table with one row per predicted sample. Its metadata hold the facts of the entry as sealed JSON,
with the scores of each fold, so that leaderboards need not read the rows.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from crystalbench._files import write_bytes
from crystalbench.errors import ConfigError, RecordError
from crystalbench.results.names import plain_name
from crystalbench.results.sealed import Frozen, Sealed
from crystalbench.targets import metrics_of

ENTRIES = "entries"
"""Folder of imported entries below a folder of results."""

ENTRY_FORMAT = 1

COLUMNS = ("id", "fold", "target", "prediction", "std")
"""Columns of the rows of an entry."""

_KEY = b"crystalbench"


class EntryOrigin(Frozen):
    """The file that the predictions were read from: its name, its SHA-256, and its format."""

    file: str
    sha256: str
    format: Literal["matbench", "table", "csv"]


class EntryFold(Frozen):
    """One fold of an entry.

    Attributes:
        fold: number of the fold.
        rows: number of predicted rows.
        truth: digest of their ids and targets, see `truth_digest`.
        scores: all metrics on these rows, computed from them; None where a metric is undefined.
    """

    fold: int
    rows: int
    truth: str
    scores: dict[str, float | None]


class ImportedEntry(Sealed):
    """Facts and scores of an imported entry.

    Attributes:
        task: name of the task.
        name: name of the entry in tables.
        source: ``published`` or ``imported``.
        origin: the file that the predictions were read from.
        imported: UTC time, ISO 8601.
        kind: kind of the target.
        metric: the task's main metric.
        unit: unit of the target.
        rows: rows that the entry could have predicted: of the complete task if its folds are complete, otherwise the
            predicted ones.
        rows_total: rows of the complete task.
        folds_total: number of folds of the task.
        truth: digest of ids, targets and folds of these rows.
        folds: the folds that were predicted, in ascending order.
        rows_sha256: digest of the rows, see `rows_digest`.
        pretrained_on: names of data sets that a pretrained part of the model has seen.
        notes: what a reader should know about the entry.
        format: version of this format.
    """

    noun = "imported entry"
    remedy = "delete it and import it again"

    task: str
    name: str
    source: Literal["published", "imported"]
    origin: EntryOrigin
    imported: str
    kind: str
    metric: str
    unit: str
    rows: int
    rows_total: int
    folds_total: int
    truth: str
    folds: list[EntryFold]
    rows_sha256: str
    pretrained_on: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    format: int = ENTRY_FORMAT

    def check_content(self) -> None:
        """Check that the kind of the target is known and has the main metric."""
        known = [metric.name for metric in metrics_of(self.kind)]
        if self.metric not in known:
            raise ConfigError(f"{self.metric!r} is not a metric of {self.kind} targets, which have {', '.join(known)}")

    @property
    def file_name(self) -> str:
        """Path of the file, relative to the folder of entries."""
        return f"{plain_name(self.task)}/{plain_name(self.name, 'entry')}-{self.rows_sha256[:16]}.parquet"


def truth_digest(ids: npt.ArrayLike, targets: npt.ArrayLike) -> str:
    """SHA-256 of the ids and targets of n rows, whatever their order.

    Args:
        ids: (n,) ids.
        targets: (n,) true values or class numbers.
    """
    names, values = np.asarray(ids, np.str_), np.asarray(targets, np.float64)
    order = np.argsort(names, kind="stable")
    sha = hashlib.sha256("\n".join(names[order]).encode())
    sha.update(values[order].tobytes())
    return sha.hexdigest()


def task_digest(ids: npt.ArrayLike, targets: npt.ArrayLike, folds: npt.ArrayLike) -> str:
    """SHA-256 of the ids, targets and folds of n rows, whatever their order."""
    names = np.char.add(np.char.add(np.asarray(folds, np.int64).astype(np.str_), ":"), np.asarray(ids, np.str_))
    return truth_digest(names, targets)


def rows_digest(rows: pd.DataFrame) -> str:
    """SHA-256 of a frame with the columns `COLUMNS`."""
    sha = hashlib.sha256("\n".join(rows["id"]).encode())
    sha.update(rows["fold"].to_numpy(np.int64).tobytes())
    for name in COLUMNS[2:]:
        sha.update(rows[name].to_numpy(np.float64).tobytes())
    return sha.hexdigest()


@dataclass(frozen=True)
class EntryStore:
    """A folder of imported entries, ``task/name-digest.parquet``.

    Attributes:
        root: the folder; it is created when the first file is written.
    """

    root: Path

    def paths(self) -> list[Path]:
        """Paths of all files, sorted by name."""
        return sorted(path for path in self.root.glob("*/*.parquet") if not path.name.startswith("."))

    def find(self, task: str, name: str) -> tuple[Path, ImportedEntry] | None:
        """The entry with this name on a task, and its file; None if there is none.

        Raises:
            RecordError: a file of this name is damaged.
        """
        stem = re.compile(re.escape(plain_name(name, "entry")) + r"-[0-9a-f]{16}\.parquet")
        for path in sorted((self.root / plain_name(task)).glob("*.parquet")):
            if stem.fullmatch(path.name) and (found := self.read(path)).name == name:
                return path, found
        return None

    def write(self, entry: ImportedEntry, rows: pd.DataFrame) -> Path:
        """Write an entry atomically.

        Args:
            entry: its facts.
            rows: one row per predicted sample, with the columns `COLUMNS`.

        Raises:
            RecordError: the folder cannot be written or the disk is full.
        """
        table = pa.table({name: pa.array(rows[name].to_numpy()) for name in COLUMNS})
        buffer = io.BytesIO()
        pq.write_table(
            table.replace_schema_metadata({_KEY: entry.to_json().encode()}),
            buffer,
            compression="zstd",
            use_dictionary=False,
            column_encoding={
                "id": "DELTA_BYTE_ARRAY",
                "fold": "DELTA_BINARY_PACKED",
                **dict.fromkeys(COLUMNS[2:], "BYTE_STREAM_SPLIT"),
            },
        )
        path = self.root / entry.file_name
        try:
            write_bytes(path, buffer.getvalue(), durable=True)
        except OSError as error:
            raise RecordError(
                f"{path}: the imported entry cannot be written ({error.strerror or error}); free some space or choose "
                "another --results folder, then repeat the command"
            ) from error
        return path

    def read(self, path: Path) -> ImportedEntry:
        """Facts and scores of an entry; its rows are not read.

        Raises:
            RecordError: the file is damaged or was changed.
        """
        try:
            metadata = pq.read_schema(path).metadata or {}
            text = metadata[_KEY].decode()
        except (OSError, pa.ArrowException, KeyError, UnicodeDecodeError) as error:
            raise RecordError(f"{path}: is not an imported entry ({error}); {ImportedEntry.remedy}") from error
        return ImportedEntry.from_json(text, str(path))

    def read_rows(self, path: Path) -> pd.DataFrame:
        """The rows of an entry, with the columns `COLUMNS`, sorted by fold and id.

        Raises:
            RecordError: the file is damaged or was changed.
        """
        entry = self.read(path)
        try:
            rows: pd.DataFrame = pq.read_table(path, columns=list(COLUMNS)).to_pandas()
        except (OSError, pa.ArrowException) as error:
            raise RecordError(f"{path}: cannot be read ({error}); {entry.remedy}") from error
        if rows_digest(rows) != entry.rows_sha256:
            raise RecordError(f"{path}: was changed after it was written (its digest differs); {entry.remedy}")
        return rows

    def has_std(self, path: Path) -> bool:
        """Whether an entry has standard deviations; only their column is read.

        Raises:
            RecordError: the file is damaged.
        """
        try:
            values = pq.read_table(path, columns=["std"])["std"].to_numpy()
        except (OSError, pa.ArrowException) as error:
            raise RecordError(f"{path}: cannot be read ({error}); {ImportedEntry.remedy}") from error
        return not np.isnan(values).all()

    def read_all(self) -> tuple[list[tuple[Path, ImportedEntry]], list[RecordError]]:
        """Facts and scores of all entries, and an error for each file that cannot be read."""
        found: list[tuple[Path, ImportedEntry]] = []
        problems: list[RecordError] = []
        for path in self.paths():
            try:
                found.append((path, self.read(path)))
            except RecordError as error:
                problems.append(error)
        return found, problems


def joined(names: Iterable[Any]) -> str:
    """Sorted names as one text, as columns of frames hold them."""
    return ", ".join(sorted(map(str, names)))
