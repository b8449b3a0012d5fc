"""A network of e3nn's own modules: messages of spherical tensors, which rotate with the crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Interval
from e3nn import o3
from e3nn.math import soft_one_hot_linspace
from e3nn.nn.models.v2106.gate_points_message_passing import MessagePassing
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.data.elements import MAX_Z
from crystalbench.models.model import Invariance, Sees
from crystalbench.models.network import NetworkModel
from crystalbench.representations import PeriodicGraph

if TYPE_CHECKING:
    from crystalbench.nn.batches import Batch

RADIAL = 10
"""Functions of a distance, as in e3nn's networks."""

RADIAL_WIDTH = 32
"""Hidden units of the network that turns them into weights of the tensor products."""

NEIGHBORS = 30.0
"""Typical number of neighbours, by whose root sums over neighbours are divided."""


@dataclass
class E3NN(NetworkModel):
    """Message passing network of e3nn (Geiger and Smidt, arXiv:2207.09453), with gated tensors.

    Atoms start from a learned vector per element. In each layer, tensor products combine the tensors of all neighbours
    within the cutoff with the spherical harmonics of their directions, with weights that a network computes from the
    distance and that vanish at the cutoff; gates make them nonlinear. The scalars of the last layer are averaged over
    the atoms. It sees elements, distances and directions, but neither handedness nor (with the mean readout) the size
    of the cell.

    The layers are those of ``e3nn.nn.models.v2106``, without the attributes of nodes, which are optional there.

    Attributes:
        width: scalars of an atom; there are half as many vectors, and a quarter as many tensors of degree 2.
        layers: number of layers.
        lmax: largest degree of the tensors.
        cutoff: distance in Å at which messages vanish.
    """

    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

    width: Annotated[int, Ge(4), CategoricalDistribution((16, 32, 64))] = 32
    layers: Annotated[int, Ge(1), IntDistribution(1, 3)] = 2
    lmax: Annotated[int, Interval(ge=0, le=3)] = 2
    cutoff: Annotated[float, Gt(0)] = 5.0

    @property
    def sees(self) -> Sees:
        """Directions; without tensors, distances only."""
        return Sees.EQUIVARIANT if self.lmax else Sees.STRUCTURE_AND_CHEMISTRY

    @property
    def representation(self) -> PeriodicGraph:
        """All neighbours within the cutoff, with vectors."""
        return PeriodicGraph(cutoff=self.cutoff)

    def encoder(self) -> nn.Module:
        """e3nn's layers and the mean over the atoms."""
        return E3NNEncoder(self.width, self.layers, self.lmax, self.cutoff)


class E3NNEncoder(nn.Module):
    """Periodic graph to embedding.

    Args:
        width: scalars of an atom, and size of the embedding.
        layers: number of layers.
        lmax: largest degree of the tensors.
        cutoff: distance in Å at which messages vanish.
    """

    def __init__(self, width: int, layers: int, lmax: int, cutoff: float) -> None:
        super().__init__()
        self.width, self.cutoff = width, cutoff
        self.harmonics = o3.Irreps.spherical_harmonics(lmax)
        scalars = o3.Irreps(f"{width}x0e")
        hidden = o3.Irreps([(max(1, width >> degree), (degree, (-1) ** degree)) for degree in range(lmax + 1)])
        self.elements = nn.Embedding(MAX_Z + 1, width)
        self.layers = MessagePassing(
            [scalars, *[hidden] * (layers - 1), scalars], "0e", self.harmonics, [RADIAL, RADIAL_WIDTH], NEIGHBORS
        )

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, width)."""
        atoms = self.elements(batch["numbers"])
        distances = torch.linalg.vector_norm(batch["vectors"], dim=1)
        harmonics = o3.spherical_harmonics(self.harmonics, batch["vectors"], True, "component")
        radial = soft_one_hot_linspace(distances, 0.0, self.cutoff, RADIAL, "smooth_finite", True) * RADIAL**0.5
        ones = atoms.new_ones(len(atoms), 1)
        found: Tensor = self.layers(atoms, ones, batch["neighbors"], batch["sources"], harmonics, radial)
        return batch.mean(found, "atom")
