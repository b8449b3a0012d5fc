"""The parts of `sen_published`: message passing, composition, Set2Set and part capsules."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from crystalbench.elements import MAX_Z

if TYPE_CHECKING:
    from crystalbench.models.batches import Batch

CAPSULES = 16
"""Part capsules."""
POSE = 6
"""Parameters of a capsule's affine transformation of the plane."""
FEATURES = 16
"""Further features of a capsule."""

_RESIDUAL = 0.6  # α of the published network
_POSITIONS = 16  # the published image of 16 × 16 becomes 4 × 4 after two strides of two
_EMPTY = 1e-2  # weight of having no neighbour, against 1 for a neighbour well inside the cutoff
_LEAST = 1e-30  # weight of a neighbour beyond the cutoff where its logarithm is taken


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear map that keeps the variance where selu follows (Klambauer et al., NeurIPS 2017)."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=inputs**-0.5)
    nn.init.zeros_(layer.bias)
    return layer


def dense(*sizes: int) -> nn.Sequential:
    """Linear maps between these widths, each followed by selu."""
    return nn.Sequential(*(m for a, b in itertools.pairwise(sizes) for m in (linear(a, b), nn.SELU())))


def edge_weights(distances: Tensor, cutoff: float, softening: float) -> Tensor:
    """Weights of neighbours: 1, falling to 0 as half a cosine over the last ``softening`` Å before the cutoff.

    Args:
        distances: (edges,) in Å.
        cutoff: where the weight is zero, in Å.
        softening: in Å.
    """
    inside = ((cutoff - distances) / softening).clamp(0, 1)
    return 0.5 - 0.5 * torch.cos(math.pi * inside)


@dataclass
class Graph:
    """What message passing needs to know about a batch.

    Attributes:
        batch: the crystals.
        weights: (edges, 1) weights of neighbours.
        sums: (atoms, 1) sums of the weights of each atom's neighbours.
    """

    batch: Batch
    weights: Tensor
    sums: Tensor

    @classmethod
    def of(cls, batch: Batch, cutoff: float, softening: float) -> Graph:
        """From a batch of a sphere graph."""
        weights = edge_weights(batch["distances"], cutoff, softening).unsqueeze(1)
        sums = weights.new_zeros(len(batch["numbers"]), 1).index_add(0, batch["sources"], weights)
        return cls(batch, weights, sums)

    def sum_to_atoms(self, edges: Tensor) -> Tensor:
        """Weighted sums (atoms, d) of each atom's edges (edges, d)."""
        zeros = edges.new_zeros(len(self.sums), edges.shape[1])
        return zeros.index_add(0, self.batch["sources"], edges * self.weights)


def gated(sums: Tensor) -> Tensor:
    """Values times attention: selu(h ⊙ sigmoid(a)) of (h, a) (rows, 2 F): (rows, F).

    The published network sums twelve such pairs, computed by a convolution over inputs laid out as an image, and its
    attention is a softmax over the F features, under which most of an update vanishes.
    """
    values, logits = sums.chunk(2, dim=-1)
    return functional.selu(values * torch.sigmoid(logits))


