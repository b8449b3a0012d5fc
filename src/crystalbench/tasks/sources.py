"""Where the data of tasks is: in files on this machine, or downloaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crystalbench._files import data_dir, expanded, is_read_only
from crystalbench.errors import DataError
from crystalbench.tasks.download import Progress, download
from crystalbench.tasks.remote import RemoteFile

if TYPE_CHECKING:
    from crystalbench.tasks.spec import TaskSpec


@dataclass(frozen=True)
class DataSources:
    """Where to look for the data of tasks, and how much of it to use.

    A `TaskSpec` asks this class for its files: one that the user named for the task, one in the data folder, or one
    that is downloaded.

    Attributes:
        data_dir: the data folder. By default, the folder in the environment variable ``CRYSTALBENCH_DATA`` or
            ``MATMINER_DATA``, or else the user's data folder.
        files: files by name of the task; they take precedence over all others.
        limit: use at most this many rows of each task.
        download: whether missing files may be downloaded.
        progress: called while a file is downloaded.
    """

    data_dir: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    limit: int | None = None
    download: bool = True
    progress: Progress | None = None

    @property
    def directory(self) -> Path:
        """The data folder: it is searched, and downloads go there."""
        if self.data_dir is not None:
            return expanded(self.data_dir)
        return data_dir()

    def named_file(self, task: str) -> Path | None:
        """The file that the user named for a task, or None.

        Raises:
            DataError: this file does not exist.
        """
        if task not in self.files:
            return None
        file = expanded(self.files[task])
        if not file.is_file():
            raise DataError(f"--data {task}={file}: there is no such file")
        return file

    def locate(self, name: str) -> Path | None:
        """The file with this name in the data folder, or None."""
        file = self.directory / name
        return file if file.is_file() else None

    def fetch(self, remote: RemoteFile) -> Path:
        """A file of the data folder, downloaded if it is missing.

        Raises:
            DataError: it is missing and may not or could not be downloaded.
        """
        if (file := self.locate(remote.name)) is not None:
            return file
        if not self.download:
            raise DataError(f"{remote.name} is not in {self.directory}")
        if self.directory.exists() and is_read_only(self.directory):
            raise DataError(f"{remote.name} is not in {self.directory}, and this folder is read-only")
        return download(remote, self.directory, progress=self.progress)

    def find(self, spec: TaskSpec) -> tuple[Path, ...]:
        """The files with the data of a task, downloaded if necessary.

        Raises:
            DataError: some are missing; says how to get them.
        """
        return self.find_all([spec])[spec.name]

    def find_all(self, specs: Iterable[TaskSpec]) -> dict[str, tuple[Path, ...]]:
        """The files with the data of several tasks, downloaded if necessary.

        Returns:
            The files by name of the task; none for a task that comes with its package.

        Raises:
            DataError: the data of some tasks is missing; lists all of them, and says how to get it.
        """
        found: dict[str, tuple[Path, ...]] = {}
        missing: dict[str, tuple[TaskSpec, str]] = {}
        for spec in specs:
            if spec.name in found or spec.name in missing:
                continue
            try:
                found[spec.name] = spec.find_files(self)
            except DataError as error:
                missing[spec.name] = (spec, str(error))
        if missing:
            raise DataError(self._help(missing))
        return found

    def _help(self, missing: Mapping[str, tuple[TaskSpec, str]]) -> str:
        lines = [f"The data of {len(missing)} task{'s' * (len(missing) > 1)} is missing:"]
        lines += [f"  {name}: {reason}" for name, (_, reason) in missing.items()]
        lines.append("To get it:")
        if remotes := [remote.name for spec, _ in missing.values() for remote in spec.remote_files]:
            names = ", ".join(remotes[:3]) + (", ..." if len(remotes) > 3 else "")
            again = "again" if self.download else "without --offline"
            lines += [
                f"  * put {names} into {self.directory}, or name another folder with --data-dir or the environment "
                "variable CRYSTALBENCH_DATA or MATMINER_DATA;",
                f"  * or run {again} with a network connection, and CrystalBench downloads it;",
            ]
        lines.append(f"  * {'or ' * bool(remotes)}name a file for each task: --data {next(iter(missing))}=PATH")
        return "\n".join(lines)
