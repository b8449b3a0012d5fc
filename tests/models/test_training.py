from __future__ import annotations

import dataclasses
import os
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from helpers import (
    SMALL_CGCNN,
    TARGETS,
    fitted_cgcnn,
    predicted,
)
from torch import Tensor, nn

from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Inputs, Samples
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models.cgcnn import CGCNN
from crystalbench.models.devices import prepare_torch
from crystalbench.models.model import Runtime
from crystalbench.models.network import NetworkModel
from crystalbench.models.training import DivergedError, Part, TrainingOptions, _Schedule, best_epoch
from crystalbench.nn.batches import Batch, DeviceArrays
from crystalbench.representations import CRYSTAL, Arrays, Layout, Representation
from crystalbench.targets import Kind


class Note:
    """Collects the progress that a model reports, with and without validation scores."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.valid: list[float] = []

    def __call__(self, done: int, total: int, *, unit: str, **numbers: float) -> None:
        assert unit == "epochs"
        if "valid" in numbers:
            self.valid.append(numbers["valid"])
            assert numbers["best"] == min(self.valid)
        else:
            self.epochs.append(done)


def test_all_rows_are_trained_on_for_all_epochs(train: Samples, valid: Samples, unseen: Crystals) -> None:
    model = CGCNN(**SMALL_CGCNN)
    model.runtime = Runtime(progress=(note := Note()))
    model.fit(train, valid)
    assert model.trained_epochs == len(note.epochs) == SMALL_CGCNN["epochs"]
    assert not note.valid
    rows = Samples.concatenated([train, valid])
    other = CGCNN(**SMALL_CGCNN).fit(rows[:-3], rows[-3:])  # where the parts are divided does not matter
    assert np.array_equal(predicted(model, unseen), predicted(other, unseen))


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_early_stopping_chooses_the_number_of_epochs_on_all_rows(
    train: Samples, valid: Samples, unseen: Crystals, averaging: float
) -> None:
    rng = np.random.default_rng(0)
    noise = Samples(valid.inputs, valid.target, rng.permutation(valid.targets))  # cannot be learned
    parameters = {**SMALL_CGCNN, "epochs": 60, "learning_rate": 1e-2, "averaging": averaging}
    model = CGCNN(**parameters, stopping="best", patience=4)
    model.runtime = Runtime(progress=(note := Note()))
    model.fit(train, noise)
    best = int(np.argmin(note.valid)) + 1
    assert len(note.valid) == min(best + 4, 60) < 60
    assert model.trained_epochs == best
    assert note.epochs == [*range(61, 60 + best), 120]  # after the sixty epochs of the choice
    everything = CGCNN(**parameters).fit(train, noise)
    assert not np.allclose(predicted(model, unseen), predicted(everything, unseen))


@pytest.mark.parametrize("loss", ["l1", "huber"])
def test_regression_is_always_validated_by_the_absolute_error(train: Samples, valid: Samples, loss: str) -> None:
    outputs = nn.Linear(1, 1)
    part = Part(DeviceArrays(Sizes()(valid.inputs), torch.device("cpu")), torch.zeros((len(valid), 1)))
    note = Note()
    options = TrainingOptions(epochs=1, loss=loss, averaging=0.0, learning_rate=1e-30)
    scale = 100.0  # far from the targets, where the losses differ

    class Far(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = outputs

        def forward(self, batch: Batch) -> Tensor:
            return self.linear(batch["size"]) * 0 + scale

    criterion = nn.L1Loss() if loss == "l1" else nn.HuberLoss()
    assert best_epoch(Far(), criterion, part, part, options, Runtime(progress=note)) == 1
    assert note.valid == [pytest.approx(scale)]


def test_averaging_changes_the_weights(train: Samples, valid: Samples, unseen: Crystals) -> None:
    plain, averaged = (predicted(fitted_cgcnn(train, valid, averaging=a), unseen) for a in (0.0, 0.9))
    assert np.isfinite(averaged).all()
    assert not np.allclose(plain, averaged)


@pytest.mark.parametrize("changes", [{"weight_decay": 10.0}, {"gradient_clip": 1e-3}, {"batch_size": 40}], ids=str)
def test_every_option_reaches_the_training(
    train: Samples, valid: Samples, unseen: Crystals, model: CGCNN, changes: dict[str, Any]
) -> None:
    assert not np.allclose(
        predicted(fitted_cgcnn(train, valid, **changes), unseen), predicted(model, unseen), atol=1e-6
    )


def test_schedules_rise_and_fall_as_documented() -> None:
    one_cycle = [_Schedule("one_cycle", 100)(step) for step in range(101)]
    assert one_cycle[0] == pytest.approx(0.04)
    assert max(one_cycle) == one_cycle[10] == 1.0
    assert one_cycle[-1] == pytest.approx(0, abs=1e-12)
    cosine = [_Schedule("cosine", 100)(step) for step in range(101)]
    assert cosine[0] == 1.0
    assert cosine[50] == pytest.approx(0.5)
    assert all(np.diff(cosine) < 0)
    assert {_Schedule("constant", 100)(step) for step in range(101)} == {1.0}
    assert all(0 <= _Schedule("one_cycle", steps)(step) <= 1 for steps in (1, 2, 3) for step in range(6))


@dataclasses.dataclass(frozen=True)
class Sizes(Representation):
    """The number of atoms."""

    def __call__(self, inputs: Inputs) -> Arrays:
        assert isinstance(inputs, Crystals)
        return Arrays({"size": inputs.atom_counts[:, None].astype(float)}, {"size": Layout(CRYSTAL)}, {}, len(inputs))


class SizeEncoder(nn.Module):
    """One number to four, times a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.width, self.factor = 4, factor
        self.linear = nn.Linear(1, 4)

    def forward(self, batch: Batch) -> Tensor:
        return self.linear(batch["size"]) * self.factor


