"""TaskSpec: a task before its data is loaded, and how it finds its files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crystalbench.errors import ConfigError, DataError
from crystalbench.targets import Target
from crystalbench.tasks.remote import RemoteFile
from crystalbench.tasks.task import Task

if TYPE_CHECKING:
    from crystalbench.tasks.sources import DataSources


@dataclass(frozen=True)
class Availability:
    """Whether the data of a task is on this machine.

    Attributes:
        here: whether it is.
        rows: number of rows, if it is known without decoding the data.
        where: one line that says where the data is, or where it was expected.
    """

    here: bool
    rows: int | None
    where: str


@dataclass(frozen=True)
class TaskSpec(ABC):
    """A task before its data is loaded; the registry holds these.

    A subclass implements `load`. One whose data is in files also declares `remote_files` if they can be downloaded,
    or overrides `local_files` if they can be in other places than the data folder; ``load`` then calls
    ``sources.find(self)`` and reads the files that this returns.

    Attributes:
        name: unique name.
        target: the property to predict.
        metric: name of the main metric.
        has_structures: whether the inputs are crystals; otherwise, they are compositions.
        rows_total: number of rows of the complete task; 0 if unknown.
        description: one line.
        license: terms of use of the data.
        reference: origin of the data.
    """

    name: str
    target: Target
    metric: str
    has_structures: bool
    rows_total: int
    description: str = ""
    license: str = ""
    reference: str = ""

    @abstractmethod
    def load(self, sources: DataSources) -> Task:
        """Read the task.

        Raises:
            DataError: the data is missing or damaged; says what to do.
        """

    @property
    def remote_files(self) -> tuple[RemoteFile, ...]:
        """The files with the data, if they can be downloaded; empty by default."""
        return ()

    def check_file(self, file: Path) -> None:
        """Check the name of a file that the user named for this task, with ``--data NAME=PATH`` for instance.

        Raises:
            ConfigError: the task does not read such files. By default, a task that declares no `remote_files` reads
                none, one that declares several cannot be given as a single file, and all other files are accepted.
        """
        if len(self.remote_files) != 1:
            reads = f"is read from {len(self.remote_files)} files" if self.remote_files else "reads no data file"
            raise ConfigError(f"--data {self.name}={file}: the task {reads}; leave this option out")

    def local_files(self, sources: DataSources) -> tuple[Path, ...] | None:
        """The files with the data on this machine, or None if some are missing; downloads nothing.

        By default: the file that the user named, or else the `remote_files` in the data folder.

        Raises:
            DataError: the file that the user named does not exist.
            ConfigError: the task does not read such files.
        """
        if (named := self.named_file(sources)) is not None:
            return (named,)
        found = [sources.locate(remote.name) for remote in self.remote_files]
        files = tuple(file for file in found if file is not None)
        return files if len(files) == len(found) else None

    def find_files(self, sources: DataSources) -> tuple[Path, ...]:
        """The files with the data, downloaded if necessary; none for a task that comes with its package.

        Raises:
            DataError: some are missing.
            ConfigError: the user named a file that the task does not read.
        """
        if local := self.local_files(sources):
            return local
        if self.remote_files:
            return tuple(sources.fetch(remote) for remote in self.remote_files)
        available = self.availability(sources)
        if not available.here:
            raise DataError(available.where)
        return ()

    def availability(self, sources: DataSources) -> Availability:
        """Whether the data is on this machine; decodes nothing and downloads nothing."""
        try:
            local = self.local_files(sources)
        except DataError as error:
            return Availability(False, None, str(error))
        if local is None:
            return Availability(False, None, self.missing_text(sources))
        where = ", ".join(map(str, local)) or "comes with its package"
        return Availability(True, self.rows_in(local), where)

    def has_structures_here(self, sources: DataSources) -> bool:
        """Whether the data on this machine has structures; decodes nothing and downloads nothing.

        By default, `has_structures`. Of some tasks, the data may have compositions only.
        """
        return self.has_structures

    def rows_in(self, files: tuple[Path, ...]) -> int | None:
        """The number of rows in the files, if it is known without decoding them; by default, `rows_total`."""
        return self.rows_total or None

    def missing_text(self, sources: DataSources) -> str:
        """One line that says where the data was expected."""
        names = ", ".join(remote.name for remote in self.remote_files)
        return f"{names or 'its data'} is not in {sources.directory}"

    def named_file(self, sources: DataSources) -> Path | None:
        """The file that the user named for this task, checked; or None.

        Raises:
            DataError: it does not exist.
            ConfigError: the task does not read such files.
        """
        file = sources.named_file(self.name)
        if file is not None:
            self.check_file(file)
        return file
