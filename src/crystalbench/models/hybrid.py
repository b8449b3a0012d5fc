"""Hybrids: a network with a bank of descriptors beside its embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from torch import Tensor, nn

from crystalbench.errors import ConfigError
from crystalbench.models.cgcnn import CGCNN
from crystalbench.models.columns import Imputation, Scaling, within_range
from crystalbench.models.diffraction_cnn import DiffractionCNN
from crystalbench.models.model import Invariance
from crystalbench.models.sen import SEN
from crystalbench.representations.descriptors import DescriptorBank

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples
    from crystalbench.models.network import NetworkModel
    from crystalbench.nn.batches import Batch
    from crystalbench.representations import Arrays


if TYPE_CHECKING:
    _Network = NetworkModel
else:  # no base, whose defaults would come before those of the network
    _Network = object


@dataclass
class WithDescriptors(_Network):
    """A network whose head reads a bank of descriptors beside the embedding of the crystal.

    Put before any network, it makes the hybrid of it: ``class Mine(WithDescriptors, MyNetwork)``. After S. Gong et
    al. (Sci. Adv. 9, eadi3245, 2023): descriptors join after pooling, through one layer of their own.

    Attributes:
        bank: bank of descriptors, ``gong28``, ``rich`` or ``atom_count``.
        descriptor_width: features that the descriptors' layer makes of them.
        descriptor_dropout: share of the descriptors hidden while training.
    """

    bank: Annotated[str, CategoricalDistribution(("gong28", "rich"))] = "rich"
    descriptor_width: Annotated[int, CategoricalDistribution((32, 64, 128))] = 64
    descriptor_dropout: Annotated[float, FloatDistribution(0.0, 0.5)] = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.descriptor_width < 1:
            raise ConfigError(f"descriptor_width = {self.descriptor_width}; it must be at least 1")
        if not 0 <= self.descriptor_dropout < 1:
            raise ConfigError(f"descriptor_dropout = {self.descriptor_dropout}; it must be in [0, 1)")
        self._bank = DescriptorBank(self.bank)

    @property
    def invariances(self) -> frozenset[Invariance]:
        """Rotation at most: banks hold the number of the space group and the lattice of the cell as given."""
        return super().invariances & {Invariance.ROTATION}

    def body(self) -> nn.Module:
        """The network's own body, and the descriptors beside it."""
        columns = len(self._bank.labels)
        return Beside(super().body(), columns, self.descriptor_width, self.descriptor_dropout)

    def fit_inputs(self, train: Samples) -> None:
        """Learn how to fill and scale the descriptors from the rows to fit."""
        super().fit_inputs(train)
        values = self._values(train)
        self._imputation = Imputation.fitted(values)
        self._scaling = Scaling.fitted(self._imputation(values))

    def inputs(self, samples: Samples) -> Arrays:
        """What the network reads, and the descriptors, filled and scaled."""
        descriptors = self._scaling(self._imputation(self._values(samples)))
        return super().inputs(samples).with_rows(descriptors=descriptors.astype(np.float32))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What the network learned, and how descriptors are filled and scaled."""
        arrays, facts = super().state()
        arrays["descriptors.medians"] = self._imputation.medians
        arrays["descriptors.means"], arrays["descriptors.scales"] = self._scaling.means, self._scaling.scales
        return arrays, facts

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Inverse of `state`."""
        self._imputation = Imputation(arrays["descriptors.medians"])
        self._scaling = Scaling(arrays["descriptors.means"], arrays["descriptors.scales"])
        super().restore(arrays, facts)

    def _values(self, samples: Samples) -> np.ndarray:
        return within_range(samples.represent(self._bank).values["descriptors"])


class Beside(nn.Module):
    """An embedding with a layer of descriptors beside it.

    Args:
        body: batch to embeddings (n, body.width).
        columns: descriptors.
        width: features made of them.
        dropout: share of the descriptors hidden while training.
    """

    def __init__(self, body: nn.Module, columns: int, width: int, dropout: float) -> None:
        super().__init__()
        self.body = body
        self.descriptors = nn.Sequential(nn.Dropout(dropout), nn.Linear(columns, width), nn.SiLU())
        self.width = int(body.width) + width  # type: ignore[arg-type]

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, width)."""
        return torch.cat([self.body(batch), self.descriptors(batch["descriptors"])], dim=1)


@dataclass
class Hybrid(WithDescriptors, CGCNN):
    """CGCNN with a bank of descriptors beside its embedding: de-CGCNN (S. Gong et al., Sci. Adv., 2023)."""


@dataclass
class HybridSEN(WithDescriptors, SEN):
    """SEN with a bank of descriptors beside its embedding."""


@dataclass
class HybridDiffraction(WithDescriptors, DiffractionCNN):
    """A diffraction network with a bank of descriptors beside its embedding."""
