"""SEN: an equivariant capsule network on crystal graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Ge, Gt, Interval
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.errors import ConfigError
from crystalbench.models.devices import flushed_subnormals, prepare_torch
from crystalbench.models.model import Invariance, Sees
from crystalbench.models.network import Dropout, HeadDropout, NetworkModel
from crystalbench.models.training import WeightDecay
from crystalbench.nn.batches import DeviceArrays
from crystalbench.nn.capsules import CapsuleRouting, Capsules
from crystalbench.nn.edges import Segments
from crystalbench.nn.equivariant import SLICES, Gate, LinearByDegree, Product, Rescale, components, lengths
from crystalbench.nn.harmonic_sums import HarmonicSums
from crystalbench.nn.radial import expand_distances
from crystalbench.representations import OrbitGraph
from crystalbench.representations.element_features import element_features
from crystalbench.representations.quotient import SITE

if TYPE_CHECKING:
    from crystalbench.data.samples import Predictions, Samples
    from crystalbench.nn.batches import Batch

RADIAL_WIDTH = 32
BATCH = 512  # crystals in a batch of `SEN.explain`
Pooling = Literal["mean", "uniform", "learned", "agreement"]
ITERATIONS = {"uniform": 0, "learned": 1, "agreement": 3}
"""Iterations of the routing of atoms to capsules, by pooling; Sabour et al. (2017) use three."""


@dataclass
class SEN(NetworkModel):
    """Equivariant capsule network in the spirit of SEN (Liang et al., Nat. Commun. 14, 2023).

    Atoms exchange messages that are gated by the composition. From the directions of their neighbours they collect
    spherical tensors (scalars, vectors and tensors of degree 2), which rotate with the crystal. Atoms are then routed
    to capsules by agreement: each atom votes for each capsule, and capsules compete for atoms. A capsule has a
    presence, a feature and a pose, and the embedding is computed from their invariants. `explain` returns the capsules.

    Directions lower the error on inner folds; a gain from capsules over the mean over the atoms is not established (see
    the page of the model).

    The published network is called equivariant but sees distances only; `sen_published` reimplements it.

    Attributes:
        width: invariant features of an atom and of a capsule.
        channels: channels of the spherical tensors.
        layers: layers of message passing.
        capsules: number of capsules; without effect if ``pooling`` is ``mean``.
        pooling: of atoms: ``mean`` without capsules; capsules to which all atoms are coupled equally (``uniform``), by
            a learned function of each atom (``learned``), or by routing by agreement (``agreement``).
        lmax: largest degree of the spherical tensors; with 0, the network sees distances but no directions.
        neighbors: neighbours of each atom.
        cutoff: largest distance of the Gaussian expansion in Å.
        atom_dropout: share of the hidden units dropped while training in the updates of atoms and the readout of
            capsules.
    """

    version: ClassVar[int] = 3  # equal atoms are merged, and dropped out together
    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

    width: Annotated[int, Ge(1), CategoricalDistribution((32, 64, 128))] = 64
    channels: Annotated[int, Ge(1), CategoricalDistribution((8, 16, 32))] = 16
    layers: Annotated[int, Ge(1), IntDistribution(1, 4)] = 2
    capsules: Annotated[int, Ge(1), CategoricalDistribution((4, 8, 16))] = 8
    pooling: Pooling = "agreement"
    lmax: Annotated[int, Interval(ge=0, le=2)] = 2
    neighbors: Annotated[int, Ge(1), IntDistribution(12, 24)] = 16
    cutoff: Annotated[float, Gt(0)] = 8.0
    atom_dropout: Dropout = 0.1
    dropout: HeadDropout = 0.1
    weight_decay: WeightDecay = 0.1
    epochs: int = 150

    @property
    def sees(self) -> Sees:
        """Directions; without spherical tensors, distances only."""
        return Sees.EQUIVARIANT if self.lmax else Sees.STRUCTURE_AND_CHEMISTRY

    @property
    def representation(self) -> OrbitGraph:
        """Nearest neighbours with directions, of one atom of each orbit."""
        return OrbitGraph(neighbors=self.neighbors)

    def encoder(self) -> nn.Module:
        """Message passing, capsules and readout."""
        return SENEncoder(
            self.width,
            self.channels,
            self.layers,
            self.capsules,
            self.pooling,
            lmax=self.lmax,
            neighbors=self.neighbors,
            cutoff=self.cutoff,
            dropout=self.atom_dropout,
        )

    @flushed_subnormals()
    def explain(self, samples: Samples, *, trained: bool = True) -> CapsuleReading:
        """The capsules of n crystals in the fitted network.

        Args:
            samples: n crystals.
            trained: False for the same network with its initial weights: a control for what is read from capsules.

        Raises:
            ConfigError: the model is not fitted, or has no capsules.
        """
        encoder, device = self._encoder_with_capsules(), prepare_torch(self.runtime)
        if not trained:
            with self._seeded(device):
                encoder = _encoder_of(self.network(self.target).to(device))
        data = DeviceArrays(self.inputs(samples), device)
        with torch.no_grad():
            found = [(encoder.capsules(batch), batch["sites"]) for batch in data.batches(BATCH)]
        parts: dict[str, list[Tensor]] = {"couplings": [c.couplings[sites] for c, sites in found]}
        parts |= {name: [getattr(c, name) for c, _ in found] for name in ("shares", "presences", "features", "poses")}
        arrays: dict[str, npt.NDArray[Any]] = {name: torch.cat(rows).cpu().numpy() for name, rows in parts.items()}
        return CapsuleReading(ids=samples.ids, offsets=np.asarray(samples.crystals.offsets), **arrays)

    def predict_without(self, samples: Samples, capsule: int) -> Predictions:
        """Predictions of the fitted network if one of its capsules is deleted: the readout is the mean over the others.

        Args:
            samples: n crystals.
            capsule: number of the capsule, from 0.

        Raises:
            ConfigError: the model is not fitted, or has fewer than two capsules, or none of this number.
        """
        readout = self._encoder_with_capsules().readout
        assert readout is not None  # there are capsules
        count = readout.routing.count
        if not 0 <= capsule < count or count < 2:
            raise ConfigError(f"capsule {capsule} of {count} cannot be deleted; of two or more, number 0 is the first")
        readout.kept = [k for k in range(count) if k != capsule]
        try:
            return self.predict(samples)
        finally:
            readout.kept = None

    def _encoder_with_capsules(self) -> SENEncoder:
        """The encoder of the fitted network.

        Raises:
            ConfigError: the model is not fitted, or has no capsules.
        """
        if self.pooling == "mean":
            raise ConfigError("SEN with pooling = 'mean' has no capsules; choose another pooling and fit the model")
        if self.fitted_network is None:
            raise ConfigError("the model has to be fitted before its capsules can be read")
        return _encoder_of(self.fitted_network)


def _encoder_of(network: nn.Module) -> SENEncoder:
    return next(module for module in network.eval().modules() if isinstance(module, SENEncoder))


@dataclass(frozen=True, eq=False)
class CapsuleReading:
    """The K capsules of n crystals.

    Attributes:
        ids: (n,) the crystals.
        offsets: (n + 1,) crystal i has the rows ``offsets[i]:offsets[i + 1]`` of the couplings.
        couplings: (atoms, K) coupling of each atom to each capsule; rows sum to 1.
        shares: (n, K) mean coupling of the atoms of a crystal to each capsule; rows sum to 1.
        presences: (n, K) in [0, 1), the degree to which each capsule is present.
        features: (n, K, F) invariant features.
        poses: (n, K, 9, C) spherical tensors of degree 0, 1 and 2 (e3nn's order), which rotate with the crystal; fewer
            components with a smaller ``lmax``.
    """

    ids: npt.NDArray[np.str_]
    offsets: npt.NDArray[np.int64]
    couplings: npt.NDArray[np.float32]
    shares: npt.NDArray[np.float32]
    presences: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    poses: npt.NDArray[np.float32]

    def atoms_of(self, i: int) -> npt.NDArray[np.float32]:
        """Couplings (atoms of crystal i, K)."""
        return self.couplings[self.offsets[i] : self.offsets[i + 1]]


class SENEncoder(nn.Module):
    """Crystal graph with directions to embedding, through capsules.

    Args:
        width: invariant features of an atom and of a capsule, F; the embedding has 2 F, or F without capsules.
        channels: channels of the spherical tensors, C.
        layers: layers of message passing.
        capsules: number of capsules, K.
        pooling: of the atoms.
        lmax: largest degree of the spherical tensors.
        neighbors: neighbours of an atom.
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
        pooling: Pooling,
        *,
        lmax: int = 2,
        neighbors: int = 16,
        cutoff: float = 8.0,
        step: float = 0.2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.width, self.step, self.lmax = width if pooling == "mean" else 2 * width, step, lmax
        self.register_buffer("elements", torch.from_numpy(element_features()), persistent=False)
        self.register_buffer("centers", torch.arange(0, cutoff + step / 2, step), persistent=False)
        self.embedding = nn.Linear(self.elements.shape[1], width)
        self.composition = nn.Sequential(nn.Linear(width, width), nn.SiLU())
        self.gate = nn.Linear(width, width)
        self.layers = nn.ModuleList(
            Interaction(width, channels, len(self.centers), lmax, neighbors, first=k == 0, dropout=dropout)
            for k in range(layers)
        )
        self.readout = (
            None
            if pooling == "mean"
            else CapsuleReadout(width, channels, capsules, ITERATIONS[pooling], lmax, dropout=dropout)
        )

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings: (n, 2 F), the readout of the capsules and the mean over the atoms; only the mean without them."""
        scalars, tensors = self.sites(batch)
        mean = batch.mean(scalars, SITE, batch["multiplicities"])
        return mean if self.readout is None else torch.cat([self.readout(scalars, tensors, batch), mean], dim=1)

    def capsules(self, batch: Batch) -> Capsules:
        """Capsules of n crystals."""
        assert self.readout is not None  # there are capsules
        found: Capsules = self.readout.routed(*self.sites(batch), batch)
        return found

    def sites(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Invariant features (S, F) and spherical tensors ((lmax + 1)², S, C) of the first atom of each orbit."""
        of_elements = self.embedding(self.elements)
        scalars = of_elements[batch["numbers"]]
        composition = self.composition(of_elements)[batch["numbers"]]
        composition = batch.mean(composition, SITE, batch["multiplicities"])
        gate = 2 * torch.sigmoid(self.gate(composition))[batch.owners[SITE]]
        edges = Neighbors(
            HarmonicSums.of(
                Segments.of_owners(batch["sources"], len(scalars)), batch["harmonics"][:, : components(self.lmax)]
            ),
            batch["neighbors"],
            batch["shells"],
            expand_distances(batch["distances"], self.centers, self.step),
        )
        tensors: Tensor | None = None
        for layer in self.layers:
            scalars, tensors = layer(scalars, tensors, gate, edges)
        assert tensors is not None  # there is a layer
        return scalars, tensors


class CapsuleReadout(nn.Module):
    """Capsules of the atoms, and the mean over them of a function of features, lengths of poses and presence.

    Args:
        width: invariant features of an atom and of a capsule, F.
        channels: channels of the spherical tensors, C.
        capsules: number of capsules.
        iterations: of the routing.
        lmax: largest degree of the spherical tensors.
        dropout: share of hidden units dropped while training.

    Attributes:
        kept: numbers of the capsules that the mean is over; None for all of them.
    """

    kept: list[int] | None

    def __init__(self, width: int, channels: int, capsules: int, iterations: int, lmax: int, *, dropout: float) -> None:
        super().__init__()
        self.kept = None
        self.routing = CapsuleRouting(width, channels, capsules, iterations, lmax)
        invariants = width + (lmax + 1) * channels + 1
        self.function = nn.Sequential(
            nn.Linear(invariants, width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, scalars: Tensor, tensors: Tensor, batch: Batch) -> Tensor:
        """Sites with invariants (S, F) and spherical tensors ((lmax + 1)², S, C) to (n, F)."""
        found = self.routed(scalars, tensors, batch)
        inputs = torch.cat([found.features, lengths(found.poses.movedim(2, 0)), found.presences.unsqueeze(-1)], dim=-1)
        if self.kept is not None:
            inputs = inputs[:, self.kept]
        result: Tensor = self.function(inputs).mean(1)
        return result

    def routed(self, scalars: Tensor, tensors: Tensor, batch: Batch) -> Capsules:
        """Capsules of the atoms that the sites represent.

        Votes and their means are linear in the tensors, and the maps of channels commute with rotations. So the tensors
        of a site may be replaced by their mean over the orbit. The scalar product of a vote and a capsule stays the
        same, since a capsule is such a mean, which no operation of the point group changes.
        """
        means = [
            torch.einsum("sml,lsc->msc", batch[name][batch.owners[SITE]], tensors[rows])
            for name, rows in zip(("vector_means", "tensor_means"), SLICES[1:], strict=True)
            if rows.stop <= len(tensors)
        ]
        all_tensors = torch.cat([tensors[:1], *means])
        found: Capsules = self.routing(scalars, all_tensors, batch, SITE, batch["multiplicities"])
        return found


@dataclass
class Neighbors:
    """The neighbours of S sites.

    Attributes:
        sums: sums of messages times the spherical harmonics of the directions.
        neighbors: (edges,) sites.
        shells: (edges,) rows of the distances.
        distances: (shells, gaussians) expanded distances.
    """

    sums: HarmonicSums
    neighbors: Tensor
    shells: Tensor
    distances: Tensor


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
        lmax: largest degree of the tensors.
        neighbors: neighbours of an atom, by whose square root sums over them are divided.
        first: whether this is the first layer, without tensors as input.
        dropout: share of hidden units dropped while training.
    """

    def __init__(
        self, width: int, channels: int, gaussians: int, lmax: int, neighbors: int, *, first: bool, dropout: float
    ) -> None:
        super().__init__()
        self.neighbors = neighbors
        self.send = nn.Linear(width, channels)
        self.radial = nn.Sequential(
            nn.Linear(gaussians, RADIAL_WIDTH), nn.SiLU(), nn.Linear(RADIAL_WIDTH, (lmax + 1) * channels)
        )
        self.norm = Rescale(channels, lmax)
        self.left, self.right = (LinearByDegree(channels, channels, lmax) for _ in range(2))
        self.product = Product(channels, channels, lmax)
        self.keep = None if first else LinearByDegree(channels, channels, lmax)
        self.gate = Gate(channels, width, lmax)
        invariants = width + (lmax + 1) * channels
        self.update = nn.Sequential(
            nn.LayerNorm(invariants),
            nn.Linear(invariants, 2 * width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, scalars: Tensor, tensors: Tensor | None, gate: Tensor, edges: Neighbors) -> tuple[Tensor, Tensor]:
        """Update the features of the sites.

        Args:
            scalars: (S, F).
            tensors: ((lmax + 1)², S, C); None in the first layer.
            gate: (S, F) factors of the scalars, computed from the composition.
            edges: the neighbours.

        Returns:
            The scalars (S, F) and tensors of the next layer.
        """
        sent = self.send(scalars * gate).index_select(0, edges.neighbors)
        radial = (self.radial(edges.distances) / self.neighbors**0.5).index_select(0, edges.shells)
        messages = sent * radial.unflatten(1, (-1, sent.shape[1])).transpose(0, 1)
        around = self.norm(edges.sums(messages))
        found = around + self.product(self.left(around), self.right(around))
        if self.keep is not None:
            found = found + self.keep(tensors)
        updated = scalars + self.update(torch.cat([scalars, lengths(found)], dim=-1))
        return updated, self.gate(found, scalars)
