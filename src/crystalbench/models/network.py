"""NetworkModel: what every network shares. A network adds only its representation and its encoder."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.data.samples import Predictions
from crystalbench.errors import ConfigError
from crystalbench.models.model import Invariance, Model, Needs
from crystalbench.models.training import TrainingOptions, flushed_subnormals, outputs, prepare_torch, train_network
from crystalbench.nn.batches import Batch, DeviceArrays
from crystalbench.targets import Kind

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples
    from crystalbench.representations import Arrays, Representation
    from crystalbench.targets import Target

READOUTS = ("mean", "sum")
DROPOUT = FloatDistribution(0.0, 0.3)
"""Search space, for networks that change the default alone."""


@dataclass
class NetworkModel(TrainingOptions, Model):
    """A neural network: an encoder from batch to one embedding per crystal, and the head, loss and training of all.

    Regression targets are standardised by the mean and standard deviation of the training part. The head is a
    multilayer perceptron; binary and multiclass targets are fitted with cross entropy.

    A subclass declares ``representation`` (a class attribute or property) and defines `encoder`.

    Encoders give embeddings that do not grow with the cell, such as means over atoms. ``readout="sum"`` multiplies them
    by the number of atoms in the cell, which turns means into sums, for properties per cell.

    Attributes:
        embedding_invariances: what the encoder's embeddings do not depend on; not a hyperparameter.
        readout: ``mean`` over atoms, or ``sum`` for properties per cell.
        head_width: width of the head's hidden layers.
        head_layers: number of the head's hidden layers.
        dropout: share of the head's hidden units dropped while training.
    """

    needs: ClassVar[Needs] = Needs.STRUCTURE

    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset()

    readout: str = "mean"
    head_width: Annotated[int, CategoricalDistribution((64, 128, 256))] = 128
    head_layers: Annotated[int, IntDistribution(1, 3)] = 1
    dropout: Annotated[float, DROPOUT] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head_width <= 0 or self.head_layers < 0:
            raise ConfigError(
                f"head_width = {self.head_width} and head_layers = {self.head_layers}; they must be positive"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout = {self.dropout}; it must be in [0, 1)")
        if self.readout not in READOUTS:
            raise ConfigError(f"readout = {self.readout!r}; it must be one of {', '.join(READOUTS)}")

    @property
    def invariances(self) -> frozenset[Invariance]:
        """Those of the embedding; a sum over atoms grows with the cell."""
        return self.embedding_invariances - ({Invariance.SUPERCELL} if self.readout == "sum" else set())

    @property
    @abstractmethod
    def representation(self) -> Representation:
        """What the encoder reads."""

    @abstractmethod
    def encoder(self) -> nn.Module:
        """A module from `Batch` to embeddings (n, d), with the attribute ``width`` = d."""

    def body(self) -> nn.Module:
        """What stands before the head: the encoder, with the readout; a module like that of `encoder`."""
        return Summed(self.encoder()) if self.readout == "sum" else self.encoder()

    def network(self, target: Target) -> nn.Module:
        """Body and head for a target; not trained."""
        return _Network(self.body(), target.outputs, self.head_width, self.head_layers, self.dropout)

    def fit_inputs(self, train: Samples) -> None:
        """Learn from the rows to fit what `inputs` needs to know; nothing by default."""

    def inputs(self, samples: Samples) -> Arrays:
        """What the network reads of n rows: the representation, and the number of atoms where the readout needs it."""
        arrays = samples.represent(self.representation)
        if self.readout == "sum":
            arrays = arrays.with_rows(atom_counts=samples.compositions.totals.astype(np.float32))
        return arrays

    @flushed_subnormals()
    def fit(self, train: Samples, valid: Samples) -> Self:
        """Train with early stopping on the validation part."""
        device = prepare_torch(self.runtime)
        target = self.target = train.target
        self._mean, self._scale = _standard(train.targets) if target.kind is Kind.REGRESSION else (0.0, 1.0)
        self.fit_inputs(train)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.runtime.seed)
            self._network = self.network(target).to(device)
            self.best_epoch = train_network(
                self._network,
                _loss(target.kind, self.loss),
                DeviceArrays(self.inputs(train), device),
                self._labels(train, device),
                DeviceArrays(self.inputs(valid), device),
                self._labels(valid, device),
                self,
                self.runtime,
            )
        return self

    @property
    def fitted_network(self) -> nn.Module | None:
        """The network after `fit`; None before."""
        return getattr(self, "_network", None)

    @flushed_subnormals()
    def predict(self, samples: Samples) -> Predictions:
        """Predict with the weights of the best epoch."""
        if not len(samples):  # some networks cannot read an empty batch
            return Predictions(np.zeros((0, len(self.target.classes)) if self.target.kind is Kind.MULTICLASS else 0))
        device = prepare_torch(self.runtime)
        data = DeviceArrays(self.inputs(samples), device)
        raw = torch.cat([output for _, output in outputs(self._network, data)]).cpu().double()
        if self.target.kind is Kind.MULTICLASS:
            return Predictions(torch.softmax(raw, 1).numpy())
        if self.target.kind is Kind.BINARY:
            return Predictions(torch.sigmoid(raw[:, 0]).numpy())
        return Predictions(raw[:, 0].numpy() * self._scale + self._mean)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Weights, the scale of the target, and the best epoch. What `fit_inputs` learns is added by who defines it."""
        weights = {f"network.{name}": tensor.cpu().numpy() for name, tensor in self._network.state_dict().items()}
        return weights, {"mean": self._mean, "scale": self._scale, "best_epoch": self.best_epoch}

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Build the network and give it the weights. What `network` needs to know has to be restored before."""
        device = prepare_torch(self.runtime)
        self._mean, self._scale, self.best_epoch = facts["mean"], facts["scale"], facts["best_epoch"]
        weights = {
            name.removeprefix("network."): torch.from_numpy(np.array(array))
            for name, array in arrays.items()
            if name.startswith("network.")
        }
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            self._network = self.network(self.target)
        self._network.load_state_dict(weights)
        self._network.to(device).eval()

    @property
    def n_parameters(self) -> int | None:
        """Trainable parameters."""
        if not hasattr(self, "_network"):
            return None
        return sum(p.numel() for p in self._network.parameters() if p.requires_grad)

    def _labels(self, samples: Samples, device: torch.device) -> Tensor:
        if self.target.kind is Kind.MULTICLASS:
            return torch.from_numpy(samples.targets.astype(np.int64)).to(device)
        standard = (samples.targets - self._mean) / self._scale
        return torch.from_numpy(standard.astype(np.float32)[:, None]).to(device)


class Summed(nn.Module):
    """An encoder whose embeddings, which are means over atoms, are multiplied by the number of atoms.

    Args:
        encoder: batch to embeddings (n, width).
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = encoder.width

    def forward(self, batch: Batch) -> Tensor:
        """Embeddings (n, width)."""
        summed: Tensor = self.encoder(batch) * batch["atom_counts"].unsqueeze(1)
        return summed


class _Network(nn.Module):
    def __init__(self, body: nn.Module, outputs: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.body = body
        sizes = [int(body.width), *[width] * layers]  # type: ignore[arg-type]
        hidden = [
            module for a, b in itertools.pairwise(sizes) for module in (nn.Linear(a, b), nn.SiLU(), nn.Dropout(dropout))
        ]
        self.head = nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs))

    def forward(self, batch: Batch) -> Tensor:
        result: Tensor = self.head(self.body(batch))
        return result


def _standard(targets: np.ndarray) -> tuple[float, float]:
    scale = float(targets.std())
    return float(targets.mean()), scale if scale > 0 else 1.0


def _loss(kind: Kind, regression: str) -> nn.Module:
    if kind is Kind.MULTICLASS:
        return nn.CrossEntropyLoss()
    if kind is Kind.BINARY:
        return nn.BCEWithLogitsLoss()
    return nn.L1Loss() if regression == "l1" else nn.HuberLoss()
