"""NetworkModel: what all networks share. A network adds only its representation and its encoder."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Ge, Interval
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch import Tensor, nn

from crystalbench.data.samples import Predictions, Samples
from crystalbench.errors import ConfigError
from crystalbench.models.devices import flushed_subnormals, prepare_torch
from crystalbench.models.hyperparameters import ActsIf, OneOf
from crystalbench.models.model import Invariance, Model, Needs, Runtime, in_unit_of_target, stage_of
from crystalbench.models.standard import Standard
from crystalbench.models.training import Part, TrainingOptions, best_epoch, outputs, train_network
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

    Regression targets are standardised by their mean and standard deviation over the rows to train on (`Standard`). The
    head is a multilayer perceptron; binary and multiclass targets are fitted by cross entropy.

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
    version: ClassVar[int] = 2  # trained on all rows
    # The shared training and the shapes of the networks were chosen on training parts of these tasks.
    defaults_chosen_on: ClassVar[frozenset[str]] = frozenset({"matbench_phonons", "matbench_jdft2d"})

    embedding_invariances: ClassVar[frozenset[Invariance]] = frozenset()

    readout: Annotated[str, OneOf(("mean", "sum"))] = "mean"
    head_width: Annotated[int, Ge(1), CategoricalDistribution((64, 128, 256)), _HAS_HEAD] = 128
    head_layers: Annotated[int, Ge(0), IntDistribution(1, 3)] = 1
    dropout: HeadDropout = 0.0

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
        """Train on the rows of both parts; ``stopping`` says what the validation part is used for."""
        device = prepare_torch(self.runtime)
        self.target = train.target
        loss, runtime = _loss(self.target.kind, self.loss), self.runtime
        self.trained_epochs = self.epochs
        if self.stopping == "best":
            with self._seeded(device):
                network, part = self._prepared(train, device)
                self.trained_epochs = best_epoch(network, loss, part, self._part(valid, device), self, self._choosing())
            runtime = dataclasses.replace(runtime, progress=stage_of(runtime.progress, self.epochs, 0))
        with self._seeded(device):
            self._network, part = self._prepared(Samples.concatenated([train, valid]), device)
            train_network(self._network, loss, part, self, runtime, self.trained_epochs)
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
        return Predictions(self._standard.restored(raw[:, 0].numpy(), samples))

    @flushed_subnormals()
    def embed(self, samples: Samples) -> npt.NDArray[np.float64]:
        """What the head reads (n, d): the output of the encoder, of a hybrid with the layer of its descriptors."""
        body = self._network.get_submodule("body")
        if not len(samples):
            return np.zeros((0, int(body.width)))  # type: ignore[arg-type]
        data = DeviceArrays(self.inputs(samples), prepare_torch(self.runtime))
        return torch.cat([found for _, found in outputs(body, data)]).cpu().double().numpy()

    def untrained(self, train: Samples) -> Self:
        """A network with the initial weights of a fit to these rows, and the scales of its inputs and targets."""
        model = type(self).from_configuration(self.configuration())
        model.runtime, model.target, model.trained_epochs = self.runtime, train.target, 0
        device = prepare_torch(self.runtime)
        with self._seeded(device):
            model._network, _ = model._prepared(train, device)
        return model

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Weights, how targets were standardised, and the number of epochs.

        A subclass that defines `fit_inputs` adds what it has learned.
        """
        weights = {f"network.{name}": tensor.cpu().numpy() for name, tensor in self._network.state_dict().items()}
        return weights, {"epochs": self.trained_epochs} | dataclasses.asdict(self._standard)

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Make the network and load its weights. A subclass restores what `network` needs before it calls this."""
        device = prepare_torch(self.runtime)
        self._standard = Standard(**{f.name: facts[f.name] for f in dataclasses.fields(Standard) if f.name in facts})
        self.trained_epochs = facts["epochs"]
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

    def _choosing(self) -> Runtime:
        """The runtime for choosing the number of epochs: validation errors in the target's unit, its own checkpoint."""
        checkpoint = self.runtime.checkpoint
        return dataclasses.replace(
            self.runtime,
            progress=stage_of(in_unit_of_target(self.runtime.progress, self._standard.scale), 0, self.epochs),
            checkpoint=None if checkpoint is None else checkpoint.stage("choosing"),
        )

    @contextlib.contextmanager
    def _seeded(self, device: torch.device) -> Iterator[None]:
        """Seed torch in this context, and restore its state afterwards."""
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.runtime.seed)
            yield

    def _prepared(self, train: Samples, device: torch.device) -> tuple[nn.Module, Part]:
        """Learn what inputs and labels need from the rows to train on, and make the untrained network."""
        self._standard = Standard.fit(train, extensive=self.readout == "sum")
        self.fit_inputs(train)
        return self.network(self.target).to(device), self._part(train, device)

    def _part(self, samples: Samples, device: torch.device) -> Part:
        return Part(DeviceArrays(self.inputs(samples), device), self._labels(samples, device))

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
