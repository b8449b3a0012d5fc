"""For notebooks and scripts: one call to load a task, and one to list all tasks."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from crystalbench.tasks.registry import get_task_spec, task_specs
from crystalbench.tasks.sources import DataSources
from crystalbench.tasks.task import Task

log = logging.getLogger(__name__)


def load_task(
    name_or_path: str | Path,
    *,
    data_dir: Path | str | None = None,
    data: Path | str | None = None,
    limit: int | None = None,
    download: bool = True,
) -> Task:
    """Load a task.

    Args:
        name_or_path: name of a registered task, or path of a task file that ends in ``.toml``.
        data_dir: folder with data files; by default, the one in the environment variable ``CRYSTALBENCH_DATA`` or
            ``MATMINER_DATA``, or else the user's data folder.
        data: file with the data of this task, if it is not in this folder.
        limit: load at most this many rows, a random sample.
        download: whether a missing file may be downloaded.

    Returns:
        The task, with its data. Remarks, such as which rows were left out, are also logged as a warning.

    Raises:
        UnknownNameError: there is no such task.
        ConfigError: the task file has mistakes, or the task does not read such a file.
        DataError: the data is missing or damaged; says what to do.

    Examples:
        >>> load_task("demo_formation_energy", limit=100)
        Task demo_formation_energy: 100 of 1,168 crystals → formation_energy (eV/atom), 5 folds, metric MAE
    """
    spec = get_task_spec(str(name_or_path))
    files = {} if data is None else {spec.name: Path(data)}
    directory = None if data_dir is None else Path(data_dir)
    task = spec.load(DataSources(directory, files, limit, download))
    if task.remarks:
        log.warning("%s", task.remarks_line)
    return task


def list_tasks(data_dir: Path | str | None = None) -> pd.DataFrame:
    """List all registered tasks.

    Args:
        data_dir: folder with data files; see `load_task`.

    Returns:
        A table with one row per task and the columns ``name``, ``rows`` (of the complete task), ``rows_available`` (in
        the files on this machine), ``unit``, ``kind``, ``property``, ``inputs`` (``crystals`` or ``compositions``),
        ``description`` and ``source`` (origin of the data). Unknown numbers of rows are missing values.

    Examples:
        >>> tasks = list_tasks()
        >>> tasks.loc[tasks["name"] == "demo_bulk_modulus", ["rows", "rows_available", "unit"]].values.tolist()
        [[1168, 1168, 'GPa']]
    """
    sources = DataSources(None if data_dir is None else Path(data_dir), download=False)
    specs = list(task_specs().values())
    available = [spec.availability(sources) for spec in specs]
    return pd.DataFrame(
        {
            "name": [spec.name for spec in specs],
            "rows": pd.array([spec.rows_total or None for spec in specs], dtype="Int64"),
            "rows_available": pd.array([found.rows if found.here else 0 for found in available], dtype="Int64"),
            "unit": [spec.target.unit for spec in specs],
            "kind": [str(spec.target.kind) for spec in specs],
            "property": [spec.target.name for spec in specs],
            "inputs": ["crystals" if spec.has_structures else "compositions" for spec in specs],
            "description": [spec.description for spec in specs],
            "source": [spec.reference for spec in specs],
        }
    )
