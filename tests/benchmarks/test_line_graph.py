"""The line graph that the speed of `nested` is compared with computes the same function."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.speed.line_graph import PAIR, LineGraphEncoder, with_pairs
from crystalbench.models.nested import NestedEncoder
from crystalbench.nn.batches import DeviceArrays
from crystalbench.representations import NestedGraph
from crystalbench.testing.crystals import known_structures, random_crystals


@pytest.mark.parametrize("degree", [0, 3])
def test_the_line_graph_is_the_same_function_of_the_same_weights(degree: int) -> None:
    torch.manual_seed(0)
    sums = NestedEncoder(8, 4, 2, degree).eval()
    pairs = LineGraphEncoder(8, 4, 2, degree).eval()
    pairs.load_state_dict(sums.state_dict())
    for crystals in (known_structures()[:8], random_crystals(3, n=5)):
        every = np.arange(len(crystals))
        one = DeviceArrays(NestedGraph(degree=degree)(crystals), "cpu").batch(every)
        other = DeviceArrays(with_pairs(NestedGraph(degree=degree, merged=False)(crystals)), "cpu").batch(every)
        found, expected = sums(one), pairs(other)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
        gradients = [
            torch.autograd.grad(output.square().sum(), list(encoder.layers.parameters()), allow_unused=True)
            for encoder, output in ((sums, found), (pairs, expected))
        ]
        for ours, theirs in zip(*gradients, strict=True):
            if theirs is not None:
                assert ours is not None
                torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=1e-3 * float(theirs.abs().max()) + 1e-5)


def test_pairs_are_the_edges_at_both_ends() -> None:
    graphs = NestedGraph(merged=False)(random_crystals(1, n=2))
    paired = with_pairs(graphs)
    sources, neighbors = (graphs[[1]].values[name] for name in ("sources", "neighbors"))
    found = paired[[1]].values
    near = found["far_end"] == 0
    assert near.sum() == (np.bincount(sources) ** 2).sum()
    assert np.array_equal(sources[found["hearing"][near]], sources[found["heard"][near]])
    assert np.array_equal(neighbors[found["hearing"][~near]], sources[found["heard"][~near]])
    assert len(near) == np.diff(paired.offsets[PAIR])[1]
    itself = near & (found["hearing"] == found["heard"])
    np.testing.assert_allclose(found["cosines"][itself], 1, atol=1e-5)
