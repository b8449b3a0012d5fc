"""SENPublished: a reimplementation of the published SEN, without the defects that prevent a fair evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.data.elements import MAX_Z
from crystalbench.errors import ConfigError
from crystalbench.models.merging import MergesEqualAtoms
from crystalbench.models.model import Invariance, Sees
from crystalbench.models.network import NetworkModel
from crystalbench.models.sen_published.blocks import (
    CAPSULES,
    CompositionEncoder,
    Graph,
    MessagePassing,
    PartCapsules,
    PartReading,
    Set2Set,
    dense,
)
from crystalbench.nn.radial import expand_distances
from crystalbench.representations import ElementPairs, SphereGraph

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples
    from crystalbench.nn.batches import Batch
    from crystalbench.representations import Arrays, QuotientGraph

_ELEMENT = 80  # learned features of an element
_FIRST = 64  # width of the first of the two layers that embed atoms, edges and the state
_GAUSSIANS = 100
_LAST_GAUSSIAN = 6.0  # Å
_GAUSSIAN_WIDTH = 0.5  # Å


@dataclass
class SENPublished(MergesEqualAtoms, NetworkModel):
    """A reimplementation of the published SEN (Liang et al., Nat. Commun. 14, 2023, 10.1038/s41467-023-40756-2).

    Atoms, edges to neighbours within 5 Å and a state of the crystal exchange messages as in MEGNet; the composition
    gates the features of the atoms; 16 part capsules read the crystal's vector. The network sees elements and
    distances, but neither angles nor directions: "equivariance" refers, in the published network, to the poses of the
    capsules.

    All deviations are listed on the page of the model. The most important are dense layers instead of convolutions
    over features, no attention across the crystals of a batch, presences without noise at prediction, neighbours that
    fade out before the cutoff, no crystal left out, and the shared training.

    Attributes:
        width: features of an atom, an edge, the state, the composition, and of the crystal.
        layers: rounds of message passing.
        cutoff: radius in Å within which atoms are neighbours.
        softening: distance in Å before the cutoff over which neighbours fade out.
        presence_noise: largest random number that is added to, or subtracted from, the logits of presence while
            training.
    """

    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

    width: Annotated[int, Ge(1), CategoricalDistribution((32, 64, 128))] = 64
    layers: Annotated[int, Ge(1), IntDistribution(1, 4)] = 3
    cutoff: Annotated[float, Gt(0)] = 5.0
    softening: Annotated[float, Gt(0)] = 1.0
    presence_noise: Annotated[float, Ge(0)] = 2.0
    epochs: int = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.softening > self.cutoff:
            raise ConfigError(f"softening = {self.softening}; it must not be larger than the cutoff, {self.cutoff}")

    @property
    def sees(self) -> Sees:
        """Elements, and the distances between atoms."""
        return Sees.STRUCTURE_AND_CHEMISTRY

    @property
    def representation(self) -> QuotientGraph:
        """All neighbours within the cutoff, with equal atoms merged."""
        return self.merged(SphereGraph(cutoff=self.cutoff))

    def inputs(self, samples: Samples) -> Arrays:
        """The graph, and the elements of the composition."""
        return super().inputs(samples).combined_with(samples.represent(ElementPairs()))

    def encoder(self) -> nn.Module:
        """Message passing, readouts and part capsules."""
        return SENPublishedEncoder(self.width, self.layers, self.cutoff, self.softening, self.presence_noise)


class SENPublishedEncoder(nn.Module):
    """Sphere graph to embedding: values of the part capsules, values times presences, and the crystal's vector.

    Args:
        width: features of an atom, F.
        layers: rounds of message passing.
        cutoff: in Å.
        softening: in Å.
        noise: amplitude of the noise of presences while training.
    """

    centers: Tensor

    def __init__(
        self, width: int, layers: int, cutoff: float = 5.0, softening: float = 1.0, noise: float = 0.0
    ) -> None:
        super().__init__()
        self.width = 2 * CAPSULES + width
        self.cutoff, self.softening = cutoff, softening
        self.register_buffer("centers", torch.linspace(0, _LAST_GAUSSIAN, _GAUSSIANS), persistent=False)
        self.elements = nn.Embedding(MAX_Z + 1, _ELEMENT)
        self.first_state = nn.Parameter(torch.randn(1, _FIRST))
        self.embed_atoms = dense(_ELEMENT, _FIRST, width)
        self.embed_edges = dense(_GAUSSIANS, _FIRST, width)
        self.embed_state = dense(_FIRST, _FIRST, width)
        self.loops = nn.ModuleList(MessagePassing(width) for _ in range(layers))
        self.set2set = Set2Set(width)
        self.composition = CompositionEncoder(width)
        self.gate = nn.Linear(width, 2 * width)
        self.crystal = nn.Sequential(nn.LayerNorm(5 * width), *dense(5 * width, width))
        self.part_capsules = PartCapsules(width, noise)

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, 32 + F)."""
        crystals = self.crystals(batch)
        capsules = self.part_capsules(crystals)
        return torch.cat([capsules.values, capsules.values * capsules.presences, crystals], dim=1)

    def capsules(self, batch: Batch) -> PartReading:
        """Poses, features, presences and values of the part capsules."""
        capsules: PartReading = self.part_capsules(self.crystals(batch))
        return capsules

    def crystals(self, batch: Batch) -> Tensor:
        """Vectors of the crystals (n, F), from which the capsules are computed."""
        graph = Graph.of(batch, self.cutoff, self.softening)
        sites = self.embed_atoms(self.elements.weight).index_select(0, batch["numbers"])
        edges = self.embed_edges(expand_distances(batch["distances"], self.centers, _GAUSSIAN_WIDTH))
        states = self.embed_state(self.first_state).expand(batch.size, -1)
        for k, loop in enumerate(self.loops):
            sites, edges, states = loop(sites, edges, states, graph, of_shells=k == 0)
        read = self.set2set(torch.cat([sites, edges]), *graph.sets(batch))
        read_atoms, read_edges = read.split(batch.size)
        gates = torch.sigmoid(self.gate(self.composition(batch)))
        vectors: Tensor = self.crystal(torch.cat([read_atoms * gates, read_edges, states], dim=1))
        return vectors
