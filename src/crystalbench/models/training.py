"""The training loop that all networks share: optimiser, schedule, choice of the number of epochs.

The learning rate follows torch's ``LambdaLR`` with a factor of our own. ``SequentialLR`` of ``LinearLR`` and
``CosineAnnealingLR`` gives the same curve, but computes each rate from the one before: in 4,000 steps nearly all rates
differ in their last digits (relative difference up to 3e-15), which would change every trained network. ``OneCycleLR``
has a different warm-up.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Interval
from optuna.distributions import CategoricalDistribution, FloatDistribution
from torch import Tensor, nn

from crystalbench.errors import CrystalBenchError, DataError
from crystalbench.models.hyperparameters import ActsIf, Configurable, OneOf
from crystalbench.models.saved_fit import SavedFit
from crystalbench.targets import Kind

if TYPE_CHECKING:
    from crystalbench.models.model import Runtime
    from crystalbench.nn.batches import Batch, DeviceArrays

_FOR_REGRESSION = ActsIf(lambda kind, _: kind is Kind.REGRESSION, "regression only")

WeightDecay = Annotated[float, Ge(0), FloatDistribution(1e-6, 1.0, log=True)]
"""The declaration of the weight decay, for networks that change the default."""


@dataclass
class TrainingOptions(Configurable):
    """Hyperparameters of the training that all networks share.

    Attributes:
        learning_rate: largest learning rate of AdamW (Loshchilov and Hutter, ICLR 2019).
        weight_decay: AdamW's decoupled weight decay of matrices; parameters with a single axis, such as biases and most
            scales of normalisations, have none.
        batch_size: largest number of crystals in a batch.
        epochs: largest number of passes over the rows; the learning rate falls over all of them.
        stopping: ``last``: train on all rows, including those for validation, for all epochs. ``best``: train without
            the validation rows first, to find the epoch with the best validation score, and then again on all rows up
            to that epoch.
        patience: with ``stopping="best"``, epochs without a better validation score after which the search ends.
        schedule: ``one_cycle`` (warm-up over the first tenth, then cosine to zero), ``cosine`` or ``constant``.
        loss: of regression on standardised targets: ``l1`` or ``huber`` (transition at 1 standard deviation).
        gradient_clip: largest norm of the gradient; 0 for no limit.
        averaging: decay per step of an exponential moving average of the weights, which is used for validation and
            prediction; 0 for no average.
    """

    learning_rate: Annotated[float, Gt(0), FloatDistribution(1e-4, 1e-2, log=True)] = 3e-3
    weight_decay: WeightDecay = 1e-2
    batch_size: Annotated[int, Ge(1), CategoricalDistribution((32, 64, 128, 256))] = 64
    epochs: Annotated[int, Ge(1)] = 200
    stopping: Annotated[str, OneOf(("last", "best"))] = "last"
    patience: Annotated[int, Ge(1)] = 60
    schedule: Annotated[
        str, OneOf(("one_cycle", "cosine", "constant")), CategoricalDistribution(("one_cycle", "cosine"))
    ] = "one_cycle"
    loss: Annotated[
        str,
        OneOf(("l1", "huber")),
        CategoricalDistribution(("l1", "huber")),
        _FOR_REGRESSION,
    ] = "l1"
    gradient_clip: Annotated[float, Ge(0)] = 5.0
    averaging: Annotated[float, Interval(ge=0, lt=1)] = 0.99


class DivergedError(CrystalBenchError):
    """The training loss is not finite."""


@dataclass(frozen=True, eq=False)
class Part:
    """Rows to train on, or to validate with.

    Attributes:
        data: n crystals.
        targets: (n, ...) their targets, on the device.
    """

    data: DeviceArrays
    targets: Tensor


def train_network(
    network: nn.Module, loss: nn.Module, train: Part, options: TrainingOptions, runtime: Runtime, last_epoch: int
) -> None:
    """Train a network in place up to an epoch, and keep the weights of that epoch.

    Args:
        network: batch to outputs (n, outputs).
        loss: outputs and targets to a scalar.
        train: rows to train on.
        options: hyperparameters. The learning rate falls over all ``options.epochs``, also if training ends before.
        runtime: seed and progress.
        last_epoch: the epoch after which training ends, counted from 1.

    Raises:
        DivergedError: the loss is not finite.
    """
    trainer = Trainer(network, loss, train, options, runtime.seed)
    saved = SavedFit(runtime, trainer)
    first, _ = saved.resume()
    for epoch in range(first, last_epoch + 1):
        mean_loss = float(trainer.epoch())
        _require_finite(epoch, options, loss=mean_loss)
        done = options.epochs if epoch == last_epoch else epoch
        runtime.progress(done, options.epochs, unit="epochs", loss=mean_loss)
        saved.save_if_due(epoch)
    network.load_state_dict(trainer.evaluated_network.state_dict())
    network.eval()


def best_epoch(
    network: nn.Module,
    loss: nn.Module,
    train: Part,
    valid: Part,
    options: TrainingOptions,
    runtime: Runtime,
) -> int:
    """Train a network until it no longer improves on the validation part, and return its best epoch.

    Args:
        network: batch to outputs (n, outputs); it is trained in place.
        loss: outputs and targets to a scalar. It is also the validation score, except for regression: there the score
            is always the mean absolute error, so that scores of different losses can be compared.
        train: rows to train on.
        valid: rows to validate with.
        options: hyperparameters.
        runtime: seed and progress.

    Returns:
        The epoch with the best validation score, counted from 1.

    Raises:
        DivergedError: the loss is not finite.
    """
    trainer = Trainer(network, loss, train, options, runtime.seed)
    validation_loss = nn.L1Loss() if isinstance(loss, nn.HuberLoss) else loss
    saved = SavedFit(runtime, trainer)
    first, numbers = saved.resume()
    best, best_epoch = numbers.get("best", math.inf), int(numbers.get("best_epoch", 0))
    for epoch in range(first, options.epochs + 1):
        mean_loss = float(trainer.epoch())
        score = validate(trainer.evaluated_network, validation_loss, valid)
        _require_finite(epoch, options, loss=mean_loss, validation=score)
        if score < best:
            best, best_epoch = score, epoch
        stops = epoch - best_epoch >= options.patience
        done = options.epochs if stops else epoch
        runtime.progress(done, options.epochs, unit="epochs", loss=mean_loss, valid=score, best=best)
        if stops:
            break
        saved.save_if_due(epoch, best=best, best_epoch=best_epoch)
    return best_epoch


def _require_finite(epoch: int, options: TrainingOptions, **numbers: float) -> None:
    if not all(map(math.isfinite, numbers.values())):
        found = ", ".join(f"{name} {number}" for name, number in numbers.items())
        raise DivergedError(
            f"training diverged in epoch {epoch} ({found}); try a smaller learning_rate than {options.learning_rate:g}"
        )


class Trainer:
    """Trains a network in place, epoch by epoch, and never waits for the device.

    Args:
        network: batch to outputs (n, outputs).
        loss: outputs and targets to a scalar.
        train: rows to train on.
        options: hyperparameters.
        seed: seed of the order of the rows.
    """

    def __init__(self, network: nn.Module, loss: nn.Module, train: Part, options: TrainingOptions, seed: int) -> None:
        self._network, self._loss, self._train, self._options = network, loss, train, options
        self._shuffle = np.random.default_rng(seed)
        groups = _parameter_groups(network, options.weight_decay)
        self._optimiser = torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)
        steps_per_epoch = max(1, -(-len(train.data) // options.batch_size))
        factor = _Schedule(options.schedule, steps_per_epoch * options.epochs)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, factor)
        self._averaged = _Average(network, options.averaging) if options.averaging else None

    @property
    def evaluated_network(self) -> nn.Module:
        """The network to validate and to keep: the one with averaged weights if there is one."""
        return self._network if self._averaged is None else self._averaged.network

    def state_dict(self) -> dict[str, Any]:
        """Everything that the following epochs depend on, apart from torch's random generators."""
        return {
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "average": None if self._averaged is None else self._averaged.state_dict(),
            "shuffle": dict(self._shuffle.bit_generator.state),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        if self._averaged is not None:
            self._averaged.load_state_dict(state["average"])
        self._shuffle.bit_generator.state = state["shuffle"]

    def epoch(self) -> Tensor:
        """Make one pass over the rows, in a new order; returns the mean loss, on the device."""
        data, targets = self._train.data, self._train.targets
        self._network.train()
        total = torch.zeros((), device=data.device)
        for batch in data.batches(self._options.batch_size, self._shuffle.permutation(len(data))):
            total += self._step(batch, targets[batch.index]) * batch.size
        return total / len(data)

    def _step(self, batch: Batch, targets: Tensor) -> Tensor:
        self._optimiser.zero_grad(set_to_none=True)
        value: Tensor = self._loss(_outputs_to_fit(self._network, batch), targets)
        value.backward()  # type: ignore[no-untyped-call]
        if self._options.gradient_clip:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._options.gradient_clip)
        self._optimiser.step()
        self._schedule.step()
        if self._averaged is not None:
            self._averaged.update()
        return value.detach()


