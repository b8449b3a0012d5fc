"""Timed passes over a data set, the same for all networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.loader import DataLoader

from benchmarks.speed.original_cgcnn import OriginalBatches, OriginalNetwork
from benchmarks.speed.phonons import NAME, loaded
from benchmarks.speed.plain_cgcnn import PlainCGCNN, plain_graphs
from benchmarks.speed.rows import Measurement, Settings
from crystalbench.data.crystals import Crystals
from crystalbench.representations import CrystalGraph

BATCH = 256
MOST = 2048
INFERENCE_PASSES = 3

Batches = Callable[[], Iterable[tuple[Any, Tensor]]]
"""Returns the pairs of batch and targets (n, 1) of one pass over the data."""


def crystals_and_targets(settings: Settings, name: str = NAME) -> tuple[Crystals, np.ndarray]:
    """The crystals of at most `MOST` rows of a task, and their standardised targets (n,)."""
    task = loaded(settings, name).limited(MOST)
    targets = (task.targets - task.targets.mean()) / task.targets.std()
    crystals = task.inputs
    assert isinstance(crystals, Crystals)  # a task with structures
    return crystals, targets.astype(np.float32)


def training(network: nn.Module, batches: Batches, count: int) -> Measurement:
    """Crystals per second in one training pass over the data: batches, forward pass, L1 loss, backward pass, AdamW."""
    device = next(network.parameters()).device
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    loss = nn.L1Loss()

    def measurement() -> float:
        network.train()
        start = time.perf_counter()
        for batch, targets in batches():
            optimiser.zero_grad(set_to_none=True)
            loss(network(batch), targets).backward()
            optimiser.step()
        _wait_for(device)
        return count / (time.perf_counter() - start)

    return measurement


def inference(network: nn.Module, batches: Batches, count: int) -> Measurement:
    """Crystals per second in `INFERENCE_PASSES` passes over the data in evaluation mode."""
    device = next(network.parameters()).device

    @torch.no_grad()
    def measurement() -> float:
        network.eval()
        start = time.perf_counter()
        for _ in range(INFERENCE_PASSES):
            for batch, _targets in batches():
                network(batch)
        _wait_for(device)
        return INFERENCE_PASSES * count / (time.perf_counter() - start)

    return measurement


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def plain_measurement(
    crystals: Crystals, targets: np.ndarray, kind: str, *, stock: bool = False, device: str = "cpu"
) -> Measurement:
    """The measurement of PyTorch Geometric, in crystals per second.

    Args:
        crystals: n crystals.
        targets: (n,) standardised targets.
        kind: ``training`` or ``inference``.
        stock: use `CGConv` without the norms of the original CGCNN.
        device: torch device.
    """
    graphs = plain_graphs(CrystalGraph()(crystals), targets)
    torch.manual_seed(0)
    network = PlainCGCNN(graphs[0].x.shape[1], graphs[0].edge_attr.shape[1], stock=stock).to(device)
    loader = DataLoader(graphs, batch_size=BATCH, shuffle=kind == "training")
    return _with_default_algorithms(
        network, lambda: ((b, b.y) for b in (batch.to(device) for batch in loader)), kind, len(graphs)
    )


def original_measurement(crystals: Crystals, targets: np.ndarray, kind: str, clone: Path) -> Measurement:
    """The measurement of the original CGCNN, in crystals per second.

    Args:
        crystals: n crystals.
        targets: (n,) standardised targets.
        kind: ``training`` or ``inference``.
        clone: folder of the clone.
    """
    arrays = CrystalGraph()(crystals)
    batches = OriginalBatches(clone, arrays, targets, BATCH, shuffle=kind == "training")
    torch.manual_seed(0)
    return _with_default_algorithms(OriginalNetwork(clone, *batches.widths), lambda: batches, kind, len(crystals))


def _with_default_algorithms(network: nn.Module, batches: Batches, kind: str, count: int) -> Measurement:
    measure = {"training": training, "inference": inference}[kind](network, batches, count)

    def measurement() -> float:
        torch.use_deterministic_algorithms(False)  # torch's default; CrystalBench's trainer enables determinism
        return measure()

    return measurement
