"""CGCNN: the crystal graph convolutional network, in a dense and factorised form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn
from torch.nn import functional

from crystalbench.errors import ConfigError
from crystalbench.models.model import Invariance
from crystalbench.models.network import NetworkModel
from crystalbench.representations import CrystalGraph
from crystalbench.representations.element_features import element_features

if TYPE_CHECKING:
    from crystalbench.models.batches import Batch


@dataclass
class CGCNN(NetworkModel):
    """Crystal graph convolutional network (Xie and Grossman, Phys. Rev. Lett. 120, 145301, 2018).

    Atoms start from element features and exchange gated messages with their 12 nearest neighbours; distances enter as
    Gaussians. It knows elements and distances, and neither angles nor the size of the cell (with the mean readout).

    Deviations: the training is the shared one (AdamW, L1 loss, one cycle; the original has SGD and squared loss);
    element features are rebuilt from matminer's tables; atoms with fewer than 12 neighbours within the cutoff keep
    edges to farther atoms instead of padding.

    Attributes:
        width: features of an atom.
        layers: number of convolutions.
        neighbors: neighbours of each atom.
        cutoff: largest distance of the Gaussian expansion in Å.
    """

    # Not supercells and other cells: they list atoms otherwise, which decides where a shell of alike atoms is cut.
    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset({Invariance.ROTATION, Invariance.REFLECTION})

    width: Annotated[int, CategoricalDistribution((32, 64, 128))] = 64
    layers: Annotated[int, IntDistribution(1, 6)] = 3
    neighbors: Annotated[int, IntDistribution(6, 24)] = 12
    cutoff: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "layers", "neighbors", "cutoff"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} = {getattr(self, name)}; it must be positive")

    @property
    def representation(self) -> CrystalGraph:
        """Nearest-neighbour graph."""
        return CrystalGraph(neighbors=self.neighbors)

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
        atoms = self.embedding(self.elements)[batch["numbers"]]
        edges = expand_distances(batch["distances"], self.centers, self.step)
        for convolution in self.convolutions:
            atoms = convolution(atoms, edges, batch["neighbors"])
        return functional.softplus(batch.mean(atoms, "atom"))


def expand_distances(distances: Tensor, centers: Tensor, width: float) -> Tensor:
    """Gaussians exp(−((d − μ) / width)²) of distances (..., ) at centres (g,): (..., g).

    The exponent stops at −85: an exponential that underflows is many times slower, and what is cut off is below 1e-36.
    """
    scaled = (distances.unsqueeze(-1) - centers).mul_(1 / width)
    return scaled.square_().clamp_(max=85).neg_().exp_()


class GatedConvolution(nn.Module):
    """One convolution of CGCNN.

    v_i' = softplus(v_i + BN(Σ_j sigmoid(f_ij) · softplus(s_ij))) with (f, s)_ij = BN(W [v_i, v_j, e_ij] + b).
    W is applied in three parts, W_i v_i + W_j v_j + W_e e_ij: the first two once per atom and not once per edge, the
    same mathematics with fewer operations.

    Args:
        width: features of an atom, F.
        edge_width: features of an edge.
    """

    def __init__(self, width: int, edge_width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * width + edge_width, 2 * width)
        self.gate_norm = nn.BatchNorm1d(2 * width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, atoms: Tensor, edges: Tensor, neighbors: Tensor) -> Tensor:
        """Update atoms.

        Args:
            atoms: (N, F).
            edges: (N, k, edge_width).
            neighbors: (N, k) atom indices.

        Returns:
            (N, F).
        """
        (count, width), degree = atoms.shape, neighbors.shape[1]
        weight, bias = self._gate()
        own, other, edge = torch.split(weight, [width, width, edges.shape[-1]], dim=1)
        gates = functional.linear(atoms, other).index_select(0, neighbors.reshape(-1))
        gates.addmm_(edges.flatten(0, 1), edge.t())  # in place: nothing else needs the gathered rows
        gates = gates.view(count, degree, 2 * width) + functional.linear(atoms, own, bias).unsqueeze(1)
        if self.training:
            gates = self.gate_norm(gates.view(-1, 2 * width)).view(count, degree, 2 * width)
        opened, message = gates.chunk(2, dim=-1)
        summed = (torch.sigmoid(opened) * functional.softplus(message)).sum(1)
        return functional.softplus(atoms + self.norm(summed))

    def _gate(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the gate; for prediction with the normalisation folded in, which is then linear."""
        if self.training:
            return self.gate.weight, self.gate.bias
        norm = self.gate_norm
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None and variance is not None  # they are tracked
        scale = norm.weight * torch.rsqrt(variance + norm.eps)
        return self.gate.weight * scale[:, None], (self.gate.bias - mean) * scale + norm.bias
