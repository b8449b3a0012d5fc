"""Stores: folders of sealed files that are found by the specification of a run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from crystalbench._files import write_text
from crystalbench.errors import RecordError
from crystalbench.results.names import plain_name
from crystalbench.results.record import Record
from crystalbench.results.sealed import NewerFormatError
from crystalbench.results.spec import RunSpec
from crystalbench.results.study import Study

log = logging.getLogger(__name__)

Item = TypeVar("Item", Record, Study)


@dataclass(frozen=True)
class JsonStore(Generic[Item]):
    """A folder of sealed files, ``task/label/name.json``.

    Attributes:
        root: the folder; it is created when the first file is written.
    """

    model: ClassVar[type[Record] | type[Study]]

    root: Path

    def path_of(self, spec: RunSpec) -> Path | None:
        """Path of the file of a run, or None."""
        return next(self._paths_of(spec), None)

    def find(self, spec: RunSpec) -> Item | None:
        """Content of the file of a run, or None.

        A damaged file is renamed to ``.damaged`` with a warning and counts as missing.

        Raises:
            RecordError: a damaged file cannot be renamed, or the file was written by a newer version.
        """
        for path in self._paths_of(spec):
            try:
                found = self.read(path)
            except NewerFormatError:
                raise
            except RecordError as error:
                _rename_damaged(path, error, self.model.noun)
                continue
            if found.spec == spec:
                return found
        return None

    def _paths_of(self, spec: RunSpec) -> Iterator[Path]:
        """Files of a run: usually one at most, several if it was computed under several labels."""
        return (self.root / plain_name(spec.task)).glob(f"*/{self.model.name_of(spec)}")

    def write(self, item: Item) -> Path:
        """Write a file atomically.

        Raises:
            RecordError: the folder cannot be written or the disk is full.
        """
        path = self.root / item.file_name
        try:
            write_text(path, item.to_json(), durable=True)
        except OSError as error:
            raise RecordError(
                f"{path}: the {self.model.noun} cannot be written ({error.strerror or error}); free some space or "
                "choose another --results folder, then repeat the command: only this result is lost"
            ) from error
        return path

    def read(self, path: Path) -> Item:
        """Read one file.

        Raises:
            RecordError: the file is damaged or was changed.
        """
        try:
            return self.model.from_json(path.read_text(encoding="utf-8"), str(path))  # type: ignore[return-value]
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(f"{path}: cannot be read ({error})") from error

    def paths(self) -> list[Path]:
        """Paths of all files, sorted by name."""
        return sorted(path for path in self.root.glob("*/*/*.json") if not path.name.startswith("."))

    def read_all(self) -> tuple[list[Item], list[RecordError]]:
        """Content of all files, and an error for each file that cannot be read."""
        items: list[Item] = []
        problems: list[RecordError] = []
        for outcome in self._read_each():
            if isinstance(outcome, RecordError):
                problems.append(outcome)
            else:
                items.append(outcome)
        return items, problems

    def _read_each(self) -> Iterator[Item | RecordError]:
        for path in self.paths():
            try:
                yield self.read(path)
            except RecordError as error:
                yield error


class RecordStore(JsonStore[Record]):
    """A folder of records."""

    model = Record


class StudyStore(JsonStore[Study]):
    """A folder of finished studies."""

    model = Study


def _rename_damaged(path: Path, error: RecordError, noun: str) -> None:
    renamed = path.with_suffix(".damaged")
    try:
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            path.replace(renamed)
            log.warning("%s; renamed to %s, the %s is recomputed", error, renamed.name, noun)
    except OSError as failure:
        raise RecordError(f"{error} (it cannot be renamed: {failure.strerror or failure})") from failure
