"""CGCNN in its dense, factorised form is the same function as a plain network of PyTorch Geometric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from benchmarks.speed.plain_cgcnn import PlainCGCNN, copy_weights, plain_graphs
from crystalbench.crystals import Crystals
from crystalbench.models.batches import DeviceArrays
from crystalbench.models.cgcnn import CGCNN
from crystalbench.representations import Arrays, CrystalGraph
from crystalbench.samples import Kind, Target

if TYPE_CHECKING:
    from torch_geometric.data import Data

N = 24
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def graphs() -> Arrays:
    random = np.random.default_rng(0)
    counts = random.integers(1, 9, N)
    lattices = np.eye(3) * random.uniform(3, 6, (N, 1, 1)) + random.normal(0, 0.3, (N, 3, 3))
    numbers = random.integers(1, 95, counts.sum())
    crystals = Crystals.from_flat(lattices, random.random((counts.sum(), 3)), numbers, counts)
    return CrystalGraph(neighbors=12)(crystals)


@pytest.fixture(scope="module")
def targets() -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(N, 1)).astype(np.float32))


@pytest.fixture
def networks(graphs: Arrays, targets: Tensor) -> tuple[nn.Module, PlainCGCNN, Data]:
    """Ours, and the plain network with the same weights and running statistics; its batch."""
    torch.manual_seed(0)
    ours = CGCNN(width=64, layers=3, neighbors=12).network(Target("y", Kind.REGRESSION))
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm1d):  # anything but what a new one has
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    data = Batch.from_data_list(plain_graphs(graphs, targets[:, 0].numpy()))
    plain = PlainCGCNN(data.x.shape[1], data.edge_attr.shape[1])
    copy_weights(ours, plain)
    return ours, plain, data


def _losses(networks: tuple[nn.Module, PlainCGCNN, Data], graphs: Arrays, targets: Tensor) -> tuple[Tensor, Tensor]:
    ours, plain, data = networks
    batch = DeviceArrays(graphs, "cpu").batch(np.arange(N))
    return nn.functional.l1_loss(ours(batch), targets), nn.functional.l1_loss(plain(data), targets)


@pytest.mark.parametrize("train", [False, True])
def test_outputs_are_equal(train: bool, networks: tuple[nn.Module, PlainCGCNN, Data], graphs: Arrays) -> None:
    ours, plain, data = networks
    ours.train(train)
    plain.train(train)
    index = np.random.default_rng(2).permutation(N)  # our batches need not keep the order of the data
    with torch.no_grad():
        mine, theirs = ours(DeviceArrays(graphs, "cpu").batch(index)), plain(data)[index]
    assert theirs.std() > 0.01
    torch.testing.assert_close(mine, theirs, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("train", [False, True])
def test_gradients_are_equal(
    train: bool, networks: tuple[nn.Module, PlainCGCNN, Data], graphs: Arrays, targets: Tensor
) -> None:
    ours, plain, _ = networks
    ours.train(train)
    plain.train(train)
    for loss in _losses(networks, graphs, targets):
        loss.backward()
    encoder = ours.body
    pairs = [(encoder.embedding.weight.grad, plain.embedding.weight.grad)]
    pairs += [(ours.head[0].weight.grad, plain.head[0].weight.grad)]
    for mine, theirs in zip(encoder.convolutions, plain.convolutions, strict=True):
        for parts, linear, norm in zip(
            zip(mine.gate.weight.grad.split(64), mine.gate_norm.weight.grad.split(64), strict=True),
            (theirs.lin_f, theirs.lin_s),
            (theirs.norm_f, theirs.norm_s),
            strict=True,
        ):
            pairs += [(parts[0], linear.weight.grad), (parts[1], norm.weight.grad)]
        pairs.append((mine.norm.weight.grad, theirs.bn.weight.grad))
    for mine, theirs in pairs:
        largest = float(theirs.abs().max())
        assert largest > 1e-4
        torch.testing.assert_close(mine, theirs, atol=TOLERANCE * max(1.0, largest), rtol=0)


def test_steps_of_training_stay_equal(
    networks: tuple[nn.Module, PlainCGCNN, Data], graphs: Arrays, targets: Tensor
) -> None:
    ours, plain, data = networks
    optimisers = [torch.optim.SGD(network.parameters(), lr=0.01) for network in (ours, plain)]
    for _ in range(5):
        for optimiser, loss in zip(optimisers, _losses(networks, graphs, targets), strict=True):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    ours.eval()
    plain.eval()  # compares the running statistics, too
    with torch.no_grad():
        mine, theirs = ours(DeviceArrays(graphs, "cpu").batch(np.arange(N))), plain(data)
    torch.testing.assert_close(mine, theirs, atol=TOLERANCE, rtol=0)
