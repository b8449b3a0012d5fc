"""NetworkModel: what all networks share. A network adds only its representation and its encoder."""

from __future__ import annotations

import contextlib
import itertools
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import torch
from annotated_types import Ge, Interval
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.data.samples import Predictions, Samples
from crystalbench.models.hyperparameters import ActsIf, OneOf
from crystalbench.models.model import Invariance, Model, Needs
from crystalbench.models.training import (
    Part,
    TrainingOptions,
    best_epoch,
    flushed_subnormals,
    outputs,
    prepare_torch,
    train_network,
)
from crystalbench.nn.batches import Batch, DeviceArrays
from crystalbench.targets import Kind

if TYPE_CHECKING:
    from crystalbench.representations import Arrays, Representation
    from crystalbench.targets import Target

_HAS_HEAD = ActsIf(lambda _, others: others["head_layers"] > 0, "head_layers > 0")

Dropout = Annotated[float, Interval(ge=0, lt=1), FloatDistribution(0.0, 0.3)]
"""The declaration of a dropout rate."""

HeadDropout = Annotated[Dropout, _HAS_HEAD]
"""The declaration of the head's dropout rate, for networks that change the default."""


@dataclass
class NetworkModel(TrainingOptions, Model):
    """A neural network: an encoder from a batch to one embedding per crystal, with a shared head, loss and training.

    Regression targets are standardised by their mean and standard deviation over the rows to train on. The head is a
    multilayer perceptron; binary and multiclass targets are fitted by cross entropy.

    A subclass declares ``representation`` (a class attribute or property) and defines `encoder`.

    Embeddings should not grow with the cell: an encoder averages over atoms. For properties per cell,
    ``readout="sum"`` multiplies embeddings by the number of atoms in the cell, which turns means into sums.

    Attributes:
        embedding_invariances: changes that leave the encoder's embeddings unchanged; not a hyperparameter.
        readout: ``mean`` over atoms, or ``sum`` for properties per cell.
        head_width: width of the head's hidden layers.
        head_layers: number of the head's hidden layers.
        dropout: share of the head's hidden units dropped while training.
    """

    needs: ClassVar[Needs] = Needs.STRUCTURE
    # The shared training and the shapes of the networks were chosen on training parts of these tasks.
    defaults_chosen_on: ClassVar[frozenset[str]] = frozenset({"matbench_phonons", "matbench_jdft2d"})

    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset()

    readout: Annotated[str, OneOf(("mean", "sum"))] = "mean"
    head_width: Annotated[int, Ge(1), CategoricalDistribution((64, 128, 256)), _HAS_HEAD] = 128
    head_layers: Annotated[int, Ge(0), IntDistribution(1, 3)] = 1
    dropout: HeadDropout = 0.0

    @property
    def invariances(self) -> frozenset[Invariance]:
        """Those of the embedding; a sum over atoms grows with the cell."""
        return self.embedding_invariances - ({Invariance.SUPERCELL} if self.readout == "sum" else set())

    @property
    @abstractmethod
    def representation(self) -> Representation:
        """The input of the encoder."""

    @abstractmethod
    def encoder(self) -> nn.Module:
        """Make a module from `Batch` to embeddings (n, d), with the attribute ``width`` = d."""

    def body(self) -> nn.Module:
        """Make the part of the network before the head: the encoder and the readout."""
        return SumReadout(self.encoder()) if self.readout == "sum" else self.encoder()

    def network(self, target: Target) -> nn.Module:
        """Make the untrained network for a target: body and head."""
        return _Network(self.body(), target.outputs, self.head_width, self.head_layers, self.dropout)

    def fit_inputs(self, train: Samples) -> None:
        """Learn what `inputs` needs from the rows to fit; does nothing by default."""

    def inputs(self, samples: Samples) -> Arrays:
        """The network's input for n rows: the representation, and the number of atoms if the readout needs it."""
        arrays = samples.represent(self.representation)
        if self.readout == "sum":
            arrays = arrays.with_rows(atom_counts=samples.compositions.totals.astype(np.float32))
        return arrays

    @flushed_subnormals()
    def fit(self, train: Samples, valid: Samples) -> Self:
        """Train on the rows of both parts; ``stopping`` says what the validation part is used for."""
        device = prepare_torch(self.runtime)
        self.target = train.target
        loss = _loss(self.target.kind, self.loss)
        self.trained_epochs = self.epochs
        if self.stopping == "best":
            with self._seeded(device):
                network, part = self._prepared(train, device)
                self.trained_epochs = best_epoch(network, loss, part, self._part(valid, device), self, self.runtime)
        with self._seeded(device):
            self._network, part = self._prepared(Samples.concatenated([train, valid]), device)
            train_network(self._network, loss, part, self, self.runtime, self.trained_epochs)
        return self

    @property
    def fitted_network(self) -> nn.Module | None:
        """The trained network; None before `fit`."""
        return getattr(self, "_network", None)

    @flushed_subnormals()
    def predict(self, samples: Samples) -> Predictions:
        """Predict with the weights of the last epoch."""
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
        """Weights, mean and scale of the target, and the number of epochs.

        A subclass that defines `fit_inputs` adds what it has learned.
        """
        weights = {f"network.{name}": tensor.cpu().numpy() for name, tensor in self._network.state_dict().items()}
        return weights, {"mean": self._mean, "scale": self._scale, "epochs": self.trained_epochs}

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Make the network and load its weights. A subclass restores what `network` needs before it calls this."""
        device = prepare_torch(self.runtime)
        self._mean, self._scale, self.trained_epochs = facts["mean"], facts["scale"], facts["epochs"]
        weights = {
            name.removeprefix("network."): torch.from_numpy(np.array(array))
            for name, array in arrays.items()
            if name.startswith("network.")
        }
        with self._seeded(device):
            self._network = self.network(self.target)
        self._network.load_state_dict(weights)
        self._network.to(device).eval()

    @property
    def n_parameters(self) -> int | None:
        """Number of trainable parameters; None before `fit`."""
        if not hasattr(self, "_network"):
            return None
        return sum(p.numel() for p in self._network.parameters() if p.requires_grad)

    @contextlib.contextmanager
    def _seeded(self, device: torch.device) -> Iterator[None]:
        """Seed torch in this context, and restore its state afterwards."""
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.runtime.seed)
            yield

    def _prepared(self, train: Samples, device: torch.device) -> tuple[nn.Module, Part]:
        """Learn what inputs and labels need from the rows to train on, and make the untrained network."""
        self._mean, self._scale = _mean_and_scale(train.targets) if self.target.kind is Kind.REGRESSION else (0.0, 1.0)
        self.fit_inputs(train)
        return self.network(self.target).to(device), self._part(train, device)

    def _part(self, samples: Samples, device: torch.device) -> Part:
        return Part(DeviceArrays(self.inputs(samples), device), self._labels(samples, device))

    def _labels(self, samples: Samples, device: torch.device) -> Tensor:
        if self.target.kind is Kind.MULTICLASS:
            return torch.from_numpy(samples.targets.astype(np.int64)).to(device)
        standardised = (samples.targets - self._mean) / self._scale
        return torch.from_numpy(standardised.astype(np.float32)[:, None]).to(device)


class SumReadout(nn.Module):
    """Multiplies the embeddings of an encoder, which are means over atoms, by the number of atoms.

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


def _mean_and_scale(targets: np.ndarray) -> tuple[float, float]:
    scale = float(targets.std())
    return float(targets.mean()), scale if scale > 0 else 1.0


def _loss(kind: Kind, regression: str) -> nn.Module:
    if kind is Kind.MULTICLASS:
        return nn.CrossEntropyLoss()
    if kind is Kind.BINARY:
        return nn.BCEWithLogitsLoss()
    return nn.L1Loss() if regression == "l1" else nn.HuberLoss()
