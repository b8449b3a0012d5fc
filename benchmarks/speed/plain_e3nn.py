"""A plain equivariant network of e3nn as in its documentation: tensor products on edges, then a sum over neighbours."""

from __future__ import annotations

import itertools

import torch
from e3nn import o3
from e3nn.nn import FullyConnectedNet, Gate
from torch import Tensor, nn

from crystalbench.nn.batches import Batch
from crystalbench.nn.radial import expand_distances
from crystalbench.representations.element_features import element_features

L_MAX = 2
SCALARS = o3.Irreps("0e")


class PlainE3NN(nn.Module):
    """A gated network on the same graphs as `SEN`, with features of the same irreps.

    Args:
        channels: number of channels of each degree.
        layers: number of convolutions.
        cutoff: centre of the last Gaussian in Å.
        step: spacing and width of the Gaussians in Å.
    """

    elements: Tensor
    centers: Tensor

    def __init__(self, channels: int, layers: int, cutoff: float = 8.0, step: float = 0.2) -> None:
        super().__init__()
        self.step = step
        self.register_buffer("elements", torch.from_numpy(element_features()), persistent=False)
        self.register_buffer("centers", torch.arange(0, cutoff + step / 2, step), persistent=False)
        self.embedding = nn.Linear(self.elements.shape[1], channels)
        full = o3.Irreps(f"{channels}x0e + {channels}x1o + {channels}x2e")
        widths = [channels * SCALARS, *[full] * layers]
        self.convolutions = nn.ModuleList(
            PlainConvolution(a, b, len(self.centers)) for a, b in itertools.pairwise(widths)
        )
        self.head = nn.Sequential(nn.Linear(channels, 128), nn.SiLU(), nn.Linear(128, 1))
        self.channels = channels

    def forward(self, batch: Batch) -> Tensor:
        """Outputs (n, 1) of n crystals."""
        neighbors = batch["neighbors"][:, :-1]
        sources = neighbors.reshape(-1)
        targets = torch.arange(len(neighbors)).repeat_interleave(neighbors.shape[1])
        vectors = batch["vectors"][:, :-1].reshape(-1, 3)
        angular = o3.spherical_harmonics(
            o3.Irreps.spherical_harmonics(L_MAX), vectors, normalize=True, normalization="component"
        )
        radial = expand_distances(batch["distances"][:, :-1].reshape(-1), self.centers, self.step)
        atoms = self.embedding(self.elements)[batch["numbers"]]
        for convolution in self.convolutions:
            atoms = convolution(atoms, sources, targets, angular, radial)
        result: Tensor = self.head(batch.mean(atoms[:, : self.channels], "atom"))
        return result


class PlainConvolution(nn.Module):
    """Tensor products of neighbours' features and spherical harmonics, weighted by distance, summed and gated."""

    def __init__(self, before: o3.Irreps, after: o3.Irreps, gaussians: int) -> None:
        super().__init__()
        angular = o3.Irreps.spherical_harmonics(L_MAX)
        middle: list[tuple[int, o3.Irrep]] = []
        instructions = []
        for i, (multiplicity, one) in enumerate(before):
            for j, (_, other) in enumerate(angular):
                for out in one * other:
                    if out in after:
                        instructions.append((i, j, len(middle), "uvu", True))
                        middle.append((multiplicity, out))
        self.product = o3.TensorProduct(
            before, angular, o3.Irreps(middle), instructions, shared_weights=False, internal_weights=False
        )
        self.weights = FullyConnectedNet([gaussians, 32, self.product.weight_numel], torch.nn.functional.silu)
        scalars = o3.Irreps([(m, ir) for m, ir in after if ir.l == 0])
        gated = o3.Irreps([(m, ir) for m, ir in after if ir.l > 0])
        gates = o3.Irreps([(m, o3.Irrep("0e")) for m, _ in gated])
        self.gate = Gate(scalars, [torch.nn.functional.silu], gates, [torch.sigmoid] * len(gates), gated)
        self.mix = o3.Linear(o3.Irreps(middle), self.gate.irreps_in)
        self.own = o3.Linear(before, self.gate.irreps_in)

    def forward(self, atoms: Tensor, sources: Tensor, targets: Tensor, angular: Tensor, radial: Tensor) -> Tensor:
        """New features (atoms, features) of the atoms."""
        messages = self.product(atoms[sources], angular, self.weights(radial))
        summed = messages.new_zeros(len(atoms), messages.shape[1]).index_add(0, targets, messages)
        result: Tensor = self.gate(
            self.own(atoms) + self.mix(summed) / 4
        )  # square root of 16, the number of neighbours
        return result
