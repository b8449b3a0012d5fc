"""Tasks as graphs of PyTorch Geometric, for those who want only the data and the folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from crystalbench.errors import ConfigError
from crystalbench.plugins import require_extra
from crystalbench.representations import CRYSTAL, PeriodicGraph, represent
from crystalbench.representations.pyg import LEVELS, pyg_attributes
from crystalbench.targets import Kind

if TYPE_CHECKING:
    from crystalbench.tasks.task import Task


def to_pyg(task: Task, fold: int, cutoff: float) -> tuple[list[Any], list[Any]]:
    """The training part and the test part of a fold as graphs; see `Task.to_pyg`."""
    train, test = task.split(fold)
    if not task.has_structures:
        raise ConfigError(f"{task.name} has compositions only, and no atoms to make graphs of")
    require_extra("pyg", "Task.to_pyg")
    import torch  # here, since both are slow to import
    from torch_geometric.data import Data

    arrays, _ = represent(PeriodicGraph(cutoff=cutoff), task.inputs)
    attributes = pyg_attributes({name: torch.from_numpy(np.array(value)) for name, value in arrays.values.items()})
    starts = {**arrays.offsets, CRYSTAL: np.arange(len(task) + 1)}
    kind = torch.float32 if task.target.kind is Kind.REGRESSION else torch.int64
    targets = torch.from_numpy(np.array(task.targets)).to(kind)

    def graph(row: int) -> Any:
        rows = {level: slice(int(first[row]), int(first[row + 1])) for level, first in starts.items()}
        parts = {
            name: value[:, rows[LEVELS[name]]] if name == "edge_index" else value[rows[LEVELS[name]]]
            for name, value in attributes.items()
        }
        return Data(**parts, y=targets[row : row + 1], id=str(task.inputs.ids[row]))

    return [graph(row) for row in train.tolist()], [graph(row) for row in test.tolist()]
