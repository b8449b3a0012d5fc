"""A data set of the user's own as a task, described by a task file.

Example of a task file::

    name = "my_gaps"
    table = "gaps.parquet"
    id = "material_id"
    structure = { cif = "cif" }
    target = "gap"
    unit = "eV"
    kind = "regression"

    [folds]
    k = 5
    group = "formula"
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from crystalbench._files import expanded
from crystalbench.errors import ConfigError, DataError
from crystalbench.targets import Target, main_metric
from crystalbench.tasks.remote import RemoteFile
from crystalbench.tasks.sources import DataSources
from crystalbench.tasks.spec import TaskSpec
from crystalbench.tasks.store import Decoded, file_sha256, load_or_build
from crystalbench.tasks.tables.config import TableConfig, read_config
from crystalbench.tasks.tables.decoding import decode_table
from crystalbench.tasks.tables.reading import rows_of_table
from crystalbench.tasks.task import Source, Task


@dataclass(frozen=True)
class TableTaskSpec(TaskSpec):
    """A task that a task file describes.

    The classes of its target are known only after loading, and so is the number of rows unless the table is a Parquet
    file.

    Attributes:
        file: the task file.
        config: its content.
    """

    file: Path = Path()
    config: TableConfig | None = None

    @classmethod
    def from_toml(cls, path: Path | str) -> TableTaskSpec:
        """Read a task file.

        Raises:
            ConfigError: the file is missing or has mistakes; lists all of them.
        """
        file = expanded(path)
        config = read_config(file)
        return cls(
            name=config.name,
            target=Target(config.property_name, config.kind, config.unit),
            metric=config.metric or main_metric(config.kind).name,
            has_structures=config.structure is not None,
            rows_total=rows_of_table(file.parent / expanded(config.table)) or 0,
            description=config.description or f"{config.property_name} of {Path(config.table).name}",
            license=config.license,
            reference=config.reference,
            file=file,
            config=config,
        )

    @property
    def table(self) -> Path:
        """The table that the task file names; it need not exist."""
        return self.file.parent / expanded(self._config.table)

    @property
    def remote_files(self) -> tuple[RemoteFile, ...]:
        """The table, if the task file says where to download it from."""
        config = self._config
        if config.url is None or config.sha256 is None:
            return ()
        # Tables of different tasks may have the same name, hence the checksum.
        return (RemoteFile(f"tables/{config.sha256[:16]}/{self.table.name}", (config.url,), config.sha256),)

    def check_file(self, file: Path) -> None:
        """Accept any file; its ending is checked when it is read."""

    def local_files(self, sources: DataSources) -> tuple[Path, ...] | None:
        """The table that the user named, the one that the task file names, or a downloaded one; None if there is none.

        Raises:
            DataError: the table that the user named does not exist.
        """
        if (named := self.named_file(sources)) is not None:
            return (named,)
        if self.table.is_file():
            return (self.table,)
        return super().local_files(sources) if self.remote_files else None

    def rows_in(self, files: tuple[Path, ...]) -> int | None:
        """The number of rows of a Parquet table; None for other formats."""
        return rows_of_table(files[0])

    def missing_text(self, sources: DataSources) -> str:
        """One line that says where the table was expected."""
        downloaded = f", and {self.remote_files[0].name} is not in {sources.directory}" if self.remote_files else ""
        return (
            f"there is no table {self.table}{downloaded}; put it there, or name the table with --data {self.name}=PATH"
        )

    def load(self, sources: DataSources) -> Task:
        """Read the task; from the cache folder if this table was read before with this task file.

        Raises:
            DataError: the table is missing or damaged, it is not the one that the task file declares by its checksum,
                or it has rows that cannot be used; names them.
            ConfigError: the task file does not match the table.
        """
        (table,) = sources.find(self)
        sha256 = file_sha256(table)
        source = Source(table.name, sha256, self._verified(table, sha256, sources), self.file.name)
        key = hashlib.sha256(f"{sha256} {file_sha256(self.file)}".encode()).hexdigest()
        task = load_or_build(self.name, key, lambda: self.decode(table, source))
        # The store does not know the names of the task file and of the table, which may change.
        return replace(task, source=source).limited(sources.limit)

    def decode(self, table: Path, source: Source) -> Decoded:
        """Read the task from a table, without the cache.

        Raises:
            DataError: as `load`.
            ConfigError: as `load`.
        """
        config = self._config
        rows = decode_table(table, config, self.file)
        target = Target(config.property_name, config.kind, config.unit, rows.classes)
        task = Task(self.name, target, self.metric, rows.inputs, rows.targets, rows.folds, len(rows.inputs), source)
        return Decoded(task, rows.remarks)

    def _verified(self, table: Path, sha256: str, sources: DataSources) -> str:
        expected = self._config.sha256
        if sha256 == expected:
            return "sha256"
        if expected is not None and self.name not in sources.files:
            raise DataError(
                f"{table}: its SHA-256 is {sha256[:16]}…, but {self.file} declares {expected[:16]}…; replace the "
                f"table, correct sha256 in the task file, or name the right table with --data {self.name}=PATH"
            )
        return "user"

    @property
    def _config(self) -> TableConfig:
        if self.config is None:
            raise ConfigError(f"{self.name}: create it with TableTaskSpec.from_toml")
        return self.config
