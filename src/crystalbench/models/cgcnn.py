"""CGCNN: the crystal graph convolutional network, with a factorised convolution over quotient graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.models.merging import MergesEqualAtoms
from crystalbench.models.model import Invariance, Sees
from crystalbench.models.network import NetworkModel
from crystalbench.nn.convolution import GatedConvolution
from crystalbench.nn.edges import Edges
from crystalbench.nn.moments import Moments
from crystalbench.nn.radial import expand_distances
from crystalbench.nn.weighted import softplus
from crystalbench.representations import WeightedGraph
from crystalbench.representations.element_features import element_features
from crystalbench.representations.quotient import SITE

if TYPE_CHECKING:
    from crystalbench.nn.batches import Batch
    from crystalbench.representations import QuotientGraph


@dataclass
class CGCNN(MergesEqualAtoms, NetworkModel):
    """Crystal graph convolutional network (Xie and Grossman, Phys. Rev. Lett. 120, 145301, 2018).

    Atoms start from element features and exchange gated messages with their 12 nearest neighbours; distances enter as
    Gaussians. It sees elements and distances, but neither angles nor (with the mean readout) the size of the cell.

    Deviations: the training is the shared one (AdamW, L1 loss, one cycle; the original has SGD and squared loss);
    element features are rebuilt from matminer's tables; the last shell of neighbours is not cut by the order of the
    atoms but shares the weight that the nearer ones leave (`WeightedGraph`); atoms with fewer than 12 neighbours within
    the cutoff keep edges to farther atoms, where the original pads.

    Attributes:
        width: features of an atom.
        layers: number of convolutions.
        neighbors: neighbours of each atom, or the sum of their weights.
        cutoff: largest distance of the Gaussian expansion in Å.
    """

    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

    width: Annotated[int, Ge(1), CategoricalDistribution((32, 64, 128))] = 64
    layers: Annotated[int, Ge(1), IntDistribution(1, 6)] = 3
    neighbors: Annotated[int, Ge(1), IntDistribution(6, 24)] = 12
    cutoff: Annotated[float, Gt(0)] = 8.0

    @property
    def sees(self) -> Sees:
        """Elements, and the distances between atoms."""
        return Sees.STRUCTURE_AND_CHEMISTRY

    @property
    def representation(self) -> QuotientGraph:
        """Weighted nearest neighbours, with equal atoms merged."""
        return self.merged(WeightedGraph(neighbors=self.neighbors))

    def encoder(self) -> nn.Module:
        """Embedding, convolutions and pooling."""
        return CGCNNEncoder(self.width, self.layers, self.cutoff)


class CGCNNEncoder(nn.Module):
    """Crystal graph to embedding.

    Args:
        width: features of an atom, and of the embedding.
        layers: number of convolutions.
        cutoff: last Gaussian centre in Å.
        step: spacing and width of the Gaussians in Å.
    """

    elements: Tensor
    centers: Tensor

    def __init__(self, width: int, layers: int, cutoff: float = 8.0, step: float = 0.2) -> None:
        super().__init__()
        self.width, self.step = width, step
        self.register_buffer("elements", torch.from_numpy(element_features()), persistent=False)
        self.register_buffer("centers", torch.arange(0, cutoff + step / 2, step), persistent=False)
        self.embedding = nn.Linear(self.elements.shape[1], width)
        self.convolutions = nn.ModuleList(GatedConvolution(width, len(self.centers)) for _ in range(layers))

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, width)."""
        multiplicities = batch["multiplicities"].to(self.centers.dtype)
        edges = Edges.of(batch)
        sites = self.embedding(self.elements)[batch["numbers"]]
        shells = expand_distances(batch["distances"], self.centers, self.step)
        moments = Moments.of(edges, shells, multiplicities) if self.training else None
        for convolution in self.convolutions:
            sites = convolution(sites, shells, edges, moments)
        return softplus(batch.mean(sites, SITE, multiplicities))
