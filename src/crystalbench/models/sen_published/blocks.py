"""The layers of `sen_published`: message passing, composition, Set2Set and part capsules."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from crystalbench.data.elements import MAX_Z
from crystalbench.models.sen_published.passes import FastSELU, attend, gated
from crystalbench.nn.edges import NEIGHBORS, SHELLS, Edges, Segments
from crystalbench.representations.element_pairs import ELEMENT
from crystalbench.representations.quotient import SITE
from crystalbench.representations.sphere_graph import EDGE

if TYPE_CHECKING:
    from crystalbench.nn.batches import Batch

CAPSULES = 16
"""Part capsules."""
POSE = 6
"""Parameters of a capsule's affine transformation of the plane."""
FEATURES = 16
"""Further features of a capsule."""

_RESIDUAL = 0.6  # α of the published network
_POSITIONS = 16  # the published image of 16 × 16 becomes 4 × 4 after two strides of two
_EMPTY = 1e-2  # weight of "no neighbour"; a neighbour well inside the cutoff has weight 1
_LEAST = 1e-30  # smallest weight whose logarithm is taken, for neighbours beyond the cutoff


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer whose initialisation keeps the variance if selu follows (Klambauer et al., NeurIPS 2017)."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=inputs**-0.5)
    nn.init.zeros_(layer.bias)
    return layer


def dense(*sizes: int) -> nn.Sequential:
    """Linear layers between these widths, each followed by selu."""
    return nn.Sequential(*(m for a, b in itertools.pairwise(sizes) for m in (linear(a, b), FastSELU())))


def edge_weights(distances: Tensor, cutoff: float, softening: float) -> Tensor:
    """Weights of neighbours: 1, falling to 0 as half a cosine over the last ``softening`` Å before the cutoff.

    Args:
        distances: (edges,) in Å.
        cutoff: distance in Å at which the weight is zero.
        softening: in Å.
    """
    inside = ((cutoff - distances) / softening).clamp(0, 1)
    return 0.5 - 0.5 * torch.cos(math.pi * inside)


@dataclass(frozen=True, eq=False)
class Graph:
    """The indices and weights of a batch of quotient graphs, for message passing and readouts.

    Attributes:
        edges: the edges.
        of_sources: the edges of each site.
        sites: the sites of each crystal.
        multiplicities: (sites,) float, number of atoms that a site represents.
        atoms: (n,) float, number of atoms of each crystal.
        weights: (edges,) sum of the weights of the neighbours of one atom that an edge represents.
        neighbor_shares: (edges,) weights of edges in the mean over an atom's neighbours.
        site_shares: (sites,) weights of sites in the mean over the atoms of a crystal.
        edge_shares: (sites,) weights of the sites' means over neighbours in the mean over all edges of a crystal.
    """

    edges: Edges
    of_sources: Segments
    sites: Segments
    multiplicities: Tensor
    atoms: Tensor
    weights: Tensor
    neighbor_shares: Tensor
    site_shares: Tensor
    edge_shares: Tensor

    @classmethod
    def of(cls, batch: Batch, cutoff: float, softening: float) -> Graph:
        """Compute indices and weights.

        Args:
            batch: quotients of sphere graphs.
            cutoff: distance in Å at which the weight of a neighbour is zero.
            softening: distance in Å before the cutoff over which neighbours fade out.
        """
        edges, sources = Edges.of(batch), batch["sources"]
        of_sources, sites = Segments.of(sources, edges.offsets), Segments.of_level(batch, SITE)
        multiplicities = batch["multiplicities"].to(edges.counts.dtype)
        atoms = batch.sum(multiplicities, SITE)
        weights = edge_weights(batch["distances"], cutoff, softening).index_select(0, batch["shells"])
        weights = weights * edges.counts[:, 0]
        sums = weights.new_full((len(multiplicities),), _EMPTY).index_add_(0, sources, weights)
        of_site = multiplicities * sums
        return cls(
            edges=edges,
            of_sources=of_sources,
            sites=sites,
            multiplicities=multiplicities,
            atoms=atoms,
            weights=weights,
            neighbor_shares=weights / sums.index_select(0, sources),
            site_shares=multiplicities / atoms.index_select(0, sites.owners),
            edge_shares=of_site / batch.sum(of_site, SITE).index_select(0, sites.owners),
        )

    def sets(self, batch: Batch) -> tuple[Segments, Tensor, Tensor]:
        """Arguments of `Set2Set` for rows (sites + edges, F): sets of all atoms, then of all edges of each crystal.

        Each atom adds one empty row, "no neighbour", to the edges, so that repeating the cell changes nothing.
        """
        edges, size = Segments.of_level(batch, EDGE), batch.size
        offsets = torch.cat([self.sites.offsets, edges.offsets[1:] + len(self.multiplicities)])
        segments = Segments.of(torch.cat([self.sites.owners, edges.owners + size]), offsets)
        atoms = self.multiplicities.index_select(0, self.of_sources.owners)
        empty = torch.cat([self.atoms.new_zeros(size), _EMPTY * self.atoms])
        return segments, torch.cat([self.multiplicities, self.weights * atoms]), empty


