"""The crystals that the rows share."""

from __future__ import annotations

from pathlib import Path

from benchmarks.speed.rows import Settings
from crystalbench.errors import DataError
from crystalbench.tasks import DataSources, Task, get_task_spec
from crystalbench.tasks.matbench.official import OFFICIAL

NAME = "matbench_phonons"
MP = "matbench_mp_e_form"


def loaded(settings: Settings, name: str) -> Task:
    """A task, read (and downloaded if need be) as CrystalBench always does.

    Raises:
        DataError: its data is not at hand.
    """
    return get_task_spec(name).load(DataSources(settings.data_dir, dict(settings.data)))


def phonons(settings: Settings) -> Task:
    """matbench_phonons.

    Raises:
        DataError: its data is not at hand.
    """
    return loaded(settings, NAME)


def phonons_file(settings: Settings) -> Path:
    """Matminer's file of the task.

    Raises:
        DataError: it is not at hand.
    """
    file = DataSources(data_dir=settings.data_dir).find(OFFICIAL[NAME])
    if not file.name.endswith(".json.gz"):
        raise DataError(f"{file}: matminer does not read this format; put {NAME}.json.gz beside it")
    return file
