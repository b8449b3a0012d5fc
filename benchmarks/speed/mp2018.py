"""All of the user's table of Materials Project entries of 2018, as a task of its own."""

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
        DataError: it is not given.
    """
    if NAME not in settings.data:
        raise DataError(f"give the table described by {TASK_FILE} with --data {NAME}=PATH")
    return settings.data[NAME]


def mp2018(table: Path) -> Task:
    """The task.

    Raises:
        DataError: the table is not as the task file says.
    """
    return TableTaskSpec.from_toml(TASK_FILE).load(DataSources(files={NAME: table}, download=False))
