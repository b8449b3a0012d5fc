"""Packed runs: each task is stored once, and tasks that differ in anything have files of their own."""

from __future__ import annotations

from dataclasses import replace

from helpers import formulas_task

from crystalbench.runs.executors.packing import PackingFolder, TaskReader


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
