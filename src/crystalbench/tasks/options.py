"""The command-line option ``--data TASK=PATH``."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from pathlib import Path

from crystalbench._files import expanded
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.tasks.registry import task_specs


def parse_data_options(options: Sequence[str], known: Iterable[str] | None = None) -> dict[str, Path]:
    """Parse options of the form ``TASK=PATH``, in which TASK may be a pattern such as ``my_*``.

    Args:
        options: for instance ``["matbench_dielectric=part.parquet"]``.
        known: names of the tasks whose files can be named; by default, all registered tasks.

    Returns:
        The files by task, for `DataSources.files`.

    Raises:
        ConfigError: an option has another form, two options name files for one task, or a task cannot be read from
            such a file.
        UnknownNameError: there is no such task.
        DataError: there is no such file.

    Examples:
        >>> parse_data_options([])
        {}
    """
    specs = task_specs()
    names = list(dict.fromkeys(specs if known is None else known))
    files: dict[str, Path] = {}
    for option in options:
        name, equals, text = (part.strip() for part in option.partition("="))
        if not (name and equals and text):
            raise ConfigError(f"--data {option!r}: write TASK=PATH, for instance matbench_dielectric=part.parquet")
        matching = [task for task in names if task == name or fnmatch.fnmatchcase(task, name)]
        if not matching:
            raise UnknownNameError("task in --data", name, names)
        file = expanded(text)
        for task in matching:
            if task in files:
                raise ConfigError(f"--data names two files for {task}: {files[task]} and {text}; keep one")
            if task in specs:
                specs[task].check_file(file)
            if not file.is_file():
                raise DataError(f"--data {task}={file}: there is no such file")
            files[task] = file
    return files
