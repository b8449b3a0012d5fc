"""Nested: a graph network whose edges exchange messages by angles, as on the line graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Interval
from e3nn import o3
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.models.merging import MergesEqualAtoms
from crystalbench.models.model import Invariance, Sees
from crystalbench.models.network import Dropout, HeadDropout, NetworkModel
from crystalbench.models.training import WeightDecay
from crystalbench.nn.edges import Segments
from crystalbench.nn.harmonic_sums import HarmonicSums
from crystalbench.nn.radial import expand_distances
from crystalbench.representations.element_features import element_features
from crystalbench.representations.nested_graph import NestedGraph
from crystalbench.representations.quotient import SITE

if TYPE_CHECKING:
    from crystalbench.nn.batches import Batch


@dataclass
class Nested(MergesEqualAtoms, NetworkModel):
    """Graph network with messages between edges that share an atom, in the manner of ALIGNN and coNGN.

    Edges have features of their own. In each layer, an edge i–j hears of the edges around both of its ends through a
    function of distances and of the angle between them; then atoms hear of their edges. ALIGNN (Choudhary and DeCost,
    npj Comput. Mater. 7, 185, 2021) and coNGN (Ruff et al., Digit. Discov. 3, 594, 2024) build the line graph for
    that, with one message for each pair of edges. Here the function of the angle is a polynomial,
    Σ_l f_l(e_ik) P_l(cos θ_jik), and by the addition theorem of spherical harmonics P_l is a product of harmonics of
    the two directions. So the edges around an atom are summed once, and read by each edge: the same messages as on the
    line graph, for a cost that grows with the number of edges, not of their pairs.

    It sees elements, distances and angles. Weights of neighbours end continuously, so that predictions are continuous
    when atoms move, and depend neither on the order of atoms nor on the choice of the cell.

    Attributes:
        width: features of an atom.
        edge_width: features of an edge.
        layers: layers of messages.
        degree: largest degree of the polynomial in the cosine of the angle; with 0, edges do not see angles.
        neighbors: neighbours of each atom.
        cutoff: largest distance of the Gaussian expansion in Å.
        edge_dropout: share of the hidden units dropped while training in the updates of edges and atoms.
    """

    version: ClassVar[int] = 3  # edges that symmetry relates are dropped out together
    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

    width: Annotated[int, Ge(1), CategoricalDistribution((32, 64, 128))] = 64
    edge_width: Annotated[int, Ge(1), CategoricalDistribution((16, 32, 64))] = 32
    layers: Annotated[int, Ge(1), IntDistribution(1, 4)] = 3
    degree: Annotated[int, Interval(ge=0, le=6), IntDistribution(1, 4)] = 3
    neighbors: Annotated[int, Ge(1), IntDistribution(12, 24)] = 16
    cutoff: Annotated[float, Gt(0)] = 8.0
    edge_dropout: Dropout = 0.1
    dropout: HeadDropout = 0.1
    weight_decay: WeightDecay = 0.1
    epochs: int = 150

    @property
    def sees(self) -> Sees:
        """Elements, distances and angles."""
        return Sees.STRUCTURE_AND_CHEMISTRY

    @property
    def representation(self) -> NestedGraph:
        """Sites and edges with the directions of their ends; those that symmetry relates are merged."""
        return NestedGraph(neighbors=self.neighbors, degree=self.degree, merged=self.merges_equal_atoms)

    def encoder(self) -> nn.Module:
        """Embeddings of atoms and edges, layers of messages and pooling."""
        return NestedEncoder(
            self.width, self.edge_width, self.layers, self.degree, cutoff=self.cutoff, dropout=self.edge_dropout
        )


class NestedEncoder(nn.Module):
    """Nested graph to embedding.

    Args:
        width: features of a site, F.
        edge_width: features of an edge, C; the embedding has F + C.
        layers: layers of messages.
        degree: largest degree in the cosine of the angle.
        cutoff: last Gaussian centre in Å.
        step: spacing and width of the Gaussians in Å.
        dropout: share of hidden units dropped while training.
    """

    elements: Tensor
    centers: Tensor

    def __init__(
        self,
        width: int,
        edge_width: int,
        layers: int,
        degree: int,
        *,
        cutoff: float = 8.0,
        step: float = 0.2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.width, self.step = width + edge_width, step
        self.register_buffer("elements", torch.from_numpy(element_features()), persistent=False)
        self.register_buffer("centers", torch.arange(0, cutoff + step / 2, step), persistent=False)
        self.site = nn.Linear(self.elements.shape[1], width)
        self.edge = nn.Sequential(nn.Linear(len(self.centers), edge_width), nn.SiLU())
        self.layers = nn.ModuleList(
            NestedLayer(width, edge_width, len(self.centers), degree, dropout) for _ in range(layers)
        )

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, F + C): means over the atoms, and over their edges."""
        radial = expand_distances(batch["distances"], self.centers, self.step)
        around = self.around(batch, radial)
        sites, edges = self.site(self.elements)[batch["numbers"]], self.edge(radial)
        for layer in self.layers:
            sites, edges = layer(sites, edges, around)
        pooled = torch.cat([sites, around.to_sites(edges)], dim=1)
        return batch.mean(pooled, SITE, batch["multiplicities"].to(pooled.dtype))

    def around(self, batch: Batch, radial: Tensor) -> Around:
        """What is around the sites and edges of a batch, with the expanded distances (E, gaussians)."""
        return Around.of(batch, radial)


