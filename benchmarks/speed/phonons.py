"""The crystals that the rows share: matbench_phonons."""

from __future__ import annotations

from pathlib import Path

from benchmarks.speed.rows import Settings
from crystalbench.errors import DataError
from crystalbench.tasks import DataSources, Task, get_task_spec
from crystalbench.tasks.official import OFFICIAL

NAME = "matbench_phonons"


def phonons(settings: Settings) -> Task:
    """The task, read (and downloaded if need be) as CrystalBench always does.

    Raises:
        DataError: its data is not at hand.
    """
    return get_task_spec(NAME).load(DataSources(data_dir=settings.data_dir))


def phonons_file(settings: Settings) -> Path:
    """Matminer's file of the task.

    Raises:
        DataError: it is not at hand.
    """
    file = DataSources(data_dir=settings.data_dir).find(OFFICIAL[NAME])
    if not file.name.endswith(".json.gz"):
        raise DataError(f"{file}: matminer does not read this format; put {NAME}.json.gz beside it")
    return file
