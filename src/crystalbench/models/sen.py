"""SEN: an equivariant capsule network on crystal graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Ge, Gt
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.errors import ConfigError
from crystalbench.models.model import Invariance
from crystalbench.models.network import Dropout, HeadDropout, NetworkModel
from crystalbench.models.training import WeightDecay, flushed_subnormals, prepare_torch
from crystalbench.nn.batches import DeviceArrays
from crystalbench.nn.capsules import Capsules, CapsuleTransformer, PrimaryCapsules
from crystalbench.nn.equivariant import SLICES, Gate, LinearByDegree, Product, Rescale, harmonics, lengths
from crystalbench.nn.radial import expand_distances
from crystalbench.representations import CrystalGraph
from crystalbench.representations.element_features import element_features

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples
    from crystalbench.nn.batches import Batch

RADIAL_WIDTH = 32
BATCH = 512  # crystals in a batch of `SEN.explain`


@dataclass
class SEN(NetworkModel):
    """Equivariant capsule network in the spirit of SEN (Liang et al., Nat. Commun. 14, 2023).

    Atoms exchange messages that are gated by the composition. From the directions of their neighbours they collect
    spherical tensors (scalars, vectors and tensors of degree 2), which rotate with the crystal. Atoms are then pooled
    into capsules: clusters of atoms that are similar in structure and chemistry, each with a presence, a feature and a
    pose. Capsules interact by routing by agreement, and the embedding is computed from their invariants. `explain`
    returns the capsules.

    The published network is called equivariant but sees distances only; `sen_published` reimplements it.

    Attributes:
        width: invariant features of an atom and of a capsule.
        channels: channels of the spherical tensors.
        layers: layers of message passing.
        capsules: number of capsules.
        exchanges: layers of the capsule transformer, in which capsules interact.
        neighbors: neighbours of each atom.
        cutoff: largest distance of the Gaussian expansion in Å.
        atom_dropout: share of the hidden units dropped while training in the updates of atoms and capsules.
    """

    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

    width: Annotated[int, Ge(1), CategoricalDistribution((32, 64, 128))] = 64
    channels: Annotated[int, Ge(1), CategoricalDistribution((8, 16, 32))] = 16
    layers: Annotated[int, Ge(1), IntDistribution(1, 4)] = 2
    capsules: Annotated[int, Ge(1), CategoricalDistribution((4, 8, 16))] = 8
    exchanges: Annotated[int, Ge(0), IntDistribution(0, 2)] = 1
    neighbors: Annotated[int, Ge(1), IntDistribution(12, 24)] = 16
    cutoff: Annotated[float, Gt(0)] = 8.0
    atom_dropout: Dropout = 0.1
    dropout: HeadDropout = 0.1
    weight_decay: WeightDecay = 0.1
    epochs: int = 150

    @property
    def representation(self) -> CrystalGraph:
        """Nearest neighbours with directions, and one more, at whose distance the envelope ends."""
        return CrystalGraph(neighbors=self.neighbors + 1, vectors=True)

    def encoder(self) -> nn.Module:
        """Message passing, capsules and readout."""
        return SENEncoder(
            self.width,
            self.channels,
            self.layers,
            self.capsules,
            self.exchanges,
            cutoff=self.cutoff,
            dropout=self.atom_dropout,
        )

    @flushed_subnormals()
    def explain(self, samples: Samples) -> CapsuleReading:
        """The capsules of n crystals in the fitted network.

        Raises:
            ConfigError: the model is not fitted.
        """
        if self.fitted_network is None:
            raise ConfigError("the model has to be fitted before its capsules can be read")
        encoder = next(m for m in self.fitted_network.eval().modules() if isinstance(m, SENEncoder))
        data = DeviceArrays(self.inputs(samples), prepare_torch(self.runtime))
        with torch.no_grad():
            found = [encoder.capsules(batch)[0] for batch in data.batches(BATCH)]
        arrays: dict[str, npt.NDArray[Any]] = {
            name: torch.cat([getattr(f, name) for f in found]).cpu().numpy()
            for name in ("memberships", "shares", "presences", "features", "poses")
        }
        return CapsuleReading(ids=samples.ids, offsets=np.asarray(samples.crystals.offsets), **arrays)


@dataclass(frozen=True, eq=False)
class CapsuleReading:
    """The K capsules of n crystals.

    Attributes:
        ids: (n,) the crystals.
        offsets: (n + 1,) crystal i has the rows ``offsets[i]:offsets[i + 1]`` of the memberships.
        memberships: (atoms, K) membership of each atom in each capsule; rows sum to 1.
        shares: (n, K) mean membership of the atoms of a crystal in each capsule; rows sum to 1.
        presences: (n, K) in [0, 1], the degree to which each capsule is present.
        features: (n, K, F) invariant features.
        poses: (n, K, 9, C) spherical tensors of degree 0, 1 and 2 (e3nn's order), which rotate with the crystal.
    """

    ids: npt.NDArray[np.str_]
    offsets: npt.NDArray[np.int64]
    memberships: npt.NDArray[np.float32]
    shares: npt.NDArray[np.float32]
    presences: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    poses: npt.NDArray[np.float32]

    def atoms_of(self, i: int) -> npt.NDArray[np.float32]:
        """Memberships (atoms of crystal i, K)."""
        return self.memberships[self.offsets[i] : self.offsets[i + 1]]


class SENEncoder(nn.Module):
    """Crystal graph with directions to embedding, through capsules.

    Args:
        width: invariant features of an atom and of a capsule, F; the embedding has 2 F.
        channels: channels of the spherical tensors, C.
        layers: layers of message passing.
        capsules: number of capsules, K.
        exchanges: layers of the capsule transformer.
        cutoff: last Gaussian centre in Å.
        step: spacing and width of the Gaussians in Å.
        dropout: share of hidden units dropped while training.
    """

    elements: Tensor
    centers: Tensor

    def __init__(
        self,
        width: int,
        channels: int,
        layers: int,
        capsules: int,
        exchanges: int,
        *,
        cutoff: float = 8.0,
        step: float = 0.2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.width, self.step = 2 * width, step
        self.register_buffer("elements", torch.from_numpy(element_features()), persistent=False)
        self.register_buffer("centers", torch.arange(0, cutoff + step / 2, step), persistent=False)
        self.embedding = nn.Linear(self.elements.shape[1], width)
        self.composition = nn.Sequential(nn.Linear(width, width), nn.SiLU())
        self.gate = nn.Linear(width, width)
        self.layers = nn.ModuleList(
            Interaction(width, channels, len(self.centers), first=k == 0, dropout=dropout) for k in range(layers)
        )
        self.primary = PrimaryCapsules(width, channels, capsules)
        self.exchanges = nn.ModuleList(CapsuleTransformer(width, channels, dropout=dropout) for _ in range(exchanges))
        self.readout = nn.Sequential(
            nn.Linear(width + 3 * channels + 1, width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, 2 F): the weighted sum of readouts of capsules, and the mean over the atoms."""
        found, scalars = self.capsules(batch)
        inputs = torch.cat([found.features, lengths(found.poses), found.presences.unsqueeze(-1)], dim=-1)
        summed = (self.readout(inputs) * (found.presences * found.shares).unsqueeze(-1)).sum(1)
        return torch.cat([summed, batch.mean(scalars, "atom")], dim=1)

    def capsules(self, batch: Batch) -> tuple[Capsules, Tensor]:
        """Capsules of n crystals after the capsule transformer, and invariant features of the atoms (N, F)."""
        scalars, tensors = self.atoms(batch)
        found = self.primary(scalars, tensors, batch)
        for exchange in self.exchanges:
            found = exchange(found)
        return found, scalars

    def atoms(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Invariant features (N, F) and spherical tensors (N, 9, C) of the atoms."""
        scalars = self.embedding(self.elements)[batch["numbers"]]
        composition = batch.mean(self.composition(scalars), "atom")
        gate = 2 * torch.sigmoid(self.gate(composition))[batch.owners["atom"]]
        distances, reach = batch["distances"][:, :-1], batch["distances"][:, -1:]
        edges = Neighbors(
            batch["neighbors"][:, :-1],
            expand_distances(distances, self.centers, self.step),
            envelope(distances / reach).unsqueeze(-1),
            harmonics(batch["vectors"][:, :-1]),
        )
        tensors: Tensor | None = None
        for layer in self.layers:
            scalars, tensors = layer(scalars, tensors, gate, edges)
        assert tensors is not None  # there is a layer
        return scalars, tensors


@dataclass
class Neighbors:
    """The k neighbours of N atoms.

    Attributes:
        neighbors: (N, k) atom indices.
        distances: (N, k, gaussians) expanded distances.
        weights: (N, k, 1) envelope.
        harmonics: (N, k, 9) spherical harmonics of the directions.
    """

    neighbors: Tensor
    distances: Tensor
    weights: Tensor
    harmonics: Tensor


def envelope(x: Tensor) -> Tensor:
    """(1 − x²)² of distances divided by that of the first neighbour left out: 1 at 0, 0 from 1 on.

    If a shell of equal distances is cut, its weight is 0, so it does not matter which of its atoms are included, and
    the weights are continuous when atoms move. At most 12 atoms can be equally near to another one if they are no
    closer to each other than to it (the kissing number), so with 12 or more neighbours one has a positive weight.
    """
    return (1 - x.clamp(max=1).square()).square()


class Interaction(nn.Module):
    """A layer of message passing with spherical tensors.

    a_i = Σ_j w_ij R_l(r_ij) ⊙ (W s_j ⊙ g) Y_l(r̂_ij): scalars s of the neighbours, gated by the composition, are
    multiplied with spherical harmonics of the directions. The tensors are a_i + P(L a_i, L' a_i) + K t_i with the
    tensor product P and the tensors t_i of the layer before; their lengths update the scalars. Tensors are coupled once
    per atom, not once per neighbour.

    Args:
        width: invariant features of an atom, F.
        channels: channels of the tensors, C.
        gaussians: features of a distance.
        first: whether this is the first layer, without tensors as input.
        dropout: share of hidden units dropped while training.
    """

    def __init__(self, width: int, channels: int, gaussians: int, *, first: bool, dropout: float) -> None:
        super().__init__()
        self.send = nn.Linear(width, channels)
        self.radial = nn.Sequential(
            nn.Linear(gaussians, RADIAL_WIDTH), nn.SiLU(), nn.Linear(RADIAL_WIDTH, len(SLICES) * channels)
        )
        self.norm = Rescale(channels)
        self.left, self.right = LinearByDegree(channels, channels), LinearByDegree(channels, channels)
        self.product = Product(channels, channels)
        self.keep = None if first else LinearByDegree(channels, channels)
        self.gate = Gate(channels, width)
        self.update = nn.Sequential(
            nn.LayerNorm(width + 3 * channels),
            nn.Linear(width + 3 * channels, 2 * width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, scalars: Tensor, tensors: Tensor | None, gate: Tensor, edges: Neighbors) -> tuple[Tensor, Tensor]:
        """Update the features of the atoms.

        Args:
            scalars: (N, F).
            tensors: (N, 9, C); None in the first layer.
            gate: (N, F) factors of the scalars, computed from the composition.
            edges: the neighbours.

        Returns:
            The scalars (N, F) and tensors (N, 9, C) of the next layer.
        """
        count, degree = edges.neighbors.shape
        sent = self.send(scalars * gate).index_select(0, edges.neighbors.reshape(-1)).view(count, degree, -1)
        sent = sent * edges.weights
        radial = self.radial(edges.distances).chunk(len(SLICES), dim=-1)
        gathered = [
            edges.harmonics[..., rows].transpose(1, 2) @ (sent * r) for rows, r in zip(SLICES, radial, strict=True)
        ]
        around = self.norm(torch.cat(gathered, dim=1) / degree**0.5)
        found = around + self.product(self.left(around), self.right(around))
        if self.keep is not None:
            found = found + self.keep(tensors)
        updated = scalars + self.update(torch.cat([scalars, lengths(found)], dim=-1))
        return updated, self.gate(found, scalars)
