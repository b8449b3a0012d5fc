"""Hybrids: networks whose head also reads a bank of descriptors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Interval
from optuna.distributions import CategoricalDistribution, FloatDistribution
from torch import Tensor, nn

from crystalbench.models.cgcnn import CGCNN
from crystalbench.models.columns import Exchanged, Imputation, Scaling, within_range
from crystalbench.models.diffraction.spectrum import DiffractionSpectrum
from crystalbench.models.hyperparameters import OneOf
from crystalbench.models.model import Invariance, Sees
from crystalbench.models.nested import Nested
from crystalbench.models.sen import SEN
from crystalbench.representations.descriptors import BANKS, DescriptorBank

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples
    from crystalbench.models.network import NetworkModel
    from crystalbench.nn.batches import Batch
    from crystalbench.representations import Arrays


SHUFFLED = "gong28_shuffled"
"""The bank ``gong28`` with the descriptors of other crystals: the control of a gain by descriptors."""

_NOTHING_NEW = frozenset(("atom_count", SHUFFLED))
"""Banks that say nothing of the material."""

if TYPE_CHECKING:
    _Network = NetworkModel
else:  # NetworkModel as base would reset the defaults of the network to its own
    _Network = object


@dataclass
class WithDescriptors(_Network):
    """A mixin for networks: the head reads a bank of descriptors in addition to the embedding of the crystal.

    Placed before any network, it makes a hybrid of it: ``class Mine(WithDescriptors, MyNetwork)``. As in S. Gong et al.
    (Sci. Adv. 9, eadi3245, 2023), the descriptors pass through a separate layer and are concatenated to the
    embedding after pooling.

    Attributes:
        bank: a bank of `DescriptorBank`, or ``gong28_shuffled``, a control with the ``gong28`` of other crystals.
        descriptor_width: width of the descriptors' layer.
        descriptor_dropout: share of the descriptors dropped while training.
    """

    bank: Annotated[str, OneOf((*BANKS, SHUFFLED)), CategoricalDistribution(("gong28", "rich"))] = "rich"
    descriptor_width: Annotated[int, Ge(1), CategoricalDistribution((32, 64, 128))] = 64
    descriptor_dropout: Annotated[float, Interval(ge=0, lt=1), FloatDistribution(0.0, 0.5)] = 0.2

    @property
    def invariances(self) -> frozenset[Invariance]:
        """At most rotation: banks contain the number of the space group, and the lattice of the cell as given."""
        return super().invariances & {Invariance.ROTATION}

    @property
    def sees(self) -> Sees:
        """The network's input with descriptors, or what the network sees if it is pretrained or undeclared.

        The number of atoms alone adds nothing, and neither do the descriptors of other crystals.
        """
        alone = super().sees
        unchanged = self.bank in _NOTHING_NEW or alone in (Sees.PRETRAINED, Sees.UNDECLARED)
        return alone if unchanged else Sees.WITH_DESCRIPTORS

    def body(self) -> nn.Module:
        """Make the body of the network, with the descriptors concatenated."""
        return ConcatenatedDescriptors(super().body(), self._columns, self.descriptor_width, self.descriptor_dropout)

    def fit_inputs(self, train: Samples) -> None:
        """Learn how to impute and scale the descriptors from the rows to fit."""
        super().fit_inputs(train)
        if self.bank == SHUFFLED:
            self._exchanged = Exchanged(self._computed(train))
        values = self._values(train)
        self._imputation = Imputation.fit(values)
        self._scaling = Scaling.fit(self._imputation(values))

    def inputs(self, samples: Samples) -> Arrays:
        """The network's own input, and the descriptors, imputed and scaled."""
        descriptors = self._scaling(self._imputation(self._values(samples)))
        return super().inputs(samples).with_rows(descriptors=descriptors.astype(np.float32))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What the network has learned, and medians and scaling of the descriptors."""
        arrays, facts = super().state()
        arrays["descriptors.medians"] = self._imputation.medians
        if self.bank == SHUFFLED:
            arrays["descriptors.pool"] = self._exchanged.pool
        arrays |= {f"descriptors.{field.name}": getattr(self._scaling, field.name) for field in fields(Scaling)}
        return arrays, facts

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Inverse of `state`."""
        self._imputation = Imputation(arrays["descriptors.medians"])
        if self.bank == SHUFFLED:
            self._exchanged = Exchanged(arrays["descriptors.pool"])
        self._scaling = Scaling(**{field.name: arrays[f"descriptors.{field.name}"] for field in fields(Scaling)})
        super().restore(arrays, facts)

    @property
    def _bank(self) -> DescriptorBank:
        return DescriptorBank("gong28" if self.bank == SHUFFLED else self.bank)

    @property
    def _columns(self) -> int:
        """Number of descriptors."""
        return len(self._bank.labels)

    def _values(self, samples: Samples) -> np.ndarray:
        """Descriptors (n, d) as computed, or exchanged; NaN where one is missing."""
        return self._exchanged(samples.crystals) if self.bank == SHUFFLED else self._computed(samples)

    def _computed(self, samples: Samples) -> np.ndarray:
        return within_range(samples.represent(self._bank).values["descriptors"])


class ConcatenatedDescriptors(nn.Module):
    """The embeddings of a network, concatenated with a layer that reads descriptors.

    Args:
        body: batch to embeddings (n, body.width).
        columns: number of descriptors.
        width: width of the descriptors' layer.
        dropout: share of the descriptors dropped while training.
    """

    def __init__(self, body: nn.Module, columns: int, width: int, dropout: float) -> None:
        super().__init__()
        self.body = body
        self.descriptors = nn.Sequential(nn.Dropout(dropout), nn.Linear(columns, width), nn.SiLU())
        self.width = int(body.width) + width  # type: ignore[arg-type]

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, body.width + width)."""
        return torch.cat([self.body(batch), self.descriptors(batch["descriptors"])], dim=1)


@dataclass
class Hybrid(WithDescriptors, CGCNN):
    """CGCNN with a bank of descriptors: de-CGCNN (S. Gong et al., Sci. Adv. 9, eadi3245, 2023)."""


@dataclass
class HybridSEN(WithDescriptors, SEN):
    """SEN with a bank of descriptors."""


@dataclass
class HybridNested(WithDescriptors, Nested):
    """The nested graph network with a bank of descriptors."""


@dataclass
class HybridDiffraction(WithDescriptors, DiffractionSpectrum):
    """The network on the power spectrum of diffraction patterns with a bank of descriptors."""