@dataclasses.dataclass
class SizeNetwork(NetworkModel):
    """All that a network has to define."""

    representation: ClassVar[Sizes] = Sizes()  # type: ignore[misc]
    factor: float = 1.0

    def encoder(self) -> nn.Module:
        return SizeEncoder(self.factor)


def not_a_number() -> SizeNetwork:
    """A network whose output is not finite; its constructor refuses this factor."""
    model = SizeNetwork()
    model.factor = float("nan")
    return model


def test_a_network_needs_a_representation_and_an_encoder_only(train: Samples, valid: Samples) -> None:
    model = SizeNetwork(epochs=2).fit(train, valid)
    assert model.predict(valid).checked(valid.target, valid.ids).values.shape == (12,)
    assert model.n_parameters == (4 + 4) + (4 * 128 + 128) + (128 + 1)
    assert SizeNetwork().n_parameters is None


def test_a_loss_that_is_not_finite_is_an_error(train: Samples, valid: Samples) -> None:
    with pytest.raises(DivergedError, match=r"diverged in epoch 1 .* try a smaller learning_rate than 0.003"):
        not_a_number().fit(train, valid)
    with pytest.raises(DivergedError):
        SizeNetwork(factor=1e38, learning_rate=1.0).fit(train, valid)


def test_head_layers_and_width_are_used(train: Samples) -> None:
    plain = SizeNetwork().network(train.target)
    deep = SizeNetwork(head_layers=3, head_width=10).network(train.target)
    assert sum(isinstance(m, nn.Linear) for m in plain.modules()) == 1 + 2
    assert [m.out_features for m in deep.modules() if isinstance(m, nn.Linear)] == [4, 10, 10, 10, 1]
    assert SizeNetwork().network(TARGETS[Kind.MULTICLASS]).head[-1].out_features == 3


def test_a_missing_device_is_named(train: Samples, valid: Samples) -> None:
    model = SizeNetwork()
    model.runtime = Runtime(device="cuda:99")
    with pytest.raises(ConfigError, match="device 'cuda:99' cannot be used here"):
        model.fit(train, valid)
    model.runtime = Runtime(device="quantum")
    with pytest.raises(ConfigError, match="device 'quantum' cannot be used here"):
        model.fit(train, valid)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"learning_rate": 0.0}, "learning_rate = 0.0"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"epochs": 0}, "epochs = 0"),
        ({"patience": -3}, "patience = -3"),
        ({"stopping": "early"}, "stopping = 'early'; it must be one of last, best"),
        ({"schedule": "linear"}, "schedule = 'linear'; it must be one of one_cycle, cosine, constant"),
        ({"loss": "mse"}, "loss = 'mse'; it must be one of l1, huber"),
        ({"gradient_clip": -1.0}, "gradient_clip"),
        ({"averaging": 1.5}, "averaging"),
        ({"averaging": -0.5}, "averaging"),
        ({"dropout": 1.5}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
        ({"head_width": 0}, "head_width"),
        ({"head_layers": -1}, "head_layers"),
        ({"width": 0}, "width"),
        ({"layers": -2}, "layers"),
        ({"neighbors": 0}, "neighbo"),
        ({"cutoff": -1.0}, "cutoff"),
        ({"readout": "max"}, "readout = 'max'; it must be one of mean, sum"),
        ({"gradient_clip": float("inf")}, "gradient_clip"),
        ({"epochs": 1.5}, "epochs = 1.5; it must be an integer"),
        ({"epochs": True}, "epochs = True; it must be an integer"),
        ({"schedule": 3}, "schedule = 3; it must be a string"),
    ],
    ids=str,
)
def test_invalid_hyperparameters_are_refused_before_any_work(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CGCNN.from_configuration(parameters)
    assert says in str(caught.value)


def test_unknown_hyperparameters_offer_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"hyperparameter of cgcnn 'lerning_rate'\. Did you mean 'learning_rate'"
    ):
        CGCNN.from_configuration({"lerning_rate": 0.1})


def flushed() -> bool:
    return float(torch.tensor(1e-40) * 1) == 0.0


def test_subnormal_numbers_are_flushed_while_networks_compute_and_only_then(
    train: Samples, valid: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[tuple[bool, bool]] = set()
    forward = SizeEncoder.forward

    def observed(self: SizeEncoder, batch: Batch) -> Tensor:
        seen.add((self.training, flushed()))
        return forward(self, batch)

    monkeypatch.setattr(SizeEncoder, "forward", observed)
    assert not flushed()
    model = SizeNetwork(epochs=1).fit(train, valid)
    assert seen == {(True, True)}
    assert not flushed()
    seen.clear()
    model.predict(valid)
    assert seen == {(False, True)}
    assert not flushed()
    with pytest.raises(DivergedError):
        not_a_number().fit(train, valid)
    assert not flushed()


def test_a_configuration_round_trips() -> None:
    model = CGCNN(width=32, learning_rate=0.01)
    assert CGCNN.from_configuration(model.configuration()) == model
    assert model.configuration()["width"] == 32
    assert type(CGCNN.from_configuration({"cutoff": 6}).cutoff) is float  # 6 and 6.0 are one configuration


@pytest.mark.parametrize(("before", "after"), [(None, ":4096:8"), (":16:8", ":16:8")])
def test_products_of_matrices_are_deterministic_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "to be restored")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    if before is not None:
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", before)
    with pytest.raises(ConfigError, match="device 'cuda:99' cannot be used here"):
        prepare_torch(Runtime(device="cuda:99"))
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == after
