"""The network of e3nn's modules: its tensors rotate with the crystal, and messages vanish at the cutoff."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from helpers import one_crystal, random_crystals, rotated

from crystalbench.data.crystals import Crystals
from crystalbench.models.e3nn_network import E3NNEncoder
from crystalbench.nn.batches import DeviceArrays
from crystalbench.representations import PeriodicGraph

CUTOFF = 4.0


def encoder() -> E3NNEncoder:
    torch.manual_seed(0)
    network = E3NNEncoder(8, 2, 2, CUTOFF).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("alpha.weight"):  # e3nn starts without messages
            torch.nn.init.normal_(parameter)
    return network


def tensors(network: E3NNEncoder, crystals: Crystals) -> tuple[Any, torch.Tensor]:
    """The tensors after the first layer, as e3nn's irreps and (N, dim)."""
    first: Any = network.layers.layers[0]
    found: list[torch.Tensor] = []
    hook = first.register_forward_hook(lambda _, __, output: found.append(output))
    with torch.no_grad():
        network(DeviceArrays(PeriodicGraph(cutoff=CUTOFF)(crystals), "cpu").batch(np.arange(len(crystals))))
    hook.remove()
    return first.second.irreps_out, found[0]


def test_tensors_rotate_with_the_crystal() -> None:
    network, crystals = encoder(), random_crystals(1, 1)
    turned = rotated(crystals)
    irreps, before = tensors(network, crystals)
    _, after = tensors(network, turned)
    assert str(irreps) == "8x0e+4x1o+2x2e"
    turn = torch.from_numpy(np.linalg.solve(crystals.lattices[0], turned.lattices[0]).T).float()
    torch.testing.assert_close(after, before @ irreps.D_from_matrix(turn).T, atol=1e-4, rtol=1e-4)
    assert (after - before)[:, 8:].abs().max() > 1e-2


def test_a_message_vanishes_at_the_cutoff() -> None:
    network = encoder()
    pairs = [one_crystal(np.eye(3) * 20, [[0, 0, 0], [0, 0, d / 20]], [11, 17]) for d in (3.0, 3.999, 4.001)]
    near, before, beyond = (tensors(network, pair)[1] for pair in pairs)
    torch.testing.assert_close(before, beyond, atol=1e-5, rtol=0)
    assert (near - beyond).abs().max() > 1e-2
