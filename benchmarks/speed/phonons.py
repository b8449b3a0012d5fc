"""The tasks that several rows use."""

from __future__ import annotations

from pathlib import Path

from benchmarks.speed.rows import Settings
from crystalbench.errors import DataError
from crystalbench.tasks import DataSources, Task, get_task_spec

NAME = "matbench_phonons"
MP = "matbench_mp_e_form"


def loaded(settings: Settings, name: str) -> Task:
    """Load a task as CrystalBench does; its file is downloaded if necessary.

    Raises:
        DataError: the data are not available.
    """
    return get_task_spec(name).load(DataSources(settings.data_dir, dict(settings.data)))


def phonons(settings: Settings) -> Task:
    """Load matbench_phonons.

    Raises:
        DataError: the data are not available.
    """
    return loaded(settings, NAME)


def phonons_file(settings: Settings) -> Path:
    """Matminer's file of matbench_phonons.

    Raises:
        DataError: the file is not available.
    """
    (file,) = DataSources(settings.data_dir, dict(settings.data)).find(get_task_spec(NAME))
    if not file.name.endswith(".json.gz"):
        raise DataError(f"{file}: matminer does not read this format; put {NAME}.json.gz into the same folder")
    return file
