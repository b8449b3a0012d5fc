"""The network of `SEN`: messages with spherical tensors, capsules and their readout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from crystalbench.nn.capsules import CapsuleRouting, Capsules
from crystalbench.nn.edges import Segments
from crystalbench.nn.equivariant import SLICES, Gate, LinearByDegree, Product, Rescale, components, lengths
from crystalbench.nn.harmonic_sums import HarmonicSums
from crystalbench.nn.radial import expand_distances
from crystalbench.representations.element_features import element_features
from crystalbench.representations.quotient import SITE

if TYPE_CHECKING:
    from crystalbench.nn.batches import Batch

RADIAL_WIDTH = 32
Pooling = Literal["mean", "uniform", "learned", "agreement"]
ITERATIONS = {"uniform": 0, "learned": 1, "agreement": 3}
"""Iterations of the routing of atoms to capsules, by pooling; Sabour et al. (2017) use three."""


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
