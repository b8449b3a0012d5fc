"""The convolution of CGCNN computed as one operation, compared with its formula over edges."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from helpers import known_structures, random_crystals
from torch import Tensor, nn
from torch.nn import functional

from crystalbench.data.crystals import concatenate
from crystalbench.nn.batches import Batch, DeviceArrays
from crystalbench.nn.convolution import GatedConvolution
from crystalbench.nn.edges import Edges
from crystalbench.nn.moments import Moments
from crystalbench.representations import QuotientGraph, WeightedGraph

WIDTH, SHELL_WIDTH = 6, 5


@pytest.fixture(scope="module")
def batch() -> Batch:
    crystals = concatenate([known_structures()[:5], random_crystals(0, 3, most_atoms=4)])
    graphs = QuotientGraph(WeightedGraph(neighbors=10, softening=0.4))(crystals)
    assert len(graphs.values["counts"]) != graphs.values["counts"].sum()  # edges are merged
    return DeviceArrays(graphs, "cpu").batch(np.array([6, 0, 7, 3, 1, 2]))


def _inputs(batch: Batch, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Features of sites and of shells."""
    generator = torch.Generator().manual_seed(0)
    sites = torch.randn(len(batch["numbers"]), WIDTH, dtype=dtype, generator=generator)
    shells = torch.rand(len(batch["distances"]), SHELL_WIDTH, dtype=dtype, generator=generator)
    return sites, shells


def _convolution(dtype: torch.dtype = torch.float64) -> GatedConvolution:
    """A convolution whose norms have other weights and running statistics than a new one."""
    torch.manual_seed(1)
    convolution = GatedConvolution(WIDTH, SHELL_WIDTH).to(dtype)
    for norm in (convolution.gate_norm, convolution.norm):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return convolution


def _edges(batch: Batch, shells: Tensor) -> tuple[Edges, Moments]:
    batch = Batch(
        batch.index, batch.values | {"distances": batch["distances"].to(shells.dtype)}, batch.owners, batch.counts
    )
    edges = Edges.of(batch)
    return edges, Moments.of(edges, shells, batch["multiplicities"].to(shells.dtype))


def _ours(convolution: GatedConvolution, sites: Tensor, shells: Tensor, batch: Batch) -> Tensor:
    edges, moments = _edges(batch, shells)
    return convolution(sites, shells, edges, moments if convolution.training else None)


def _plain(convolution: GatedConvolution, sites: Tensor, shells: Tensor, batch: Batch) -> Tensor:
    """The formula, edge by edge, with autograd's gradients; moves the running statistics while training."""
    counts, multiplicities = batch["counts"].to(sites.dtype), batch["multiplicities"].to(sites.dtype)
    sources = batch["sources"]
    joined = torch.cat([sites[sources], sites[batch["neighbors"]], shells[batch["shells"]]], dim=1)
    gates = _normalised(convolution.gate(joined), counts * multiplicities[sources], convolution.gate_norm)
    opened, messages = gates.chunk(2, dim=1)
    messages = counts.unsqueeze(1) * torch.sigmoid(opened) * functional.softplus(messages)
    summed = torch.zeros_like(sites).index_add(0, sources, messages)
    return functional.softplus(sites + _normalised(summed, multiplicities, convolution.norm))


def _normalised(rows: Tensor, weights: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None and norm.momentum is not None
    if norm.training:
        total = weights.sum()
        batch_mean = weights @ rows / total
        batch_variance = weights @ (rows - batch_mean) ** 2 / total
        mean.lerp_(batch_mean.detach(), norm.momentum)
        variance.lerp_(batch_variance.detach() * total / (total - 1), norm.momentum)
        mean, variance = batch_mean, batch_variance
    return (rows - mean) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias


@pytest.mark.parametrize("train", [True, False])
def test_results_gradients_and_statistics_are_those_of_the_formula(train: bool, batch: Batch) -> None:
    sites, shells = _inputs(batch)
    sites.requires_grad_()
    ours = _convolution().train(train)
    plain = copy.deepcopy(ours)
    found, expected = _ours(ours, sites, shells, batch), _plain(plain, sites, shells, batch)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)
    upon = torch.randn_like(found)
    gradients = torch.autograd.grad(found, [sites, *ours.parameters()], upon)
    true = torch.autograd.grad(expected, [sites, *plain.parameters()], upon)
    for name, mine, theirs in zip(["sites", *dict(ours.named_parameters())], gradients, true, strict=True):
        assert float(theirs.abs().max()) > 1e-3 or (train and name == "gate.bias")
        torch.testing.assert_close(mine, theirs, atol=1e-11, rtol=1e-11, msg=name)
    for name, theirs in plain.named_buffers():
        if "tracked" not in name:
            torch.testing.assert_close(ours.get_buffer(name), theirs, msg=name)
    assert int(ours.norm.num_batches_tracked) == int(ours.gate_norm.num_batches_tracked) == int(train)