class MessagePassing(nn.Module):
    """One round of MEGNet (Chen et al., Chem. Mater. 31, 3564, 2019): update edges, then atoms, then the state.

    e' = φ_e(v_source, v_neighbor, e, u), v' = φ_v(⟨e'⟩, v, u), u' = φ_u(⟨e'⟩, ⟨v'⟩, u), and each is added with the
    factor 0.6. φ is a dense layer followed by `gated`. Before it, v, e and u are normalised over the features of a row;
    otherwise updates would multiply from round to round. φ_e is applied in four parts: those of v once per site, that
    of u once per crystal, and in the first round that of e once per shell, which is the same function with fewer
    operations. Means are those of the complete graph with weighted neighbours; an atom without neighbours has the mean
    zero.

    Args:
        width: features of atoms, edges and states, F.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.edge = linear(4 * width, 2 * width)
        self.atom = linear(3 * width, 2 * width)
        self.state = linear(3 * width, 2 * width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(
        self, sites: Tensor, edges: Tensor, states: Tensor, graph: Graph, *, of_shells: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Update atoms, edges and states.

        Args:
            sites: (sites, F) features of the atoms.
            edges: (edges, F), or (shells, F) with ``of_shells``.
            states: (n, F).
            graph: the batch.
            of_shells: whether edges depend on their shell only, as in the first round.

        Returns:
            (sites, F), (edges, F) and (n, F).
        """
        v, e, u = (norm(rows) for norm, rows in zip(self.norms, (sites, edges, states), strict=True))
        new_edges = gated(self._edge_sums(v, e, u, graph, of_shells))
        means = graph.of_sources.sum(new_edges, graph.neighbor_shares)
        new_sites = gated(self.atom(torch.cat([means, v, u.index_select(0, graph.sites.owners)], dim=1)))
        mean_edges = graph.sites.sum(means, graph.edge_shares)
        mean_sites = graph.sites.sum(new_sites, graph.site_shares)
        new_states = gated(self.state(torch.cat([mean_edges, mean_sites, u], dim=1)))
        return (
            torch.add(sites, new_sites, alpha=_RESIDUAL),
            torch.add(graph.edges.read(edges, SHELLS) if of_shells else edges, new_edges, alpha=_RESIDUAL),
            torch.add(states, new_states, alpha=_RESIDUAL),
        )

    def _edge_sums(self, sites: Tensor, edges: Tensor, states: Tensor, graph: Graph, of_shells: bool) -> Tensor:
        """W [v_source, v_neighbor, e, u] + b: (edges, 2 F)."""
        of_source, of_neighbor, of_edge, of_state = self.edge.weight.chunk(4, dim=1)
        crystals = functional.linear(states, of_state, self.edge.bias)
        sources = functional.linear(sites, of_source) + crystals.index_select(0, graph.sites.owners)
        table = [sources, functional.linear(sites, of_neighbor)]
        if of_shells:
            return graph.edges.read(torch.cat([*table, functional.linear(edges, of_edge)]))
        read = graph.edges.read(torch.cat(table), last=NEIGHBORS)
        return read.addmm_(edges, of_edge.t())  # in place: nothing else needs what was read