@dataclass(frozen=True, eq=False)
class Around:
    """What is around S sites and E edges.

    Attributes:
        sources, neighbors: (E,) sites.
        weights: (E,) their sum over the edges of a site is 1.
        radial: (E, gaussians) expanded distances.
        by_source: the edges by site.
        harmonics: the sums over the edges of a site of messages times spherical harmonics.
        ends: the same for the 2 E ends of edges, first the near ones, each at its site. Only their transpose is used.
    """

    sources: Tensor
    neighbors: Tensor
    weights: Tensor
    radial: Tensor
    by_source: Segments
    harmonics: HarmonicSums
    ends: HarmonicSums

    @classmethod
    def of(cls, batch: Batch, radial: Tensor) -> Around:
        """From a batch of nested graphs."""
        sources, neighbors, harmonics = batch["sources"], batch["neighbors"], batch["harmonics"]
        segments = Segments.of_owners(sources, len(batch["numbers"]))
        owners, order = torch.sort(torch.cat([sources, neighbors]), stable=True)
        ends = HarmonicSums.of(
            Segments.of_owners(owners, len(batch["numbers"])),
            _legendre_factors(torch.cat([batch["near"], batch["far"]]), round(harmonics.shape[1] ** 0.5) - 1),
            order,
        )
        return cls(sources, neighbors, batch["weights"], radial, segments, HarmonicSums.of(segments, harmonics), ends)

    def to_sites(self, edges: Tensor) -> Tensor:
        """Weighted sums (S, d) of the edges (E, d) of each site."""
        return self.by_source.sum(edges, self.weights)

    def heard(self, messages: Tensor) -> Tensor:
        """What edges hear at both ends: Σ_k w_k messages[l, k] P_l(cos θ_ek) over the edges k there.

        By the addition theorem P_l(cos θ_ek) = Σ_m Y_lm(e) Y_lm(k) / (2 l + 1), sums over k do not depend on e.

        Args:
            messages: (degrees, E, C).

        Returns:
            (E, 2 degrees C).
        """
        found = self.ends.read(self.harmonics(messages))
        return found.view(len(found), 2, len(self.sources), -1).permute(2, 1, 0, 3).flatten(1)


def _legendre_factors(directions: Tensor, degree: int) -> Tensor:
    """Spherical harmonics (n, (degree + 1)²) of unit vectors (n, 3), divided by 2 l + 1."""
    degrees = list(range(degree + 1))
    found = o3.spherical_harmonics(degrees, directions, normalize=False, normalization="component")
    return torch.cat([part / (2 * l + 1) for l, part in enumerate(found.split([2 * l + 1 for l in degrees], 1))], 1)  # noqa: E741


class NestedLayer(nn.Module):
    """Messages between edges, then from edges to sites.

    Edge e hears Σ_k w_k (S e_k + S' h_k) ⊙ R_l(r_k) P_l(cos θ_ek) of the edges k around its near end, and the same of
    those around its far end, for each degree l and channel.

    Args:
        width: features of a site, F.
        edge_width: features of an edge, C.
        gaussians: features of a distance.
        degree: largest degree in the cosine of the angle.
        dropout: share of hidden units dropped while training.
    """

    def __init__(self, width: int, edge_width: int, gaussians: int, degree: int, dropout: float) -> None:
        super().__init__()
        self.degrees = degree + 1
        read = 2 * self.degrees * edge_width
        hidden = 2 * edge_width
        self.send_edge, self.send_site = nn.Linear(edge_width, edge_width), nn.Linear(width, edge_width, bias=False)
        self.radial = nn.Linear(gaussians, self.degrees * edge_width)
        self.norm = nn.LayerNorm(edge_width + read)
        self.from_edges = nn.Linear(edge_width + read, 2 * hidden)
        self.from_source = nn.Linear(width, 2 * hidden, bias=False)
        self.from_neighbor = nn.Linear(width, 2 * hidden, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.to_edge, self.to_site = nn.Linear(hidden, edge_width), nn.Linear(hidden, width)
        self.update = nn.Sequential(
            nn.LayerNorm(2 * width),
            nn.Linear(2 * width, 2 * width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, sites: Tensor, edges: Tensor, around: Around) -> tuple[Tensor, Tensor]:
        """Update sites (S, F) and edges (E, C)."""
        sent = self.send_edge(edges) + self.send_site(sites).index_select(0, around.neighbors)
        filters = self.radial(around.radial).unflatten(1, (self.degrees, -1)).transpose(0, 1)
        messages = sent * filters  # (degrees, E, C)
        hidden = self.from_edges(self.norm(torch.cat([edges, around.heard(messages)], dim=1)))
        hidden = hidden + self.from_source(sites).index_select(0, around.sources)
        hidden = hidden + self.from_neighbor(sites).index_select(0, around.neighbors)
        gates, values = hidden.chunk(2, dim=1)
        found = self.dropout(torch.sigmoid(gates) * nn.functional.silu(values))
        to_sites = self.to_site(around.to_sites(found))
        return sites + self.update(torch.cat([sites, to_sites], dim=1)), edges + self.to_edge(found)
