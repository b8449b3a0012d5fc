"""The label-shuffle control of a task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_task

from crystalbench.errors import UnknownNameError
from crystalbench.models.dummy import Dummy
from crystalbench.results.spec import RunSpec
from crystalbench.runs.command import repeat_command
from crystalbench.runs.execute import compute
from crystalbench.runs.resources import Resources
from crystalbench.runs.suite import suite_of_tasks
from crystalbench.tasks import DataSources, get_task_spec
from crystalbench.tasks.shuffled import shuffled
from crystalbench.tasks.suffixes import SHUFFLED
from crystalbench.tasks.task import Task
from crystalbench.testing import check_task


def scores_of_the_dummy(task: Task) -> list[float | None]:
    specs = [
        RunSpec(task=task.name, data=task.digest, fold=fold, model="dummy", model_version=1, parameters={})
        for fold in task.fold_numbers
    ]
    return [compute(spec, "dummy", Dummy, task, Resources()).record.scores["mae"] for spec in specs]


def test_targets_change_places_within_each_fold_and_the_dummy_notices_nothing() -> None:
    task = tiny_task(n=40)
    control = shuffled(task)
    assert control.name == f"tiny{SHUFFLED}"
    for fold in task.fold_numbers:
        mine, theirs = control.targets[task.folds == fold], task.targets[task.folds == fold]
        assert sorted(mine) == sorted(theirs)
        assert (mine != theirs).mean() > 0.5
    assert control.inputs is task.inputs
    assert control.digest != task.digest
    assert np.array_equal(shuffled(task).targets, control.targets)
    assert scores_of_the_dummy(control) == pytest.approx(scores_of_the_dummy(task))


def test_the_control_of_any_task_is_found_by_its_name() -> None:
    assert len(check_task(f"demo_bulk_modulus{SHUFFLED}").passed) > 5
    task = get_task_spec(f"demo_bulk_modulus{SHUFFLED}").load(DataSources(limit=50, download=False))
    assert len(task) == 50
    assert task.remarks == ("its targets are shuffled",)
    assert suite_of_tasks([task.name]).tasks == (task.name,)
    assert suite_of_tasks([task.name]).results == "results/demo"
    with pytest.raises(UnknownNameError, match="nonsense"):
        get_task_spec(f"nonsense{SHUFFLED}")


@pytest.mark.parametrize(("file", "named"), [("", "tiny"), ("tiny.toml", "tiny.toml")])
def test_the_command_of_a_record_names_the_control(file: str, named: str) -> None:
    task = tiny_task()
    task = replace(task, source=replace(task.source, task_file=file))
    control = shuffled(task)
    spec = RunSpec(task=control.name, data=control.digest, fold=0, model="dummy", model_version=1, parameters={})
    assert f"--task {named}{SHUFFLED} " in repeat_command(spec, control)


def test_a_task_file_has_a_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("id,formula,gap\n" + "".join(f"r{i},Fe{i + 1}O2,{i}\n" for i in range(20)))
    Path("mine.toml").write_text(
        'name = "mine"\ntable = "mine.csv"\nid = "id"\ncomposition = "formula"\ntarget = "gap"\nkind = "regression"\n'
    )
    (name,) = suite_of_tasks([f"mine.toml{SHUFFLED}"]).tasks
    task = get_task_spec(name).load(DataSources(download=False))
    assert task.name == f"mine{SHUFFLED}"
    assert sorted(task.targets) == list(range(20))
