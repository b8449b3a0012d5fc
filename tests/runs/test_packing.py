"""Packed runs: each task is stored once, and tasks that differ in anything have files of their own."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import formulas_task

from crystalbench.errors import ConfigError
from crystalbench.models import get_model
from crystalbench.plugins import module_of_file
from crystalbench.runs.executors.packing import PackingFolder, TaskReader
from crystalbench.runs.plan import Selection, plan_of_task
from crystalbench.runs.suite import ModelEntry, Suite


def test_tasks_with_the_same_rows_keep_their_names_and_metrics() -> None:
    one = formulas_task()
    other = replace(one, name="other", metric="rmse", remarks=("a remark",))
    assert one.digest == other.digest
    folder, reader = PackingFolder(), TaskReader()
    try:
        files = [folder._task_file(task) for task in (one, other, replace(one))]
        assert files[0] == files[2] != files[1]
        for file, task in zip(files, (one, other), strict=False):
            read = reader.read(file)
            assert (read.name, read.metric, read.remarks) == (task.name, task.metric, task.remarks)
    finally:
        folder.close()


def test_a_model_that_was_edited_after_the_plan_is_refused(tmp_path: Path) -> None:
    """Another process imports the file anew, and the key of the run names the code that was planned."""
    file = tmp_path / "mine.py"
    file.write_text("from crystalbench.models.dummy import Dummy\nclass Mine(Dummy):\n    pass\n")
    place = f"{file}:Mine"
    entry, suite = ModelEntry(model=place), Suite(name="s", tasks=("formulas",))
    (run,) = plan_of_task(formulas_task(), [(entry, get_model(place))], suite, Selection(folds=(0,))).runs
    folder = PackingFolder()
    try:
        packed = folder.pack(run)
        assert packed.unpack(TaskReader()).model is run.model
        file.write_text(f"{file.read_text()}    width = 3\n")
        del sys.modules[module_of_file(file)]  # as in another process
        with pytest.raises(ConfigError, match=r"mine\.py:Mine: its code has changed since the command was started"):
            packed.unpack(TaskReader())
    finally:
        folder.close()