class Set2Set(nn.Module):
    """Set2Set (Vinyals, Bengio and Kudlur, ICLR 2016): a readout of sets by repeated attention.

    (q, r) = 0; then, in each step, q = LSTM([q, r]) and r = Σ_i softmax_i(m_i · q) m_i with m_i = W x_i + b. The
    softmax is over the rows of one set, so that repeating all of them changes nothing. W is applied to q and r instead
    of each row, and multiplied with the LSTM's matrices, which is the same function. The Set2Set of PyTorch Geometric
    has neither weights of rows nor W.

    Args:
        width: features of a row, F.
        steps: number of steps.
    """

    def __init__(self, width: int, steps: int = 3) -> None:
        super().__init__()
        self.steps = steps
        self.project = nn.Linear(width, width)
        self.lstm = nn.LSTMCell(2 * width, width)

    def forward(self, rows: Tensor, segments: Segments, weights: Tensor, empty: Tensor) -> Tensor:
        """Read (rows, F) of each set: (n, 2 F).

        Args:
            rows: features.
            segments: the rows of each set.
            weights: (rows,) weights of the rows.
            empty: (n,) weight of a further row without features in each set.
        """
        # The hidden state of the LSTM is the query. At first, query and result are zero.
        (of_query, of_result), of_hidden = self.lstm.weight_ih.chunk(2, dim=1), self.lstm.weight_hh
        both = torch.cat([of_query + of_hidden, of_result @ self.project.weight], dim=1)
        first = (self.lstm.bias_ih + self.lstm.bias_hh).unsqueeze(0)
        later = torch.addmv(first[0], of_result, self.project.bias)
        logs = weights.clamp(min=_LEAST).log(), empty.log()
        query, memory = _lstm(first, torch.zeros_like(first[:, : rows.shape[1]]))
        result = attend(rows, (query @ self.project.weight).expand(len(empty), -1), segments, *logs)
        query = query.expand(len(empty), -1)
        for _ in range(self.steps - 1):
            gates = functional.linear(torch.cat([query, result], dim=1), both, later)
            query, memory = _lstm(gates, memory)
            result = attend(rows, query @ self.project.weight, segments, *logs)
        return torch.cat([query, self.project(result)], dim=1)


