"""Where the data of tasks is: on this machine, or downloaded."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from crystalbench._files import is_read_only
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.tasks.download import Progress, address_of, download_file
from crystalbench.tasks.matbench.official import OFFICIAL, OfficialTask

SUFFIXES = (".json.gz", ".parquet")
"""Endings of the files that hold an official task: matminer's file, or a table with all or some of the rows."""


@dataclass(frozen=True)
class DataSources:
    """Where to look for the data of tasks, and how much of it to use.

    Attributes:
        data_dir: folder with matminer's files; by default that of the environment variables ``CRYSTALBENCH_DATA`` or
            ``MATMINER_DATA``, else the user's own data folder.
        files: files named for single tasks, official ones or a user's own; they come first.
        limit: use at most so many rows of each task.
        download: whether missing files may be downloaded.
        progress: told how far a download is.
    """

    data_dir: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    limit: int | None = None
    download: bool = True
    progress: Progress | None = None

    @property
    def directory(self) -> Path:
        """The folder that is searched and that downloads go to."""
        if self.data_dir is not None:
            return Path(self.data_dir).expanduser()
        for variable in ("CRYSTALBENCH_DATA", "MATMINER_DATA"):
            if value := os.environ.get(variable):
                return Path(value).expanduser()
        return platformdirs.user_data_path("crystalbench", appauthor=False)

    def locate(self, official: OfficialTask) -> Path | None:
        """The file with an official task on this machine, or None.

        Raises:
            DataError: a file named for this task does not exist.
            ConfigError: a file named for this task has an unknown ending.
        """
        if official.name in self.files:
            file = Path(self.files[official.name]).expanduser()
            _check_file(official.name, file)
            return file
        candidates = (self.directory / f"{official.name}{suffix}" for suffix in SUFFIXES)
        return next((file for file in candidates if file.is_file()), None)

    def find(self, official: OfficialTask) -> Path:
        """The file with an official task, downloaded if need be.

        Raises:
            DataError: it is not at hand; says the ways to get it.
        """
        return self.find_all([official])[official.name]

    def find_all(self, tasks: Iterable[OfficialTask]) -> dict[str, Path]:
        """The files of several official tasks, downloaded if need be.

        Raises:
            DataError: some are not at hand; lists all of them, and the ways to get them.
        """
        wanted = list(tasks)
        found = {task.name: file for task in wanted if (file := self.locate(task)) is not None}
        missing: dict[str, str] = {}
        for task in wanted:
            if task.name in found or task.name in missing:
                continue
            try:
                found[task.name] = self._fetch(task)
            except DataError as error:
                missing[task.name] = str(error)
        if missing:
            raise DataError(self._missing_text(missing))
        return found

    def _fetch(self, task: OfficialTask) -> Path:
        file = self.directory / f"{task.name}.json.gz"
        if not self.download:
            raise DataError(f"neither {file.name} nor {task.name}.parquet is in {self.directory}")
        if self.directory.exists() and is_read_only(self.directory):
            raise DataError(f"{file.name} is not in {self.directory}, and nothing can be written there")
        return download_file(address_of(task), file, task.sha256, progress=self.progress)

    def _missing_text(self, missing: Mapping[str, str]) -> str:
        first = next(iter(missing))
        listing = "\n".join(f"  {name}: {why}" for name, why in missing.items())
        download = "again" if self.download else "without --offline"
        return (
            f"The data of {len(missing)} task{'s' * (len(missing) > 1)} is not at hand:\n{listing}\n"
            "There are three ways to get it:\n"
            f"  1. put matminer's files ({first}.json.gz, ...) into {self.directory}, or name the folder that has them "
            "with --data-dir or the environment variable CRYSTALBENCH_DATA or MATMINER_DATA;\n"
            f"  2. let CrystalBench download them: run {download} with a network connection;\n"
            f"  3. name a table with all or some of the rows by their official ids: --data {first}=table.parquet"
        )


def parse_data_options(options: Sequence[str], known: Iterable[str] = OFFICIAL) -> dict[str, Path]:
    """Read options of the form ``TASK=PATH``, where TASK may be a pattern such as ``my_*``.

    Args:
        options: for instance ``["matbench_dielectric=part.parquet"]``.
        known: names of the tasks whose data can be named so.

    Returns:
        The files by task, for `DataSources.files`.

    Raises:
        ConfigError: an option has another form, names a task twice, or a file with an unknown ending.
        UnknownNameError: there is no such task.
        DataError: there is no such file.

    Examples:
        >>> parse_data_options([])
        {}
    """
    names = list(dict.fromkeys(known))
    files: dict[str, Path] = {}
    for option in options:
        name, equals, text = (part.strip() for part in option.partition("="))
        if not (name and equals and text):
            raise ConfigError(f"--data {option!r}: write TASK=PATH, for instance matbench_dielectric=part.parquet")
        matching = [task for task in names if task == name or fnmatch.fnmatchcase(task, name)]
        if not matching:
            raise UnknownNameError("task in --data", name, names)
        for task in matching:
            if task in files:
                raise ConfigError(f"--data names two files for {task}: {files[task]} and {text}; keep one")
            files[task] = Path(text).expanduser()
            _check_file(task, files[task])
    return files


def _check_file(name: str, file: Path) -> None:
    if name in OFFICIAL and not file.name.endswith(SUFFIXES):
        raise ConfigError(f"--data {name}={file}: the file must end in {' or '.join(SUFFIXES)}")
    if not file.is_file():
        raise DataError(f"--data {name}={file}: there is no such file")
