"""PaiNN: messages of scalars and vectors, which rotate with the crystal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.data.elements import MAX_Z
from crystalbench.models.model import Invariance, Sees
from crystalbench.models.network import NetworkModel
from crystalbench.representations import PeriodicGraph

if TYPE_CHECKING:
    from crystalbench.nn.batches import Batch

WAVES = 20
"""Radial functions of a distance, as in the publication."""

_LEAST = 1e-8  # keeps the gradient of the length of a vector finite at zero


@dataclass
class PaiNN(NetworkModel):
    """Polarizable atom interaction network (Schütt, Unke and Gastegger, ICML 2021).

    Atoms have scalars, which start from a learned vector per element, and vectors, which start from zero. Messages of
    all neighbours within the cutoff change both: vectors collect the directions of the neighbours, weighted by
    functions of distance and scalars. Then each atom mixes its scalars with the lengths and scalar products of its
    vectors. It sees elements, distances and, through the vectors, angles, but neither handedness nor (with the mean
    readout) the size of the cell.

    Deviations: the training is the shared one; the readout is the mean over the atoms, where the original adds up
    molecules; the neighbours are those of `PeriodicGraph`; 64 features of an atom, where the original has 128.

    Attributes:
        width: scalars of an atom, and vectors of an atom.
        layers: number of interactions.
        cutoff: distance in Å at which messages vanish.
        head_layers: number of hidden layers after the mean over the atoms; with 0, the output is that of PaiNN, a
            linear function of the mean of the last atom-wise layer.
    """

    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

    width: Annotated[int, Ge(2), CategoricalDistribution((32, 64, 128))] = 64
    layers: Annotated[int, Ge(1), IntDistribution(1, 4)] = 3
    cutoff: Annotated[float, Gt(0)] = 5.0
    head_layers: int = 0

    @property
    def sees(self) -> Sees:
        """Directions."""
        return Sees.EQUIVARIANT

    @property
    def representation(self) -> PeriodicGraph:
        """All neighbours within the cutoff, with vectors."""
        return PeriodicGraph(cutoff=self.cutoff)

    def encoder(self) -> nn.Module:
        """Interactions and the last atom-wise layer."""
        return PaiNNEncoder(self.width, self.layers, self.cutoff)


class PaiNNEncoder(nn.Module):
    """Periodic graph to embedding.

    Args:
        width: scalars and vectors of an atom, F; the embedding has F // 2.
        layers: number of interactions.
        cutoff: distance in Å at which messages vanish.
    """

    waves: Tensor

    def __init__(self, width: int, layers: int, cutoff: float) -> None:
        super().__init__()
        self.width, self.cutoff = width // 2, cutoff
        self.register_buffer("waves", torch.arange(1, WAVES + 1) * (math.pi / cutoff), persistent=False)
        self.elements = nn.Embedding(MAX_Z + 1, width)
        self.messages = nn.ModuleList(Message(width) for _ in range(layers))
        self.updates = nn.ModuleList(Update(width) for _ in range(layers))
        self.output = nn.Sequential(nn.Linear(width, self.width), nn.SiLU())

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, width)."""
        scalars, _ = self.atoms(batch)
        embeddings: Tensor = self.output(scalars)
        return batch.mean(embeddings, "atom")

    def atoms(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Scalars (N, F) and vectors (N, 3, F) of the atoms."""
        distances = torch.linalg.vector_norm(batch["vectors"], dim=1, keepdim=True)
        # Distances up to 1e-5 Å beyond the cutoff occur.
        ending = 0.5 * (torch.cos(distances.clamp(max=self.cutoff) * (math.pi / self.cutoff)) + 1)
        edges = _Edges(
            batch["sources"],
            batch["neighbors"],
            torch.sin(distances * self.waves) / distances,
            ending,
            (batch["vectors"] / distances).unsqueeze(2),
        )
        scalars = self.elements(batch["numbers"])
        vectors = scalars.new_zeros((len(scalars), 3, scalars.shape[1]))
        for message, update in zip(self.messages, self.updates, strict=True):
            scalars, vectors = message(scalars, vectors, edges)
            scalars, vectors = update(scalars, vectors)
        return scalars, vectors


@dataclass
class _Edges:
    """The edges of a batch.

    Attributes:
        sources: (E,) the atoms that receive messages.
        neighbors: (E,) the atoms that send them.
        waves: (E, waves) radial functions of the distances.
        ending: (E, 1) factors of the messages, 0 at the cutoff.
        directions: (E, 3, 1) unit vectors to the neighbours.
    """

    sources: Tensor
    neighbors: Tensor
    waves: Tensor
    ending: Tensor
    directions: Tensor


class Message(nn.Module):
    """Δs_i = Σ_j φ_s, Δv_i = Σ_j (v_j ⊙ φ_v + r̂_ij φ_r), with φ = MLP(s_j) ⊙ W(r_ij); equations 7 and 8 of PaiNN.

    Args:
        width: scalars and vectors of an atom, F.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.send = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 3 * width))
        self.filter = nn.Linear(WAVES, 3 * width)

    def forward(self, scalars: Tensor, vectors: Tensor, edges: _Edges) -> tuple[Tensor, Tensor]:
        """Scalars (N, F) and vectors (N, 3, F) with the messages of the neighbours."""
        filters = self.filter(edges.waves) * edges.ending
        sent = self.send(scalars).index_select(0, edges.neighbors) * filters
        to_scalars, to_vectors, along = sent.chunk(3, dim=1)
        moved = vectors.index_select(0, edges.neighbors) * to_vectors.unsqueeze(1)
        moved = moved + edges.directions * along.unsqueeze(1)
        return scalars.index_add(0, edges.sources, to_scalars), vectors.index_add(0, edges.sources, moved)


class Update(nn.Module):
    """Δs = a_ss + a_sv ⟨U v, V v⟩, Δv = a_vv ⊙ U v, with a = MLP(s, ‖V v‖); equations 9 and 10 of PaiNN.

    Args:
        width: scalars and vectors of an atom, F.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(width, 2 * width, bias=False)
        self.gates = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, 3 * width))

    def forward(self, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Updated scalars (N, F) and vectors (N, 3, F)."""
        left, right = self.mix(vectors).chunk(2, dim=2)
        lengths = torch.sqrt(right.square().sum(1) + _LEAST)
        own, crossed, kept = self.gates(torch.cat([scalars, lengths], dim=1)).chunk(3, dim=1)
        return scalars + own + crossed * (left * right).sum(1), vectors + kept.unsqueeze(1) * left