def _lstm(gates: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Output and cell state of an LSTM from the logits of its gates (n, 4 F), in the order of `nn.LSTMCell`."""
    enter, forget, candidate, out = gates.chunk(4, dim=1)
    memory = torch.sigmoid(forget) * memory + torch.sigmoid(enter) * torch.tanh(candidate)
    return torch.sigmoid(out) * torch.tanh(memory), memory


class CompositionEncoder(nn.Module):
    """Roost (Goodall and Lee, Nat. Commun. 11, 6280, 2020): message passing between the elements of a composition.

    x_i ← norm(x_i + M Σ_j a_ij h(x_i, x_j)), where a is the softmax over elements, weighted by their fractions, of a
    linear function of h; three rounds share their weights. The result is a linear function of the attention-weighted
    sum of a further function of x_i. Without the normalisation (over each element's features), updates multiply from
    round to round, and gates computed from the result saturate.

    Args:
        width: features of an element, and of the result.
        rounds: of message passing.
    """

    def __init__(self, width: int, rounds: int = 3) -> None:
        super().__init__()
        self.rounds = rounds
        self.embedding = nn.Embedding(MAX_Z + 1, width)
        self.start = nn.Linear(width + 1, width)
        self.norm = nn.LayerNorm(width)
        self.pair = nn.Linear(2 * width, width)
        self.pair_logit = nn.Linear(width, 1)
        self.message = nn.Linear(width, width)
        self.pool = nn.Linear(width, width)
        self.pool_logit = nn.Linear(width, 1)
        self.result = nn.Linear(width, width)

    def forward(self, batch: Batch) -> Tensor:
        """Compositions (n, width) of a batch of `ElementPairs`."""
        own, other, fractions = batch["own"], batch["other"], batch["fractions"]
        elements_of, pairs_of = Segments.of_level(batch, ELEMENT), Segments.of_owners(own, len(fractions))
        logs = fractions.log()
        logs_of_pairs = logs.index_select(0, other)
        start = torch.cat([self.embedding(batch["elements"]), fractions.unsqueeze(1)], dim=1)
        elements = self.norm(self.start(start))
        of_own, of_other = self.pair.weight.chunk(2, dim=1)
        for _ in range(self.rounds):
            pairs = functional.linear(elements, of_own, self.pair.bias).index_select(0, own)
            pairs += functional.linear(elements, of_other).index_select(0, other)
            attended = _attended(functional.silu(pairs), self.pair_logit, pairs_of, logs_of_pairs)
            elements = self.norm(elements + self.message(attended))
        pooled = functional.silu(self.pool(elements))
        result: Tensor = self.result(_attended(pooled, self.pool_logit, elements_of, logs))
        return result


def _attended(rows: Tensor, logit: nn.Linear, segments: Segments, log_weights: Tensor) -> Tensor:
    """Attention-weighted sums of rows. The bias of the linear map to logits is left out: no softmax depends on it."""
    none = log_weights.new_full((len(segments.offsets) - 1,), -torch.inf)
    return attend(rows, logit.weight.expand(len(none), -1), segments, log_weights, none)


@dataclass
class PartReading:
    """The part capsules of n crystals.

    Attributes:
        poses: (n, 16, 6) an affine transformation of the plane for each capsule, as the rows of a (2, 3) matrix.
        features: (n, 16, 16) further features.
        presences: (n, 16) softmax over the capsules.
        values: (n, 16) one value for each capsule, computed from pose and features.
    """

    poses: Tensor
    features: Tensor
    presences: Tensor
    values: Tensor


class PartCapsules(nn.Module):
    """Part capsules of the stacked capsule autoencoder (Kosiorek et al., NeurIPS 2019), as used in SEN.

    A dense layer maps a vector to 16 positions. At each, a linear map gives pose, features and logit of presence of
    every capsule, and attention over positions averages them. The average is taken before the map, since the map is
    linear and attention sums to 1. Presences are a softmax over capsules.

    Args:
        width: features of the vector.
        noise: a uniform random number in [−noise, noise] is added to logits of presence while training.
    """

    def __init__(self, width: int, noise: float) -> None:
        super().__init__()
        self.noise, self.channels = noise, max(1, width // 2)
        self.spread = dense(width, _POSITIONS * self.channels)
        self.parts = nn.Linear(self.channels, CAPSULES * (POSE + FEATURES + 1))
        self.position_logits = nn.Linear(self.channels, CAPSULES)
        self.value = nn.Linear(POSE + FEATURES, 1)

    def forward(self, vectors: Tensor) -> PartReading:
        """Capsules of vectors (n, width)."""
        positions = self.spread(vectors).view(len(vectors), _POSITIONS, self.channels)
        attention = torch.softmax(self.position_logits(positions), dim=1)
        attended = torch.bmm(attention.transpose(1, 2), positions).transpose(0, 1)  # (16, n, channels)
        weight = self.parts.weight.view(CAPSULES, -1, self.channels)
        bias = self.parts.bias.view(CAPSULES, 1, -1)
        seen = torch.baddbmm(bias, attended, weight.transpose(1, 2)).transpose(0, 1)
        poses, features, logits = torch.split(seen, [POSE, FEATURES, 1], dim=-1)
        if self.training and self.noise:
            logits = logits + self.noise * (2 * torch.rand_like(logits, memory_format=torch.contiguous_format) - 1)
        poses = affine(poses)
        values = self.value(torch.cat([poses, features], dim=-1)).squeeze(-1)
        return PartReading(poses, features, torch.softmax(logits.squeeze(-1), dim=-1), values)


def affine(parameters: Tensor) -> Tensor:
    """Affine transformations of the plane (..., 6), as rows of (2, 3) matrices, from six free parameters (..., 6).

    The transformation is a rotation by 2π θ, a scaling by selu + 0.01, a shear by tanh 5·, and a translation by
    tanh 5·. The order of the parameters is scale x, scale y, θ, shear, translation x, translation y.
    """
    scales = functional.selu(parameters[..., :2]) + 1e-2
    scale_x, scale_y = scales.unbind(-1)
    shear, shift_x, shift_y = torch.tanh(5 * parameters[..., 3:]).unbind(-1)
    angle = 2 * math.pi * parameters[..., 2]
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [
        scale_x * cos + shear * scale_y * sin,
        shear * scale_y * cos - scale_x * sin,
        shift_x,
        scale_y * sin,
        scale_y * cos,
        shift_y,
    ]
    return torch.stack(rows, dim=-1)
