"""The original CGCNN, run from the user's clone of its repository (https://github.com/txie-93/cgcnn)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.speed.plain_cgcnn import CUTOFF, STEP
from crystalbench.errors import DataError
from crystalbench.representations import Arrays
from crystalbench.representations.element_features import element_features


def original_module(clone: Path, name: str) -> ModuleType:
    """Import a module of the original.

    Args:
        clone: folder of the clone.
        name: ``model`` or ``data``.

    Raises:
        DataError: the clone has no such file.
    """
    file = clone / "cgcnn" / f"{name}.py"
    if not file.is_file():
        raise DataError(
            f"{file}: there is no such file; give a clone of https://github.com/txie-93/cgcnn with --cgcnn DIR"
        )
    spec = importlib.util.spec_from_file_location(f"original_cgcnn_{name}", file)
    assert spec is not None and spec.loader is not None  # it is a file
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class OriginalBatches:
    """Batches of the original, with its Gaussians, its collate function and PyTorch's `DataLoader`.

    Args:
        clone: folder of the clone.
        arrays: the arrays of `CrystalGraph` for n crystals.
        targets: (n,) targets.
        size: crystals in a batch.
        shuffle: whether to shuffle in each pass.
    """

    def __init__(self, clone: Path, arrays: Arrays, targets: np.ndarray, size: int, *, shuffle: bool) -> None:
        data = original_module(clone, "data")
        elements = torch.from_numpy(element_features())
        expand = data.GaussianDistance(0, CUTOFF, STEP).expand
        rows = []
        for i, target in enumerate(targets):
            atoms = slice(arrays.offsets["atom"][i], arrays.offsets["atom"][i + 1])
            features = elements[torch.from_numpy(arrays.values["numbers"][atoms].astype(np.int64))]
            edges = torch.Tensor(expand(arrays.values["distances"][atoms]))
            neighbors = torch.LongTensor(arrays.values["neighbors"][atoms].astype(np.int64))
            rows.append(((features, edges, neighbors), torch.Tensor([target]), str(i)))
        self.widths = elements.shape[1], rows[0][0][1].shape[2]
        self._loader: Any = DataLoader(rows, batch_size=size, shuffle=shuffle, collate_fn=data.collate_pool)

    def __iter__(self) -> Iterable[tuple[Any, Tensor]]:
        """Pairs of inputs of the network and targets (batch, 1)."""
        for inputs, targets, _ in self._loader:
            yield inputs, targets


class OriginalNetwork(nn.Module):
    """The original's network, with its four inputs as one tuple.

    Args:
        clone: folder of the clone.
        features: number of features of an element.
        edge_features: number of features of an edge.
    """

    def __init__(self, clone: Path, features: int, edge_features: int) -> None:
        super().__init__()
        self.network = original_module(clone, "model").CrystalGraphConvNet(
            features, edge_features, atom_fea_len=64, n_conv=3, h_fea_len=128, n_h=1
        )

    def forward(self, inputs: tuple[Any, ...]) -> Tensor:
        """Outputs (n, 1) of n crystals."""
        outputs: Tensor = self.network(*inputs)
        return outputs