def _outputs_to_fit(network: nn.Module, batch: Batch) -> Tensor:
    try:
        result: Tensor = network(batch)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise DataError(
            "a batch with a single row (one crystal, or one atom) cannot be normalised; give more training rows or a "
            "larger batch_size"
        ) from error
    return result


@torch.no_grad()
def validate(network: nn.Module, loss: nn.Module, part: Part) -> float:
    """Mean loss over a data set, in evaluation mode.

    Args:
        network: batch to outputs (n, outputs).
        loss: outputs and targets to a scalar.
        part: rows and their targets.
    """
    total = torch.zeros((), device=part.data.device)
    for batch, output in outputs(network, part.data):
        total += loss(output, part.targets[batch.index]) * batch.size
    return float(total) / len(part.data)


@torch.no_grad()
def outputs(network: nn.Module, data: DeviceArrays, batch_size: int = 512) -> Iterator[tuple[Batch, Tensor]]:
    """Compute the outputs of a network over a data set, in evaluation mode.

    Args:
        network: batch to outputs.
        data: n crystals.
        batch_size: largest number of crystals in a batch.

    Yields:
        Batches and their outputs (batch, outputs).
    """
    network.eval()
    for batch in data.batches(batch_size):
        yield batch, network(batch)


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    decayed = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


