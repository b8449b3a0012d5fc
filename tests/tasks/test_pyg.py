"""Tasks as graphs of PyTorch Geometric."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
import torch
from helpers import tiny_task

from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError
from crystalbench.nn.batches import DeviceArrays
from crystalbench.representations import PeriodicGraph
from crystalbench.targets import Kind
from crystalbench.tasks import Task, load_task


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("demo_formation_energy", limit=40)


def test_the_parts_of_a_fold_have_their_rows_ids_and_targets(task: Task) -> None:
    parts = task.to_pyg(1)
    for graphs, rows in zip(parts, task.split(1), strict=True):
        assert [graph.id for graph in graphs] == task.inputs.ids[rows].tolist()
        np.testing.assert_allclose([float(graph.y) for graph in graphs], task.targets[rows], rtol=1e-6)
        assert all(graph.y.shape == (1,) and graph.y.dtype == torch.float32 for graph in graphs)


def test_a_loader_of_pyg_gives_the_batches_that_models_get(task: Task) -> None:
    from torch_geometric.loader import DataLoader

    train, _ = task.to_pyg(0, cutoff=4.0)
    rows, _ = task.split(0)
    batch = next(iter(DataLoader(train, batch_size=7)))
    expected = DeviceArrays(PeriodicGraph(cutoff=4.0)(task.inputs), "cpu").batch(rows[:7]).to_pyg()
    for name in expected.keys():  # noqa: SIM118 (a batch iterates over pairs)
        assert torch.equal(batch[name], expected[name]), name
    assert batch.y.shape == (7,)
    assert batch.id == task.inputs.ids[rows[:7]].tolist()


def test_classes_are_class_numbers() -> None:
    task = tiny_task(Kind.MULTICLASS, 12)
    _, test = task.to_pyg(0)
    assert [int(graph.y) for graph in test] == task.targets[task.split(0)[1]].astype(int).tolist()
    assert test[0].y.dtype == torch.int64


def test_mistakes_say_what_is_wrong(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="has no fold 9"):
        task.to_pyg(9)
    assert isinstance(task.inputs, Crystals)
    formulas = dataclasses.replace(task, inputs=task.inputs.compositions())
    with pytest.raises(ConfigError, match="has compositions only"):
        formulas.to_pyg(0)
    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    with pytest.raises(ConfigError, match=r"Task\.to_pyg needs torch_geometric.*pip install 'crystalbench\[pyg\]'"):
        task.to_pyg(0)
