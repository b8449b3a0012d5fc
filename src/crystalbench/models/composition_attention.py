"""Attention over the elements of a composition."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn
from torch.nn import functional

from crystalbench.errors import ConfigError
from crystalbench.models.model import Invariance, Needs, Sees
from crystalbench.models.network import Dropout, NetworkModel
from crystalbench.representations import CRYSTAL, Arrays, ElementPairs, Layout
from crystalbench.representations.element_pairs import ELEMENT
from crystalbench.representations.element_vectors import ElementVectors, element_vectors

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples
    from crystalbench.nn.batches import Batch

SMALLEST = 1e-6
"""Fractions below this are encoded like this one."""
WAVES = 16
"""Cosines in each of the two encodings of a fraction."""


@dataclass
class CompositionAttention(NetworkModel):
    """A transformer over the elements of a composition, in the spirit of CrabNet (npj Comput. Mater. 7, 77, 2021).

    Each element of a composition is a token: a linear layer of its element vector, plus one of its fraction and of the
    logarithm of its fraction, both expanded in cosines. Tokens attend to each other, and the embedding is their mean,
    weighted by the fractions. It sees the elements and their fractions, and nothing else.

    Deviations from CrabNet: it is smaller; attention is weighted by the fractions, so that an element counts as much as
    there is of it, and splitting an element into two equal ones changes no message; elements are pooled before the
    head, where CrabNet averages predictions of the elements; the training is the shared one.

    Attributes:
        vectors: of the elements: ``properties`` (the one-hot properties that CGCNN reads) or ``matscholar`` (200
            numbers learned from abstracts).
        width: features of a token; a multiple of ``heads``.
        layers: number of transformer layers.
        heads: attention heads of a layer.
        token_dropout: share of the hidden units and of the messages dropped while training in each layer.
    """

    needs: ClassVar[Needs] = Needs.COMPOSITION
    version: ClassVar[int] = 1
    defaults_chosen_on: ClassVar[frozenset[str]] = frozenset(
        {"matbench_phonons", "matbench_jdft2d", "matbench_steels", "matbench_expt_gap"}
    )
    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)
    sees: ClassVar[Sees] = Sees.COMPOSITION

    vectors: Annotated[ElementVectors, CategoricalDistribution(("properties", "matscholar"))] = "properties"
    width: Annotated[int, Ge(1), CategoricalDistribution((64, 128, 256))] = 128
    layers: Annotated[int, Ge(1), IntDistribution(1, 4)] = 3
    heads: Annotated[int, Ge(1), CategoricalDistribution((2, 4, 8))] = 4
    token_dropout: Dropout = 0.1
    epochs: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise ConfigError(f"width = {self.width} must be a multiple of heads = {self.heads}")

    @property
    def representation(self) -> ElementPairs:
        """The elements and their fractions; pairs are not used."""
        return ElementPairs()

    def inputs(self, samples: Samples) -> Arrays:
        """Atomic numbers and fractions (n, k) of the elements, padded with zeros to the largest number of them."""
        ragged = super().inputs(samples)
        counts = np.diff(ragged.offsets[ELEMENT])
        place = np.arange(counts.max(initial=1)) < counts[:, None]
        values = {name: rows for name, rows in ragged.values.items() if ragged.layouts[name].level == CRYSTAL}
        for name in ("elements", "fractions"):
            values[name] = np.zeros(place.shape, ragged.values[name].dtype)
            values[name][place] = ragged.values[name]
        return Arrays(values, {name: Layout(CRYSTAL) for name in values}, {}, len(ragged))

    def encoder(self) -> nn.Module:
        """Tokens, attention and pooling."""
        return ElementAttention(self.vectors, self.width, self.layers, self.heads, self.token_dropout)


class ElementAttention(nn.Module):
    """Composition to embedding.

    Args:
        vectors: name of the element vectors.
        width: features of a token, and of the embedding.
        layers: number of transformer layers.
        heads: attention heads.
        dropout: in each layer.
    """

    table: Tensor

    def __init__(self, vectors: ElementVectors, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("table", torch.from_numpy(element_vectors(vectors)), persistent=False)
        self.element = nn.Linear(self.table.shape[1], width)
        self.fraction = nn.Linear(2 * WAVES, width, bias=False)
        self.layers = nn.ModuleList(_Layer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, width)."""
        fractions = batch["fractions"]
        tokens = self.element(self.table)[batch["elements"]] + self.fraction(_waves(fractions))
        bias = fractions.log()[:, None, None, :]  # no attention to padding, whose fraction is 0
        for layer in self.layers:
            tokens = layer(tokens, bias)
        return torch.einsum("nk,nkd->nd", fractions, self.norm(tokens))


class _Layer(nn.Module):
    """Attention and a feed-forward network, with normalised inputs and residual connections."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * width))
        self.messages = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout))
        self.update = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        """Tokens (n, k, width); the bias (n, 1, 1, k) is added to the logits of attention."""
        n, k, width = tokens.shape
        q, key, value = self.queries(tokens).reshape(n, k, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        read = functional.scaled_dot_product_attention(q, key, value, attn_mask=bias)
        tokens = tokens + self.messages(read.transpose(1, 2).reshape(n, k, width))
        result: Tensor = tokens + self.update(tokens)
        return result


def _waves(fractions: Tensor) -> Tensor:
    """Fractions (n, k), and their logarithms, in cosines (n, k, 2 · WAVES)."""
    logarithms = 1 - torch.log(fractions.clamp_min(SMALLEST)) / math.log(SMALLEST)
    numbers = math.pi * torch.arange(1, WAVES + 1, device=fractions.device)
    return torch.cat([torch.cos(x.unsqueeze(-1) * numbers) for x in (fractions, logarithms)], dim=-1)
