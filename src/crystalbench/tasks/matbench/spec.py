"""The 13 official tasks of Matbench v0.1.

The data of a task is matminer's file ``<name>.json.gz``, which can be downloaded, or a Parquet table with some of its
rows (`crystalbench.tasks.matbench.partial_table`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from crystalbench.errors import ConfigError, DataError
from crystalbench.targets import Kind, Target
from crystalbench.tasks.matbench.addresses import addresses_of
from crystalbench.tasks.matbench.folds import official_folds
from crystalbench.tasks.matbench.official import OFFICIAL, OfficialTask
from crystalbench.tasks.matbench.official_file import read_official_file
from crystalbench.tasks.matbench.partial_table import count_rows, read_partial_table, table_has_structures
from crystalbench.tasks.remote import RemoteFile
from crystalbench.tasks.sources import DataSources
from crystalbench.tasks.spec import Availability, TaskSpec
from crystalbench.tasks.store import Decoded, file_sha256, load_or_build
from crystalbench.tasks.task import Source, Task

_OFFICIAL_FILE, _TABLE = ".json.gz", ".parquet"


@dataclass(frozen=True)
class MatbenchTaskSpec(TaskSpec):
    """An official task of Matbench."""

    @property
    def official(self) -> OfficialTask:
        """The official facts about the task."""
        return OFFICIAL[self.name]

    @classmethod
    def of(cls, official: OfficialTask) -> MatbenchTaskSpec:
        """Create the spec of an official task."""
        classes = ("false", "true") if official.kind is Kind.BINARY else ()
        unit = "" if official.unit == "unitless" else official.unit
        return cls(
            name=official.name,
            target=Target(official.target, official.kind, unit, classes),
            metric=official.metric,
            has_structures=official.input == "structure",
            rows_total=official.n_samples,
            description=f"Matbench v0.1: {official.target} from {official.input}",
            license=official.license,
            reference=official.reference,
        )

    @property
    def remote_files(self) -> tuple[RemoteFile, ...]:
        """The file with all rows, in matminer's format."""
        return (RemoteFile(self.name + _OFFICIAL_FILE, addresses_of(self.official), self.official.sha256),)

    def check_file(self, file: Path) -> None:
        """Check the ending of a file that the user named for this task.

        Raises:
            ConfigError: it is neither ``.json.gz`` nor ``.parquet``.
        """
        if not file.name.endswith((_OFFICIAL_FILE, _TABLE)):
            raise ConfigError(f"--data {self.name}={file}: the file must end in {_OFFICIAL_FILE} or {_TABLE}")

    def local_files(self, sources: DataSources) -> tuple[Path, ...] | None:
        """The file that the user named, or else matminer's file or a table in the data folder; None if there is none.

        Raises:
            DataError: the file that the user named does not exist.
            ConfigError: it has an unknown ending.
        """
        if (named := self.named_file(sources)) is not None:
            return (named,)
        found = (sources.locate(self.name + suffix) for suffix in (_OFFICIAL_FILE, _TABLE))
        return next(((file,) for file in found if file is not None), None)

    def availability(self, sources: DataSources) -> Availability:
        """Whether the data is on this machine; reads nothing but the ids of a table."""
        found = super().availability(sources)
        files = self.local_files(sources) if found.here else None
        if not files or not files[0].name.endswith(_TABLE):
            return found
        try:
            rows, others = count_rows(self.official, files[0])
        except DataError as error:
            return Availability(False, None, str(error))
        skipped = f", {others:,} others without an official id" if others else ""
        return Availability(True, rows, f"{files[0]}: {rows:,} of {self.rows_total:,} rows{skipped}")

    def has_structures_here(self, sources: DataSources) -> bool:
        """Whether the data has structures; reads nothing but the names of the columns of a table."""
        try:
            files = self.local_files(sources)
        except DataError:
            return self.has_structures
        if not files or not files[0].name.endswith(_TABLE):
            return self.has_structures
        return table_has_structures(self.official, files[0])

    def load(self, sources: DataSources) -> Task:
        """Read the task; from the cache folder if this file was read before.

        Raises:
            DataError: the data is missing or damaged, or it is not the data of this task.
        """
        (file,) = sources.find(self)
        sha256 = file_sha256(file)
        task = load_or_build(self.name, sha256, lambda: self.decode(file, sha256))
        source = replace(task.source, name=file.name)
        return replace(task, target=self.target, metric=self.metric, source=source).limited(sources.limit)

    def decode(self, file: Path, sha256: str) -> Decoded:
        """Read the task from a file, without the cache.

        Raises:
            DataError: the file is damaged, or it is not the data of this task.
        """
        official, folds = self.official, official_folds(self.name).astype(np.int16)
        remarks: tuple[str, ...] = ()
        if file.name.endswith(_TABLE):
            table = read_partial_table(official, file)
            inputs, targets, verified, remarks = table.inputs, table.targets, table.verified, table.remarks
            folds = folds[table.rows]
        else:
            inputs, targets, verified = read_official_file(official, file, sha256)
        source = Source(file.name, sha256, verified)
        task = Task(self.name, self.target, self.metric, inputs, targets, folds, official.n_samples, source)
        return Decoded(task, remarks)


TASKS: tuple[TaskSpec, ...] = tuple(MatbenchTaskSpec.of(official) for official in OFFICIAL.values())
"""The official tasks, smallest first."""
