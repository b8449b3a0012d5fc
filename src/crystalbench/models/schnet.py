"""SchNet: continuous-filter convolutions over distances, with the layers of PyTorch Geometric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.data.elements import MAX_Z
from crystalbench.models.adaptors.pyg import PyGModel
from crystalbench.models.model import Invariance, Sees

GAUSSIANS = 50
"""Gaussians of the expansion of distances, from 0 to the cutoff; SchNet in PyG has 50."""


@dataclass
class SchNet(PyGModel):
    """SchNet (Schütt et al., NeurIPS 2017; J. Chem. Phys. 148, 241722, 2018), by PyTorch Geometric.

    Atoms start from a learned vector per element and add up messages of all neighbours within the cutoff: features of
    the neighbour, multiplied by a filter that a network generates from the distance. It sees elements and distances,
    but neither angles nor (with the mean readout) the size of the cell.

    Deviations: the training is the shared one; the readout is the mean over the atoms, where the original adds up
    molecules; the neighbours are those of `PeriodicGraph`; the table of elements goes up to Z = 118, where PyG's ends
    at 99.

    Attributes:
        width: features of an atom, and of a filter.
        layers: number of interaction blocks.
        head_layers: number of hidden layers after the mean over the atoms; with 0, the output is that of SchNet, a
            linear function of the mean of the last atom-wise layer.
    """

    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

    width: Annotated[int, Ge(2), CategoricalDistribution((32, 64, 128))] = 64
    layers: Annotated[int, Ge(1), IntDistribution(1, 6)] = 3
    head_layers: int = 0

    @property
    def sees(self) -> Sees:
        """Elements, and the distances between atoms."""
        return Sees.STRUCTURE_AND_CHEMISTRY

    def module(self) -> nn.Module:
        """The interaction blocks of PyG."""
        return SchNetAtoms(self.width, self.layers, self.cutoff)


class SchNetAtoms(nn.Module):
    """SchNet of PyG up to the activation before its last layer, on given neighbours.

    Args:
        width: features of an atom, and of a filter.
        layers: number of interaction blocks.
        cutoff: distance in Å at which messages vanish.
    """

    def __init__(self, width: int, layers: int, cutoff: float) -> None:
        super().__init__()
        from torch_geometric.nn.models import SchNet as PyGSchNet  # here, since it is optional and slow to import

        self.net = PyGSchNet(width, width, layers, GAUSSIANS, cutoff)
        self.net.embedding = nn.Embedding(MAX_Z + 1, width)
        self.net.lin2 = nn.Identity()

    def forward(self, data: Any) -> Tensor:
        """Embeddings of the atoms (N, width // 2) of a batch of PyG."""
        net: Any = self.net
        atoms = net.embedding(data.z)
        shells = net.distance_expansion(data.edge_weight)
        for interaction in net.interactions:
            atoms = atoms + interaction(atoms, data.edge_index, data.edge_weight, shells)
        result: Tensor = net.act(net.lin1(atoms))
        return result
