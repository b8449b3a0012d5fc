"""SchNet compared with PyG's own."""

from __future__ import annotations

import numpy as np
import torch
from helpers import known_structures, random_crystals, samples_of

from crystalbench.data.crystals import concatenate
from crystalbench.models import SchNet
from crystalbench.models.schnet import GAUSSIANS
from crystalbench.nn.batches import DeviceArrays


def test_the_network_is_the_schnet_of_pyg_with_the_mean_over_atoms() -> None:
    from torch_geometric.nn.models import SchNet as PyGSchNet

    torch.manual_seed(0)
    model = SchNet(width=16, layers=2)
    rows = samples_of(concatenate([random_crystals(0, 6), known_structures()]))
    network = model.network(rows.target).eval()
    batch = DeviceArrays(model.inputs(rows), "cpu").batch(np.arange(len(rows)))
    data = batch.to_pyg()
    reference = PyGSchNet(
        16, 16, 2, GAUSSIANS, 5.0, interaction_graph=lambda *_: (data.edge_index, data.edge_weight), readout="mean"
    )
    reference.embedding = torch.nn.Embedding(119, 16)
    own = network.body.module.net.state_dict()
    reference.load_state_dict({**own, **{f"lin2.{name}": p for name, p in network.head[0].state_dict().items()}})
    torch.testing.assert_close(network(batch), reference(data.z, data.pos, data.batch), atol=1e-6, rtol=1e-5)


def test_every_parameter_has_a_gradient() -> None:
    model = SchNet(width=8, layers=1)
    rows = samples_of(random_crystals(0, 4))
    network = model.network(rows.target)
    network(DeviceArrays(model.inputs(rows), "cpu").batch(np.arange(4))).sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
