from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from helpers import (
    TARGETS,
    atom_order,
    moved_by_lattice_vectors,
    one_crystal,
    random_crystals,
    reordered,
    rotated,
    samples_of,
    supercells,
    translated,
)
from torch import Tensor, nn

from crystalbench.crystals import Crystals
from crystalbench.errors import ConfigError, CrystalBenchError, UnknownNameError
from crystalbench.models.batches import Batch, DeviceArrays
from crystalbench.models.cgcnn import CGCNN
from crystalbench.models.dummy import Dummy
from crystalbench.models.model import Runtime
from crystalbench.models.network import NetworkModel
from crystalbench.models.training import DivergedError, _Schedule
from crystalbench.representations import CRYSTAL, Arrays, Layout, Representation
from crystalbench.samples import Inputs, Kind, Samples

SMALL: dict[str, Any] = {"width": 12, "layers": 2, "neighbors": 6, "head_width": 16, "batch_size": 16, "epochs": 3}


def fitted(train: Samples, valid: Samples, seed: int = 0, **parameters: Any) -> CGCNN:
    model = CGCNN(**{**SMALL, **parameters})
    model.runtime = Runtime(seed=seed)
    return model.fit(train, valid)


@pytest.fixture(scope="module")
def train() -> Samples:
    return samples_of(random_crystals(0, 40, most_atoms=4))


@pytest.fixture(scope="module")
def valid() -> Samples:
    return samples_of(random_crystals(1, 12, most_atoms=4))


@pytest.fixture(scope="module")
def unseen() -> Crystals:
    return random_crystals(2, 14, most_atoms=5)


@pytest.fixture(scope="module")
def model(train: Samples, valid: Samples) -> CGCNN:
    return fitted(train, valid)


def predict(model: NetworkModel, crystals: Crystals) -> np.ndarray:
    return model.predict(Samples(crystals, TARGETS[Kind.REGRESSION])).values


# ---------------------------------------------------------------------- seeds


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(
    train: Samples, valid: Samples, unseen: Crystals, model: CGCNN
) -> None:
    torch.manual_seed(123)  # whatever happened to torch before
    again = fitted(train, valid, dropout=0.0)
    assert np.array_equal(predict(model, unseen), predict(again, unseen))
    assert not np.array_equal(predict(model, unseen), predict(fitted(train, valid, seed=1), unseen))


def test_dropout_follows_the_seed(train: Samples, valid: Samples, unseen: Crystals) -> None:
    one, other = (predict(fitted(train, valid, dropout=0.3), unseen) for _ in range(2))
    assert np.array_equal(one, other)


def test_fitting_leaves_the_random_numbers_of_the_caller_alone(train: Samples, valid: Samples) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fitted(train, valid, epochs=1)
    assert torch.equal(torch.rand(3), expected)


# ---------------------------------------------------------------------- learning


def test_it_learns() -> None:
    train = samples_of(random_crystals(10, 120, most_atoms=3))
    valid, test = (samples_of(random_crystals(seed, 40, most_atoms=3)) for seed in (11, 12))
    model = fitted(train, valid, width=32, epochs=60, learning_rate=1e-2, averaging=0.9)
    dummy = Dummy().fit(train, valid)
    errors = [np.abs(m.predict(test).values - test.targets).mean() for m in (model, dummy)]
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize("loss", ["l1", "huber"])
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_every_loss_and_schedule_lowers_the_training_loss(
    train: Samples, valid: Samples, loss: str, schedule: str
) -> None:
    model, losses = CGCNN(**{**SMALL, "epochs": 8, "loss": loss, "schedule": schedule, "learning_rate": 1e-2}), []
    model.runtime = Runtime(progress=lambda done, total, **numbers: losses.append(numbers["loss"]))
    model.fit(train, valid)
    assert len(losses) == 8
    assert losses[-1] < 0.9 * losses[0]


