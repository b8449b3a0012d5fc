"""CGCNN over quotient graphs is the same function as a plain network over all atoms and edges.

Without weights, it is compared with PyTorch Geometric; with weights, with the formula of the convolution.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from helpers import known_structures, random_crystals, supercells
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch

from benchmarks.speed.plain_cgcnn import PlainCGCNN, copy_weights, plain_graphs
from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.data.views import get_view
from crystalbench.models.cgcnn import CGCNN
from crystalbench.nn.batches import DeviceArrays
from crystalbench.representations import Arrays, CrystalGraph, QuotientGraph, WeightedGraph
from crystalbench.targets import Kind, Target

if TYPE_CHECKING:
    from torch_geometric.data import Data

TOLERANCE = 1e-5


def _crystals(name: str) -> Crystals:
    if name == "asymmetric":  # no two atoms of a crystal are equal
        return random_crystals(0, 24, most_atoms=8)
    if name == "symmetric":  # of every crystal system
        return concatenate([known_structures(), random_crystals(1, 14, most_atoms=2)])
    if name == "supercells":
        return supercells(known_structures()[:6], (2, 1, 2))
    return get_view("anonymous")(known_structures())


@dataclass(frozen=True)
class Case:
    """The same crystals as inputs of our network and of the plain one, and targets."""

    ours: Arrays
    complete: Arrays
    targets: Tensor

    @property
    def batch(self) -> Batch:
        """A batch for our network."""
        return DeviceArrays(self.ours, "cpu").batch(np.arange(len(self.ours)))


@pytest.fixture(scope="module", params=["asymmetric", "symmetric", "supercells", "no chemistry", "not merged"])
def case(request: pytest.FixtureRequest) -> Case:
    crystals = _crystals("symmetric" if request.param == "not merged" else request.param)
    ours, complete = QuotientGraph(merged=request.param != "not merged")(crystals), CrystalGraph()(crystals)
    gain = len(complete.values["numbers"]) / len(ours.values["numbers"])
    assert gain == 1 if request.param in ("asymmetric", "not merged") else gain > 1.5
    targets = np.random.default_rng(1).normal(size=(len(crystals), 1)).astype(np.float32)
    return Case(ours, complete, torch.from_numpy(targets))


@pytest.fixture
def networks(case: Case) -> tuple[nn.Module, PlainCGCNN, Data]:
    """Our network, and the plain one with the same weights and running statistics in double precision; its batch."""
    torch.manual_seed(0)
    ours = CGCNN(width=64, layers=3, neighbors=12).network(Target("y", Kind.REGRESSION))
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm1d):  # anything but what a new one has
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    data = Batch.from_data_list(plain_graphs(case.complete, case.targets[:, 0].numpy()))
    plain = PlainCGCNN(data.x.shape[1], data.edge_attr.shape[1])
    copy_weights(ours, plain)
    data.x, data.edge_attr = data.x.double(), data.edge_attr.double()
    return ours, plain.double(), data


def _losses(networks: tuple[nn.Module, PlainCGCNN, Data], case: Case) -> tuple[Tensor, Tensor]:
    ours, plain, data = networks
    return nn.functional.l1_loss(ours(case.batch), case.targets), nn.functional.l1_loss(plain(data), case.targets)


@pytest.mark.parametrize("train", [False, True])
def test_outputs_are_equal(train: bool, networks: tuple[nn.Module, PlainCGCNN, Data], case: Case) -> None:
    ours, plain, data = networks
    ours.train(train)
    plain.train(train)
    index = np.random.default_rng(2).permutation(len(case.ours))  # our batches need not keep the order of the data
    with torch.no_grad():
        mine, theirs = ours(DeviceArrays(case.ours, "cpu").batch(index)), plain(data)[index]
    assert theirs.std() > 0.01
    torch.testing.assert_close(mine.double(), theirs, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("train", [False, True])
def test_gradients_are_equal(train: bool, networks: tuple[nn.Module, PlainCGCNN, Data], case: Case) -> None:
    ours, plain, _ = networks
    ours.train(train)
    plain.train(train)
    for loss in _losses(networks, case):
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
        torch.testing.assert_close(mine.double(), theirs, atol=TOLERANCE * max(1.0, largest), rtol=0)


def test_steps_of_training_stay_equal(networks: tuple[nn.Module, PlainCGCNN, Data], case: Case) -> None:
    ours, plain, data = networks
    optimisers = [torch.optim.SGD(network.parameters(), lr=0.01) for network in (ours, plain)]
    for _ in range(5):
        for optimiser, loss in zip(optimisers, _losses(networks, case), strict=True):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    ours.eval()
    plain.eval()  # compares the running statistics, too
    with torch.no_grad():
        mine, theirs = ours(case.batch), plain(data)
    torch.testing.assert_close(mine.double(), theirs, atol=TOLERANCE, rtol=0)


# ---------------------------------------------------------------------- weighted edges


def _normalised(rows: Tensor, weights: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Batch normalisation by weighted mean and variance while training, by those of the module otherwise."""
    mean, variance = norm.running_mean, norm.running_var
    if norm.training:
        shares = (weights / weights.sum()).unsqueeze(1)
        mean = (shares * rows).sum(0)
        variance = (shares * (rows - mean) ** 2).sum(0)
    return (rows - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias


def _plain_outputs(network: nn.Module, full: Arrays) -> Tensor:
    """Outputs (n, 1) of a CGCNN in double precision, from all atoms and weighted edges of n crystals."""
    encoder = network.body
    owners = torch.from_numpy(np.repeat(np.arange(len(full)), np.diff(full.offsets["atom"])))
    starts = np.repeat(full.offsets["atom"][:-1], np.diff(full.offsets["edge"]))
    sources, neighbors = (torch.from_numpy(full.values[name] + starts) for name in ("sources", "neighbors"))
    weights = torch.from_numpy(full.values["weights"]).double()
    distances = torch.from_numpy(full.values["distances"]).double()
    gaussians = torch.exp(-(((distances[:, None] - encoder.centers) / encoder.step) ** 2))
    atoms = encoder.embedding(encoder.elements[torch.from_numpy(full.values["numbers"].astype(np.int64))])
    ones = torch.ones(len(atoms), dtype=torch.float64)
    for layer in encoder.convolutions:
        joined = torch.cat([atoms[sources], atoms[neighbors], gaussians], dim=1)
        gates, messages = _normalised(layer.gate(joined), weights, layer.gate_norm).chunk(2, dim=1)
        messages = weights[:, None] * torch.sigmoid(gates) * functional.softplus(messages)
        summed = torch.zeros_like(atoms).index_add(0, sources, messages)
        atoms = functional.softplus(atoms + _normalised(summed, ones, layer.norm))
    total = atoms.new_zeros(len(full), atoms.shape[1]).index_add(0, owners, atoms)
    means = total / torch.from_numpy(np.diff(full.offsets["atom"]))[:, None]
    return network.head(functional.softplus(means))


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", ["asymmetric", "symmetric", "supercells", "no chemistry"])
def test_weighted_edges_enter_sums_and_statistics_with_their_weights(name: str, train: bool) -> None:
    crystals, graph = _crystals(name), WeightedGraph(neighbors=10, softening=0.4)
    full = graph(crystals)
    assert ((full.values["weights"] > 0.01) & (full.values["weights"] < 0.99)).mean() > 0.05
    torch.manual_seed(0)
    ours = CGCNN(width=16, layers=2).network(Target("y", Kind.REGRESSION)).train(train)
    plain = copy.deepcopy(ours).double()
    batch = DeviceArrays(QuotientGraph(graph)(crystals), "cpu").batch(np.arange(len(crystals)))
    found, expected = ours(batch), _plain_outputs(plain, full)
    assert expected.std() > 0.01
    torch.testing.assert_close(found.double(), expected, atol=TOLERANCE, rtol=0)
    for outputs in (found, expected):
        (outputs**2).mean().backward()
    for (label, mine), theirs in zip(ours.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(
            mine.grad.double(),
            theirs.grad,
            atol=TOLERANCE * max(1.0, float(theirs.grad.abs().max())),
            rtol=0,
            msg=label,
        )