@pytest.mark.parametrize("train", [True, False])
def test_gradients_are_those_of_finite_differences(train: bool, batch: Batch) -> None:
    sites, shells = _inputs(batch)
    sites.requires_grad_()
    convolution = _convolution().train(train)
    names = list(dict(convolution.named_parameters()))

    def function(sites: Tensor, *parameters: Tensor) -> Tensor:
        changed = copy.deepcopy(convolution)  # running statistics of one call do not change the next
        given = {f"convolution.{name}": each for name, each in zip(names, parameters, strict=True)}
        result: Tensor = torch.func.functional_call(_Bound(changed, shells, batch), given, sites)
        return result

    assert torch.autograd.gradcheck(function, (sites, *convolution.parameters()), fast_mode=True)


class _Bound(nn.Module):
    def __init__(self, convolution: GatedConvolution, shells: Tensor, batch: Batch) -> None:
        super().__init__()
        self.convolution, self.shells, self.batch = convolution, shells, batch

    def forward(self, sites: Tensor) -> Tensor:
        return _ours(self.convolution, sites, self.shells, self.batch)


def test_prediction_without_gradients_is_the_same(batch: Batch) -> None:
    convolution, (sites, shells) = _convolution().eval(), _inputs(batch)
    with torch.no_grad():
        alone = _ours(convolution, sites, shells, batch)
    assert torch.equal(alone, _ours(convolution, sites, shells, batch).detach())


def test_repetitions_are_equal_bit_by_bit_and_one_graph_can_be_used_twice(batch: Batch) -> None:
    sites, shells = _inputs(batch, torch.float32)
    sites.requires_grad_()
    results = []
    for _ in range(2):
        convolution = _convolution(torch.float32)
        loss = (_ours(convolution, sites, shells, batch) ** 2).sum()
        inputs = [sites, *convolution.parameters()]  # the backward pass does not overwrite what it needs
        results += [torch.autograd.grad(loss, inputs, retain_graph=True) for _ in range(2)]
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_statistics_are_exact_for_features_far_from_zero(batch: Batch) -> None:
    sites, shells = _inputs(batch)
    sites = 50 + sites
    exact = _plain(_convolution(), sites, shells, batch)
    found = _ours(_convolution().float(), sites.float(), shells.float(), batch)
    torch.testing.assert_close(found.double(), exact, atol=2e-4, rtol=1e-5)  # 50 in single precision: 4e-6


def test_a_message_is_exact_where_the_sigmoid_underflows(batch: Batch) -> None:
    sites, shells = _inputs(batch, torch.float32)
    convolution = _convolution(torch.float32)
    nn.init.constant_(convolution.gate_norm.bias, 200.0)  # softplus(200) = 200
    found, expected = (f(copy.deepcopy(convolution), sites, shells, batch) for f in (_ours, _plain))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)


def test_mixed_precision_does_not_reach_the_statistics(batch: Batch) -> None:
    sites, shells = _inputs(batch, torch.float32)
    exact = _ours(_convolution(torch.float32), sites.bfloat16().float(), shells, batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = _ours(_convolution(torch.float32), sites.bfloat16(), shells, batch)
        predicted = _ours(_convolution(torch.float32).eval(), sites.bfloat16(), shells, batch)
    torch.testing.assert_close(found, exact)
    torch.testing.assert_close(
        predicted, _ours(_convolution(torch.float32).eval(), sites, shells, batch), rtol=0.05, atol=0.05
    )


@pytest.mark.parametrize("weight", [1, 2])
def test_a_single_row_cannot_be_normalised(weight: int) -> None:
    """One site with one edge to itself."""
    zero = torch.zeros(1, dtype=torch.int64)
    values = {"sources": zero, "neighbors": zero, "shells": zero, "numbers": zero + 1}
    values |= {"counts": torch.ones(1), "distances": torch.ones(1), "multiplicities": torch.tensor([weight])}
    batch, convolution = Batch(zero, values), _convolution(torch.float32)
    inputs = torch.ones(1, WIDTH), torch.ones(1, SHELL_WIDTH), batch
    if weight == 1:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            _ours(convolution, *inputs)
    else:
        assert _ours(convolution, *inputs).isfinite().all()