def test_targets_may_have_any_scale_and_offset(train: Samples, valid: Samples, unseen: Crystals, model: CGCNN) -> None:
    moved = [Samples(s.inputs, s.target, 1e6 + 1e4 * s.targets) for s in (train, valid)]
    values = predict(fitted(*moved), unseen)
    np.testing.assert_allclose((values - 1e6) / 1e4, predict(model, unseen), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", [Kind.BINARY, Kind.MULTICLASS])
def test_classifiers_give_probabilities_and_learn(kind: Kind) -> None:
    train, valid = (samples_of(random_crystals(s, 60, most_atoms=3, largest_z=118), kind) for s in (3, 4))
    model = fitted(train, valid, epochs=25, learning_rate=1e-2, averaging=0.9)
    values = model.predict(valid).checked(valid.target, valid.ids).values
    chosen = values.argmax(1) if kind is Kind.MULTICLASS else values > 0.5
    most_frequent = np.bincount(valid.targets.astype(int)).max() / len(valid)
    assert (chosen == valid.targets).mean() > most_frequent + 0.15


# ---------------------------------------------------------------------- small and strange data


def test_constant_targets_are_learned_as_they_are(train: Samples, valid: Samples, unseen: Crystals) -> None:
    constant = [Samples(s.inputs, s.target, np.full(len(s), -7.5)) for s in (train, valid)]
    values = predict(fitted(*constant, epochs=40, learning_rate=1e-2, averaging=0), unseen)
    assert np.isfinite(values).all()
    assert np.abs(values + 7.5).mean() < 1.0


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("atoms", [1, 4])
def test_a_single_row_is_fitted_or_refused_clearly(valid: Samples, unseen: Crystals, kind: Kind, atoms: int) -> None:
    coords = np.random.default_rng(0).random((atoms, 3))
    row = Samples(one_crystal(np.eye(3) * 5, coords, [14] * atoms), TARGETS[kind], np.array([1.0]))
    judged = Samples(valid.inputs, TARGETS[kind], np.arange(len(valid)) % 2.0)
    try:
        model = fitted(row, judged)
    except CrystalBenchError as error:
        assert "row" in str(error) or "batch" in str(error)
    else:
        values = model.predict(Samples(unseen, TARGETS[kind])).checked(TARGETS[kind], unseen.ids).values
        assert len(values) == len(unseen)


def test_a_batch_of_one_atom_is_fitted_or_refused_clearly(valid: Samples) -> None:
    crystals = random_crystals(4, 3, most_atoms=1)
    try:
        fitted(samples_of(crystals), valid, batch_size=2, epochs=1)  # two rows, then one
    except CrystalBenchError as error:
        assert "batch" in str(error)


def test_one_class_only_is_no_error(valid: Samples) -> None:
    crystals = random_crystals(3, 10)
    train = Samples(crystals, TARGETS[Kind.MULTICLASS], np.full(10, 2.0))
    judged = Samples(valid.inputs, TARGETS[Kind.MULTICLASS], np.zeros(len(valid)))
    values = fitted(train, judged).predict(judged).checked(judged.target, judged.ids).values
    assert values.shape == (len(valid), 3)


def test_predicting_no_row_is_no_error(model: CGCNN, unseen: Crystals) -> None:
    assert predict(model, unseen[[]]).shape == (0,)


# ---------------------------------------------------------------------- what a prediction may depend on


def test_order_and_size_of_batches_do_not_matter(model: CGCNN, unseen: Crystals) -> None:
    together = predict(model, unseen)
    order = np.random.default_rng(0).permutation(len(unseen))
    np.testing.assert_allclose(predict(model, unseen[order]), together[order], atol=1e-5)
    single = [predict(model, unseen[[i]])[0] for i in range(len(unseen))]
    np.testing.assert_allclose(single, together, atol=1e-5)
    many = np.tile(np.arange(len(unseen)), 60)  # more than one batch
    np.testing.assert_allclose(predict(model, unseen[many]), together[many], atol=1e-5)


def test_the_description_of_a_crystal_does_not_matter(model: CGCNN, unseen: Crystals) -> None:
    expected = predict(model, unseen)
    assert expected.std() > 1e-3  # the network tells crystals apart
    for other in (
        rotated(unseen),
        translated(unseen),
        moved_by_lattice_vectors(unseen),
        reordered(unseen, atom_order(unseen)),
        supercells(unseen, (2, 1, 1)),
        supercells(unseen, (1, 2, 3)),
    ):
        np.testing.assert_allclose(predict(model, other), expected, atol=1e-5 * max(1, np.abs(expected).max()))


def test_the_embedding_depends_on_elements_and_distances(model: CGCNN, unseen: Crystals) -> None:
    expected = predict(model, unseen)
    carbon = dataclasses.replace(unseen, numbers=np.full_like(unseen.numbers, 6))
    larger = dataclasses.replace(unseen, lattices=unseen.lattices * 1.2)
    for other in (carbon, larger):
        assert (np.abs(predict(model, other) - expected) > 1e-4).mean() > 0.8


def test_sum_readout_doubles_with_the_cell_and_mean_readout_does_not(unseen: Crystals) -> None:
    def embedded(crystals: Crystals, readout: str) -> Tensor:
        torch.manual_seed(0)
        model = CGCNN(width=8, layers=2, readout=readout)
        data = DeviceArrays(model.inputs(Samples(crystals, TARGETS[Kind.REGRESSION])), "cpu")
        return model.body().eval()(data.batch(np.arange(len(crystals))))

    double = supercells(unseen, (1, 2, 1))
    for readout, factor in (("sum", 2), ("mean", 1)):
        torch.testing.assert_close(embedded(double, readout), factor * embedded(unseen, readout), rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------------- the shared training


class Note:
    """Keeps what a model reports."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.valid: list[float] = []

    def __call__(self, done: int, total: int, **numbers: float) -> None:
        self.epochs.append(done)
        self.valid.append(numbers["valid"])
        assert numbers["best"] == min(self.valid)


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_early_stopping_keeps_the_best_epoch(train: Samples, valid: Samples, averaging: float) -> None:
    rng = np.random.default_rng(0)
    noise = Samples(valid.inputs, valid.target, rng.permutation(valid.targets))  # cannot be learned
    model = CGCNN(**{**SMALL, "epochs": 60, "patience": 4, "learning_rate": 1e-2, "averaging": averaging})
    model.runtime = Runtime(progress=(note := Note()))
    model.fit(train, noise)
    best = int(np.argmin(note.valid)) + 1
    assert model.best_epoch == best
    assert len(note.epochs) == min(best + 4, 60) < 60
    scale = train.targets.std()
    error = np.abs(model.predict(noise).values - noise.targets).mean() / scale
    assert error == pytest.approx(min(note.valid), rel=1e-4)
    assert error < note.valid[-1]


def test_averaged_weights_are_other_weights(train: Samples, valid: Samples, unseen: Crystals) -> None:
    plain, averaged = (predict(fitted(train, valid, averaging=a), unseen) for a in (0.0, 0.9))
    assert np.isfinite(averaged).all()
    assert not np.allclose(plain, averaged)


@pytest.mark.parametrize("changes", [{"weight_decay": 10.0}, {"gradient_clip": 1e-3}, {"batch_size": 40}], ids=str)
def test_every_option_reaches_the_training(
    train: Samples, valid: Samples, unseen: Crystals, model: CGCNN, changes: dict[str, Any]
) -> None:
    assert not np.allclose(predict(fitted(train, valid, **changes), unseen), predict(model, unseen), atol=1e-6)


def test_schedules_rise_and_fall_as_they_say() -> None:
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
    """One number to four; not a number where it is told so."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.width, self.factor = 4, factor
        self.linear = nn.Linear(1, 4)

    def forward(self, batch: Batch) -> Tensor:
        return self.linear(batch["size"]) * self.factor


@dataclasses.dataclass
class SizeNetwork(NetworkModel):
    """All that a network has to say of its own."""

    representation: ClassVar[Sizes] = Sizes()  # type: ignore[misc]
    factor: float = 1.0

    def encoder(self) -> nn.Module:
        return SizeEncoder(self.factor)


def test_a_network_needs_a_representation_and_an_encoder_only(train: Samples, valid: Samples) -> None:
    model = SizeNetwork(epochs=2).fit(train, valid)
    assert model.predict(valid).checked(valid.target, valid.ids).values.shape == (12,)
    assert model.n_parameters == (4 + 4) + (4 * 128 + 128) + (128 + 1)
    assert SizeNetwork().n_parameters is None


def test_a_loss_that_is_not_finite_says_so(train: Samples, valid: Samples) -> None:
    with pytest.raises(DivergedError, match=r"diverged in epoch 1 .* try a smaller learning_rate than 0.003"):
        SizeNetwork(factor=float("nan")).fit(train, valid)
    with pytest.raises(DivergedError):
        SizeNetwork(factor=1e38, learning_rate=1.0).fit(train, valid)


def test_head_layers_and_width_count(train: Samples) -> None:
    plain = SizeNetwork().network(train.target)
    deep = SizeNetwork(head_layers=3, head_width=10).network(train.target)
    assert sum(isinstance(m, nn.Linear) for m in plain.modules()) == 1 + 2
    assert [m.out_features for m in deep.modules() if isinstance(m, nn.Linear)] == [4, 10, 10, 10, 1]
    assert SizeNetwork().network(TARGETS[Kind.MULTICLASS]).head[-1].out_features == 3


def test_a_device_that_is_not_here_says_so(train: Samples, valid: Samples) -> None:
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
        ({"epochs": 1.5}, "epochs = 1.5 is a float; it must be int"),
        ({"epochs": True}, "epochs = True is a bool; it must be int"),
        ({"schedule": 3}, "schedule = 3 is a int; it must be str"),
    ],
    ids=str,
)
def test_hyperparameters_that_make_no_sense_are_refused_before_any_work(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CGCNN.from_configuration(parameters)
    assert says in str(caught.value)


def test_unknown_hyperparameters_offer_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"hyperparameter of CGCNN 'lerning_rate'\. Did you mean 'learning_rate'"
    ):
        CGCNN.from_configuration({"lerning_rate": 0.1})


def flushed() -> bool:
    return float(torch.tensor(1e-40) * 1) == 0.0


def test_subnormal_numbers_are_flushed_while_networks_compute_and_only_then(
    train: Samples, valid: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[tuple[bool, bool]] = set()
    forward = SizeEncoder.forward

    def watched(self: SizeEncoder, batch: Batch) -> Tensor:
        seen.add((self.training, flushed()))
        return forward(self, batch)

    monkeypatch.setattr(SizeEncoder, "forward", watched)
    assert not flushed()
    model = SizeNetwork(epochs=1).fit(train, valid)
    assert seen == {(True, True), (False, True)}
    assert not flushed()
    seen.clear()
    model.predict(valid)
    assert seen == {(False, True)}
    assert not flushed()
    with pytest.raises(DivergedError):
        SizeNetwork(factor=float("nan")).fit(train, valid)
    assert not flushed()


def test_configuration_and_back() -> None:
    model = CGCNN(width=32, learning_rate=0.01)
    assert CGCNN.from_configuration(model.configuration()) == model
    assert model.configuration()["width"] == 32
    assert type(CGCNN.from_configuration({"cutoff": 6}).cutoff) is float  # 6 and 6.0 are one configuration
