"""The user's table of Materials Project entries of 2018 as a task."""

from __future__ import annotations

from pathlib import Path

from benchmarks.speed.rows import Settings
from crystalbench.errors import DataError
from crystalbench.runs.suite import packaged_tasks
from crystalbench.tasks import DataSources, Task
from crystalbench.tasks.tables.spec import TableTaskSpec

NAME = "mp2018"
TASK_FILE = packaged_tasks()[NAME]


def mp2018_file(settings: Settings) -> Path:
    """The table.

    Raises:
        DataError: the user has not named the file.
    """
    if NAME not in settings.data:
        raise DataError(f"give the table described by {TASK_FILE} with --data {NAME}=PATH")
    return settings.data[NAME]


def mp2018(table: Path) -> Task:
    """The task.

    Raises:
        DataError: the table does not match the task file.
    """
    return TableTaskSpec.from_toml(TASK_FILE).load(DataSources(files={NAME: table}, download=False))
