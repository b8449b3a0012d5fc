"""NetworkModel: what all networks share. A network adds only its representation and its encoder."""

from __future__ import annotations

import dataclasses
import itertools
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import torch
from annotated_types import Ge, Interval
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.data.samples import Predictions
from crystalbench.errors import ConfigError
from crystalbench.models.hyperparameters import OneOf
from crystalbench.models.model import Invariance, Model, Needs
from crystalbench.models.standard import Standard
from crystalbench.models.training import TrainingOptions, flushed_subnormals, outputs, prepare_torch, train_network
from crystalbench.nn.batches import Batch, DeviceArrays
from crystalbench.targets import Kind

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples
    from crystalbench.representations import Arrays, Representation
    from crystalbench.targets import Target

Dropout = Annotated[float, Interval(ge=0, lt=1), FloatDistribution(0.0, 0.3)]
"""The declaration of a dropout rate, for networks that change the default."""


@dataclass
class NetworkModel(TrainingOptions, Model):
    """A neural network: an encoder from a batch to one embedding per crystal, with a shared head, loss and training.

    Regression targets are standardised by the mean and standard deviation of the rows to fit (`Standard`). The head is
    a multilayer perceptron; binary and multiclass targets are fitted by cross entropy.

    A subclass declares ``representation`` (a class attribute or property) and defines `encoder`.

    Embeddings should not grow with the cell: an encoder averages over atoms, so a prediction does not change when the
    cell is repeated. For properties per cell, ``readout="sum"`` multiplies the output of the head by the number of
    atoms N: the prediction is N · (m + s · head(embedding)), without a constant that does not grow with the cell. m is
    the sum of the targets over that of the atoms, and s the standard deviation of the targets from N · m, divided by
    the mean number of atoms. It is for regression only.

    Attributes:
        embedding_invariances: changes that leave the encoder's embeddings unchanged; not a hyperparameter.
        readout: ``mean`` over atoms, or ``sum`` over atoms for properties per cell.
        head_width: width of the head's hidden layers.
        head_layers: number of the head's hidden layers.
        dropout: share of the head's hidden units dropped while training.
    """

    needs: ClassVar[Needs] = Needs.STRUCTURE

    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset()

    readout: Annotated[str, OneOf(("mean", "sum"))] = "mean"
    head_width: Annotated[int, Ge(1), CategoricalDistribution((64, 128, 256))] = 128
    head_layers: Annotated[int, Ge(0), IntDistribution(1, 3)] = 1
    dropout: Dropout = 0.0

    @property
    def invariances(self) -> frozenset[Invariance]:
        """Those of the embedding; with a sum over atoms, predictions grow with the cell."""
        return self.embedding_invariances - ({Invariance.SUPERCELL} if self.readout == "sum" else set())

    def supports(self, kind: Kind) -> bool:
        """With a sum over atoms, only regression."""
        return super().supports(kind) and (self.readout == "mean" or kind is Kind.REGRESSION)

    @property
    @abstractmethod
    def representation(self) -> Representation:
        """The input of the encoder."""

    @abstractmethod
    def encoder(self) -> nn.Module:
        """Make a module from `Batch` to embeddings (n, d), with the attribute ``width`` = d."""

    def body(self) -> nn.Module:
        """Make the part of the network before the head."""
        return self.encoder()

    def network(self, target: Target) -> nn.Module:
        """Make the untrained network for a target: body and head.

        Raises:
            ConfigError: the readout is a sum, and the target is a class.
        """
        if not self.supports(target.kind) and self.readout == "sum":
            raise ConfigError(
                f"readout = 'sum' is for regression, but {target.name} is a {target.kind} target, and probabilities do "
                "not grow with the cell; use readout = 'mean'"
            )
        sizes = (target.outputs, self.head_width, self.head_layers)
        return _Network(self.body(), *sizes, self.dropout, extensive=self.readout == "sum")

    def fit_inputs(self, train: Samples) -> None:
        """Learn what `inputs` needs from the rows to fit; does nothing by default."""

    def inputs(self, samples: Samples) -> Arrays:
        """The network's input for n rows: the representation, and the sizes of the cells if the readout needs them."""
        arrays = samples.represent(self.representation)
        if self.readout == "sum":
            arrays = arrays.with_rows(sizes=self._standard.sizes(samples).astype(np.float32))
        return arrays

    @flushed_subnormals()
    def fit(self, train: Samples, valid: Samples) -> Self:
        """Train with early stopping on the validation part."""
        device = prepare_torch(self.runtime)
        target = self.target = train.target
        self._standard = Standard.fit(train, extensive=self.readout == "sum")
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
        """The trained network; None before `fit`."""
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
        return Predictions(self._standard.restored(raw[:, 0].numpy(), samples))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Weights, how targets were standardised, and the best epoch.

        A subclass that defines `fit_inputs` adds what it has learned.
        """
        weights = {f"network.{name}": tensor.cpu().numpy() for name, tensor in self._network.state_dict().items()}
        return weights, {"best_epoch": self.best_epoch} | dataclasses.asdict(self._standard)

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Make the network and load its weights. A subclass restores what `network` needs before it calls this."""
        device = prepare_torch(self.runtime)
        self._standard = Standard(**{f.name: facts[f.name] for f in dataclasses.fields(Standard) if f.name in facts})
        self.best_epoch = facts["best_epoch"]
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
        """Number of trainable parameters; None before `fit`."""
        if not hasattr(self, "_network"):
            return None
        return sum(p.numel() for p in self._network.parameters() if p.requires_grad)

    def _labels(self, samples: Samples, device: torch.device) -> Tensor:
        if self.target.kind is Kind.MULTICLASS:
            return torch.from_numpy(samples.targets.astype(np.int64)).to(device)
        standardised = self._standard.standardised(samples)
        return torch.from_numpy(standardised.astype(np.float32)[:, None]).to(device)


class _Network(nn.Module):
    """Body and head; if extensive, the output is multiplied by ``sizes`` of the batch."""

    def __init__(
        self, body: nn.Module, outputs: int, width: int, layers: int, dropout: float, *, extensive: bool
    ) -> None:
        super().__init__()
        self.body, self.extensive = body, extensive
        sizes = [int(body.width), *[width] * layers]  # type: ignore[arg-type]
        hidden = [
            module for a, b in itertools.pairwise(sizes) for module in (nn.Linear(a, b), nn.SiLU(), nn.Dropout(dropout))
        ]
        self.head = nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs))

    def forward(self, batch: Batch) -> Tensor:
        result: Tensor = self.head(self.body(batch))
        return result * batch["sizes"].unsqueeze(1) if self.extensive else result


def _loss(kind: Kind, regression: str) -> nn.Module:
    if kind is Kind.MULTICLASS:
        return nn.CrossEntropyLoss()
    if kind is Kind.BINARY:
        return nn.BCEWithLogitsLoss()
    return nn.L1Loss() if regression == "l1" else nn.HuberLoss()