class _Schedule:
    """Factor of the learning rate at each step."""

    def __init__(self, kind: str, steps: int) -> None:
        self.kind, self.steps, self.warmup = kind, max(1, steps), max(1, steps // 10)

    def __call__(self, step: int) -> float:
        if self.kind == "constant":
            return 1.0
        if self.kind == "one_cycle":
            if step < self.warmup:
                return 0.04 + 0.96 * step / self.warmup
            progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        else:
            progress = step / self.steps
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class _Average:
    """A copy of a network whose weights and statistics are moving averages of the network's.

    Unlike `torch.optim.swa_utils.AveragedModel`, it counts its steps on the host, so it does not have to wait for the
    device.

    Args:
        network: the network that is trained.
        decay: of the averages per step.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self._decay, self._steps = decay, 0
        pairs = list(zip(_tensors(self.network), _tensors(network), strict=True))
        self._moving = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counters = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Include the current weights of the network."""
        # The decay starts small, so that the untrained weights are soon forgotten.
        weight = 1 - min(self._decay, (1 + self._steps) / (10 + self._steps)) if self._steps else 1.0
        averages, current = zip(*self._moving, strict=True)
        torch._foreach_lerp_(averages, current, weight)
        for average, counter in self._counters:
            average.copy_(counter)
        self._steps += 1

    def state_dict(self) -> dict[str, Any]:
        """The averages, and the number of steps that they include."""
        return {"network": self.network.state_dict(), "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self._steps = state["steps"]


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