class MessagePassing(nn.Module):
    """One loop of MEGNet (Chen et al., Chem. Mater. 31, 3564, 2019): edges, then atoms, then the state.

    e' = φ_e(v_source, v_neighbor, e, u), v' = φ_v(⟨e'⟩, v, u), u' = φ_u(⟨e'⟩, ⟨v'⟩, u), and each is added with the
    factor 0.6. φ is a dense layer followed by `gated`; v, e and u are normalised before it, over the features of a row,
    or loops would multiply each other. φ_e is applied in four parts: those of v and u once per atom and once per
    crystal, the same mathematics with fewer operations. Means over neighbours are weighted; an atom without neighbours
    has the mean zero.

    Args:
        width: features of atoms, edges and states, F.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.edge = linear(4 * width, 2 * width)
        self.atom = linear(3 * width, 2 * width)
        self.state = linear(3 * width, 2 * width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, atoms: Tensor, edges: Tensor, states: Tensor, graph: Graph) -> tuple[Tensor, Tensor, Tensor]:
        """Updated atoms (atoms, F), edges (edges, F) and states (n, F)."""
        batch = graph.batch
        v, e, u = (norm(rows) for norm, rows in zip(self.norms, (atoms, edges, states), strict=True))
        new_edges = gated(self._edge_sums(v, e, u, batch))
        totals = graph.sum_to_atoms(new_edges)
        of_atoms = torch.cat([totals / (graph.sums + _EMPTY), v, u.index_select(0, batch.owners["atom"])], dim=1)
        new_atoms = gated(self.atom(of_atoms))
        mean_edges = batch.mean(totals, "atom") / (batch.mean(graph.sums, "atom") + _EMPTY)
        new_states = gated(self.state(torch.cat([mean_edges, batch.mean(new_atoms, "atom"), u], dim=1)))
        return (
            torch.add(atoms, new_atoms, alpha=_RESIDUAL),
            torch.add(edges, new_edges, alpha=_RESIDUAL),
            torch.add(states, new_states, alpha=_RESIDUAL),
        )

    def _edge_sums(self, atoms: Tensor, edges: Tensor, states: Tensor, batch: Batch) -> Tensor:
        """W [v_source, v_neighbor, e, u] + b: (edges, 2 F)."""
        of_source, of_neighbor, of_edge, of_state = self.edge.weight.chunk(4, dim=1)
        crystals = functional.linear(states, of_state, self.edge.bias)
        sources = functional.linear(atoms, of_source) + crystals.index_select(0, batch.owners["atom"])
        sums = sources.index_select(0, batch["sources"])
        sums += functional.linear(atoms, of_neighbor).index_select(0, batch["neighbors"])
        return sums.addmm_(edges, of_edge.t())  # in place: nothing else needs the gathered rows


class Set2Set(nn.Module):
    """Set2Set (Vinyals, Bengio and Kudlur, ICLR 2016): a query that looks at a set a few times.

    (q, r) = 0; then, step by step, q = LSTM([q, r]) and r = Σ_i softmax_i(m_i · q) m_i with m_i = W x_i + b. The
    softmax is over the rows of one crystal, so that repeating all of them changes nothing. W is applied to q and to r
    and not to each row: the same mathematics. PyTorch Geometric's has neither weights of rows nor W.

    Args:
        width: features of a row, F.
        steps: number of looks.
    """

    def __init__(self, width: int, steps: int = 3) -> None:
        super().__init__()
        self.steps = steps
        self.project = nn.Linear(width, width)
        self.lstm = nn.LSTMCell(2 * width, width)

    def forward(self, rows: Tensor, batch: Batch, level: str, weights: Tensor | None = None) -> Tensor:
        """Read (rows, F) of each crystal: (n, 2 F).

        Args:
            rows: features.
            batch: to which they belong.
            level: of the rows.
            weights: (rows, 1) weights; with them, a further row without features stands for having no neighbour.
        """
        query = result = rows.new_zeros(batch.size, rows.shape[1])
        memory = torch.zeros_like(query)
        offsets = None if weights is None else weights[:, 0].clamp(min=_LEAST).log()
        for _ in range(self.steps):
            query, memory = self.lstm(torch.cat([query, result], dim=1), (query, memory))
            asked = (query @ self.project.weight).index_select(0, batch.owners[level])
            result = self.project(_attend(rows, (rows * asked).sum(1), batch, level, offsets))
        return torch.cat([query, result], dim=1)


def _attend(rows: Tensor, logits: Tensor, batch: Batch, level: str, offsets: Tensor | None) -> Tensor:
    """Σ_i a_i x_i (n, F) with a the softmax of logits (rows,) over each crystal.

    With offsets (rows,), the logarithms of weights, the softmax goes over a row of zeros, too. It counts once per atom,
    so that nothing changes when the cell is repeated.
    """
    owners = batch.owners[level]
    empty = None
    if offsets is not None:
        logits = logits + offsets
        empty = (_EMPTY * batch.counts["atom"]).log()
    start = logits.new_full((batch.size,), -math.inf) if empty is None else empty
    largest = start.scatter_reduce(0, owners, logits.detach(), "amax")
    powers = (logits - largest.index_select(0, owners)).exp()
    total = batch.sum(powers, level)
    if empty is not None:
        total = total + (empty - largest).exp()
    return batch.sum(rows * (powers / total.index_select(0, owners)).unsqueeze(1), level)


class CompositionEncoder(nn.Module):
    """Roost (Goodall and Lee, Nat. Commun. 11, 6280, 2020): elements of a composition tell each other of themselves.

    x_i ← norm(x_i + M Σ_j a_ij h(x_i, x_j)), where a is the softmax over elements, weighted by their fractions, of a
    linear function of h; three rounds share their weights. The result is linear in the sum of one more function of x_i
    under one more such attention. Without the normalisation (of each element's features) rounds multiply each other and
    gates made of the result are soon open or closed for good.

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
        """Compositions (n, width)."""
        numbers, fractions = composition_of(batch)
        weights = fractions.log()  # -inf where there are fewer elements, which no attention reaches
        elements = self.norm(self.start(torch.cat([self.embedding(numbers), fractions.unsqueeze(-1)], dim=-1)))
        of_own, of_other = self.pair.weight.chunk(2, dim=1)
        for _ in range(self.rounds):
            own = functional.linear(elements, of_own, self.pair.bias).unsqueeze(2)
            pairs = functional.silu(own + functional.linear(elements, of_other).unsqueeze(1))  # (n, k, k, width)
            attention = torch.softmax(self.pair_logit(pairs).squeeze(-1) + weights.unsqueeze(1), dim=-1)
            elements = self.norm(elements + self.message(torch.einsum("nij,nijd->nid", attention, pairs)))
        pooled = functional.silu(self.pool(elements))
        attention = torch.softmax(self.pool_logit(pooled).squeeze(-1) + weights, dim=-1)
        result: Tensor = self.result(torch.einsum("ni,nid->nd", attention, pooled))
        return result


def composition_of(batch: Batch) -> tuple[Tensor, Tensor]:
    """Atomic numbers (n, k) and atomic fractions (n, k) of the crystals' elements, the most frequent one first.

    k is the largest number of elements in a crystal of the batch; where there are fewer, fractions are zero.
    """
    keys = batch.owners["atom"] * (MAX_Z + 1) + batch["numbers"]
    ones = torch.ones_like(keys, dtype=torch.float32)
    amounts = ones.new_zeros(batch.size * (MAX_Z + 1)).index_add(0, keys, ones).view(batch.size, -1)
    most = int((amounts > 0).sum(1).max())
    amounts, numbers = amounts.sort(dim=1, descending=True, stable=True)
    return numbers[:, :most], amounts[:, :most] / batch.counts["atom"].unsqueeze(1)


@dataclass
class Capsules:
    """What the part capsules say of n crystals.

    Attributes:
        poses: (n, 16, 6) the affine transformation of the plane of each capsule, the rows of its matrix (2, 3).
        features: (n, 16, 16) further features.
        presences: (n, 16) shares of the capsules, which sum to 1.
        values: (n, 16) what each capsule says of the property.
    """

    poses: Tensor
    features: Tensor
    presences: Tensor
    values: Tensor


class PartCapsules(nn.Module):
    """Part capsules after the stacked capsule autoencoder (Kosiorek et al., NeurIPS 2019), as far as SEN uses them.

    A vector is spread over 16 positions. At each, a linear map gives pose, feature and logit of presence of every
    capsule, and attention over positions sums them. Presences are a softmax over capsules.

    Args:
        width: features of the vector.
        noise: logits of presence are moved by a uniform random number in [−noise, noise] while training.
    """

    def __init__(self, width: int, noise: float) -> None:
        super().__init__()
        self.noise, self.channels = noise, max(1, width // 2)
        self.spread = dense(width, _POSITIONS * self.channels)
        self.parts = nn.Linear(self.channels, CAPSULES * (POSE + FEATURES + 1))
        self.position_logits = nn.Linear(self.channels, CAPSULES)
        self.value = nn.Linear(POSE + FEATURES, 1)

    def forward(self, vectors: Tensor) -> Capsules:
        """Capsules of vectors (n, width)."""
        positions = self.spread(vectors).view(len(vectors), _POSITIONS, self.channels)
        attention = torch.softmax(self.position_logits(positions), dim=1)
        parts = self.parts(positions).view(len(vectors), _POSITIONS, CAPSULES, -1)
        seen = torch.einsum("npk,npkd->nkd", attention, parts)
        poses, features, logits = torch.split(seen, [POSE, FEATURES, 1], dim=-1)
        if self.training and self.noise:
            logits = logits + self.noise * (2 * torch.rand_like(logits) - 1)
        poses = affine(poses)
        values = self.value(torch.cat([poses, features], dim=-1)).squeeze(-1)
        return Capsules(poses, features, torch.softmax(logits.squeeze(-1), dim=-1), values)


def affine(parameters: Tensor) -> Tensor:
    """Affine transformations of the plane (..., 6), the rows of (2, 3) matrices, of six free parameters (..., 6).

    A rotation by 2π θ, then a scaling by selu + 0.01, then a shear of tanh 5·, and a translation of tanh 5·; parameters
    come as scale x, scale y, θ, shear, translation x, translation y.
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
