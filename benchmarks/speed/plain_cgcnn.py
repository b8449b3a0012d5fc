"""The peer of CGCNN: a plain network of PyTorch Geometric that computes the same function.

This module does not import CrystalBench's models, so that the peer runs with PyTorch's own settings.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data
from torch_geometric.nn import CGConv, global_mean_pool

from crystalbench.representations import Arrays
from crystalbench.representations.element_features import element_features

CUTOFF, STEP = 8.0, 0.2


class NormedCGConv(CGConv):
    """PyTorch Geometric's `CGConv` with the norms and the activation of the original CGCNN.

    Args:
        channels: number of features of a node.
        dim: number of features of an edge.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__(channels, dim, aggr="add", batch_norm=True)
        self.norm_f = nn.BatchNorm1d(channels)
        self.norm_s = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """New features (N, channels) of N nodes."""
        summed = self.propagate(edge_index, x=(x, x), edge_attr=edge_attr)
        return functional.softplus(x + self.bn(summed))

    def message(self, x_i: Tensor, x_j: Tensor, edge_attr: Tensor) -> Tensor:
        """Gated messages (edges, channels)."""
        z = torch.cat([x_i, x_j, edge_attr], dim=-1)
        return self.norm_f(self.lin_f(z)).sigmoid() * functional.softplus(self.norm_s(self.lin_s(z)))


class PlainCGCNN(nn.Module):
    """Embedding, convolutions, mean over atoms, and head.

    Args:
        features: number of features of an element.
        edge_features: number of features of an edge.
        width: number of features of an atom.
        layers: number of convolutions.
        head_width: width of the head's hidden layer.
        stock: use `CGConv` without the norms of the original CGCNN.
    """

    def __init__(
        self,
        features: int,
        edge_features: int,
        width: int = 64,
        layers: int = 3,
        head_width: int = 128,
        *,
        stock: bool = False,
    ) -> None:
        super().__init__()
        convolution = CGConv if stock else NormedCGConv
        self.embedding = nn.Linear(features, width)
        self.convolutions = nn.ModuleList(convolution(width, edge_features) for _ in range(layers))
        self.head = nn.Sequential(nn.Linear(width, head_width), nn.SiLU(), nn.Linear(head_width, 1))

    def forward(self, data: Data) -> Tensor:
        """Outputs (n, 1) of n crystals."""
        x = self.embedding(data.x)
        for convolution in self.convolutions:
            x = convolution(x, data.edge_index, data.edge_attr)
        return self.head(functional.softplus(global_mean_pool(x, data.batch, data.num_graphs)))


def plain_graphs(arrays: Arrays, targets: np.ndarray) -> list[Data]:
    """A data set for PyTorch Geometric: a `Data` with element features, edges and their Gaussians for each crystal.

    Args:
        arrays: the arrays of `CrystalGraph` for n crystals.
        targets: (n,) targets.
    """
    elements = torch.from_numpy(element_features())
    centers = torch.arange(0, CUTOFF + STEP / 2, STEP)
    graphs = []
    for i, target in enumerate(targets):
        rows = slice(arrays.offsets["atom"][i], arrays.offsets["atom"][i + 1])
        neighbors = torch.from_numpy(arrays.values["neighbors"][rows].astype(np.int64))
        distances = torch.from_numpy(np.array(arrays.values["distances"][rows]))
        owners = torch.arange(len(neighbors)).repeat_interleave(neighbors.shape[1])
        graphs.append(
            Data(
                x=elements[torch.from_numpy(arrays.values["numbers"][rows].astype(np.int64))],
                edge_index=torch.stack([neighbors.reshape(-1), owners]),
                edge_attr=torch.exp(-(((distances.reshape(-1, 1) - centers) / STEP) ** 2)),
                y=torch.tensor([[target]], dtype=torch.float32),
            )
        )
    return graphs


@torch.no_grad()
def copy_weights(ours: nn.Module, plain: PlainCGCNN) -> None:
    """Copy the weights and running statistics of CrystalBench's CGCNN to the plain network.

    Args:
        ours: a network of `crystalbench.models.cgcnn.CGCNN.network`.
        plain: a network of the same sizes, with norms (not ``stock``).
    """
    width = ours.body.width
    plain.embedding.load_state_dict(ours.body.embedding.state_dict())
    for mine, theirs in zip(ours.body.convolutions, plain.convolutions, strict=True):
        # The first F outputs of our gate are the sigmoid gates, the last F the softplus messages.
        halves = ((slice(0, width), theirs.lin_f, theirs.norm_f), (slice(width, None), theirs.lin_s, theirs.norm_s))
        for part, linear, norm in halves:
            linear.load_state_dict({name: tensor[part] for name, tensor in mine.gate.state_dict().items()})
            state = mine.gate_norm.state_dict().items()
            norm.load_state_dict({name: tensor[part] if tensor.ndim else tensor for name, tensor in state})
        theirs.bn.load_state_dict(mine.norm.state_dict())
    linears = ([module for module in head if isinstance(module, nn.Linear)] for head in (ours.head, plain.head))
    for mine, theirs in zip(*linears, strict=True):
        theirs.load_state_dict(mine.state_dict())
