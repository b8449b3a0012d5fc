"""The networks on diffraction patterns: what every model owes, and what rotations do to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers import TARGETS, one_crystal, random_crystals, read_only, rotated, samples_of, tiny_task
from optuna.distributions import CategoricalDistribution

from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Samples
from crystalbench.data.views import get_view
from crystalbench.errors import ConfigError
from crystalbench.models import Runtime, search_space
from crystalbench.models.diffraction_cnn import DiffractionCNN, PointsEncoder, random_orthogonal
from crystalbench.nn.batches import DeviceArrays
from crystalbench.targets import Kind

QUICK: dict[str, Any] = {"epochs": 2, "width": 8, "layers": 2, "head_width": 8, "batch_size": 16, "q_max": 0.5}
VARIANTS: list[dict[str, Any]] = [
    {"network_kind": "power"},
    {"network_kind": "grid", "max_index": 2},
    {"network_kind": "points", "max_index": 2, "orientations": 3},
    {"network_kind": "points", "points": "sphere", "orientations": 2},
]
ABLATIONS: list[dict[str, Any]] = [
    *({"intensities": kind} for kind in ("random_scale", "absences", "none")),
    {"scattering": "neutron"},
    {"cell": "conventional"},
]


def named(options: dict[str, Any]) -> str:
    return "-".join(str(value) for value in options.values())


def made(seed: int = 0, **options: Any) -> DiffractionCNN:
    model = DiffractionCNN(**{**QUICK, **options})
    model.runtime = Runtime(seed=seed)
    return model


def fitted(kind: Kind = Kind.REGRESSION, seed: int = 0, **options: Any) -> DiffractionCNN:
    train, valid = (random_crystals(s, 24, most_atoms=3, largest_z=83) for s in (1, 2))
    return made(seed, **options).fit(samples_of(read_only(train), kind), samples_of(read_only(valid), kind))


def unlabelled(crystals: Crystals, kind: Kind = Kind.REGRESSION) -> Samples:
    return Samples(read_only(crystals), TARGETS[kind])


def predicted(model: DiffractionCNN, crystals: Crystals, kind: Kind = Kind.REGRESSION) -> np.ndarray:
    samples = unlabelled(crystals, kind)
    return model.predict(samples).checked(samples.target, samples.ids).values


# ---------------------------------------------------------------------- what every model owes


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("variant", VARIANTS, ids=named)
def test_it_predicts_every_kind_and_repeats_itself(variant: dict[str, Any], kind: Kind) -> None:
    test = random_crystals(3, 15)
    torch.manual_seed(1)
    one = predicted(model := fitted(kind, **variant), test, kind)
    assert np.array_equal(predicted(model, test, kind), one)
    torch.manual_seed(2)  # whatever happened before
    assert np.array_equal(predicted(fitted(kind, **variant), test, kind), one)
    assert not np.array_equal(predicted(fitted(kind, seed=1, **variant), test, kind), one)
    assert (model.n_parameters or 0) > 0


@pytest.mark.parametrize("variant", VARIANTS, ids=named)
def test_every_row_is_predicted_by_itself(variant: dict[str, Any]) -> None:
    crystals, model = random_crystals(5, 10), fitted(**variant)
    together = predicted(model, crystals)
    order = np.random.default_rng(0).permutation(10)
    np.testing.assert_allclose(predicted(model, crystals[order]), together[order], atol=1e-5)
    np.testing.assert_allclose(predicted(model, crystals[[7]]), together[[7]], atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS, ids=named)
def test_strange_crystals_are_predicted(variant: dict[str, Any]) -> None:
    rng, model = np.random.default_rng(0), fitted(**variant)
    elements = Crystals.from_flat(np.tile(np.eye(3) * 4, (118, 1, 1)), np.zeros((118, 3)), np.arange(1, 119), [1] * 118)
    large = one_crystal(np.eye(3) * 14, rng.random((200, 3)), rng.integers(1, 104, 200))
    isolated = one_crystal(np.eye(3) * 40, [[0.1, 0.2, 0.3]], 99)
    for crystals in (elements, large, isolated):
        assert np.isfinite(predicted(model, crystals)).all()


@pytest.mark.parametrize("ablation", ABLATIONS, ids=named)
@pytest.mark.parametrize("variant", VARIANTS, ids=named)
def test_ablations_of_the_paper(variant: dict[str, Any], ablation: dict[str, Any]) -> None:
    model = fitted(epochs=1, **variant, **ablation)
    test = random_crystals(3, 8, largest_z=83)
    assert np.array_equal(predicted(model, test), predicted(model, test))


@pytest.mark.parametrize("max_index", [0, -1])
def test_it_can_see_the_basis_of_the_lattice_only(max_index: int) -> None:
    predicted(fitted(network_kind="points", max_index=max_index), random_crystals(3, 5))


def test_without_intensities_elements_do_not_matter() -> None:
    crystals = random_crystals(4, 6, most_atoms=1)
    lighter = get_view("no_chemistry")(crystals)
    for variant in VARIANTS:
        model = fitted(intensities="none", **variant)
        np.testing.assert_allclose(predicted(model, crystals), predicted(model, lighter), atol=1e-5)


def test_it_learns() -> None:
    task = tiny_task(n=60)
    train, test = task.split(0)
    options = {**QUICK, "epochs": 60, "width": 64, "head_width": 32}
    model = DiffractionCNN(**options)
    model.fit(Samples(task.inputs[train], task.target, task.targets[train]), samples_of(task.inputs[test]))
    errors = np.abs(predicted(model, task.inputs[train]) - task.targets[train])
    assert errors.mean() < 0.5 * np.abs(task.targets[train] - task.targets[train].mean()).mean()


def test_search_space_and_options() -> None:
    for parameter, distribution in search_space(DiffractionCNN).items():
        categorical = isinstance(distribution, CategoricalDistribution)
        ends = distribution.choices if categorical else (distribution.low, distribution.high)  # type: ignore[attr-defined]
        for value in ends:
            DiffractionCNN(**{parameter: value}).encoder()
    with pytest.raises(ConfigError, match="network_kind = 'capsules'; it must be one of points, grid, power"):
        DiffractionCNN(network_kind="capsules")
    with pytest.raises(ConfigError, match="intensities = 'linear'"):
        DiffractionCNN(intensities="linear")
    with pytest.raises(ConfigError, match="a grid needs at least 1"):
        DiffractionCNN(network_kind="grid", max_index=0)
    for option, message in (
        ({"input_dropout": 1.0}, r"input_dropout = 1\.0; it must be in \[0, 1\)"),
        ({"points": "square"}, "points = 'square'; it must be one of cube, sphere"),  # also where they are not used
        ({"cell": "large"}, "cell = 'large'; it must be one of primitive, conventional"),
    ):
        with pytest.raises(ConfigError, match=message):
            DiffractionCNN(**option)
    with pytest.raises(ConfigError, match="orientations = 0; it must be at least 1"):
        DiffractionCNN(orientations=0)
    with pytest.raises(ConfigError, match="l_max = 3"):
        DiffractionCNN(l_max=3)


# ---------------------------------------------------------------------- rotations


def test_random_matrices_are_orthogonal_and_uniform() -> None:
    turns = random_orthogonal(20_000, generator=torch.Generator().manual_seed(0))
    unit = turns @ turns.transpose(1, 2)
    np.testing.assert_allclose(unit.numpy(), np.broadcast_to(np.eye(3), unit.shape), atol=1e-5)
    assert abs(torch.linalg.det(turns).mean()) < 0.03  # half of them are improper
    # Moments of the Haar measure of O(3): <Q> = 0, <Q_ij²> = 1/3, <Q_ij⁴> = 1/5, <(tr Q)²> = 1.
    assert turns.mean(0).abs().max() < 0.02
    assert (turns.square().mean(0) - 1 / 3).abs().max() < 0.01
    assert (turns.pow(4).mean(0) - 1 / 5).abs().max() < 0.01
    trace = torch.diagonal(turns, dim1=1, dim2=2).sum(1)
    assert abs(trace.square().mean() - 1) < 0.05


@pytest.mark.parametrize("kind", ["power", "grid", "points"])
def test_turning_a_crystal_does_not_change_the_prediction(kind: str) -> None:
    crystals = random_crystals(7, 7, most_atoms=3)
    if kind != "power":  # patterns in a cube need a lattice without more symmetry than the crystal
        crystals = crystals[[6]]
    model = fitted(network_kind=kind)
    np.testing.assert_allclose(predicted(model, rotated(crystals)), predicted(model, crystals), atol=1e-5)


def drift(orientations: int) -> float:
    """Mean change of an untrained embedding when the pattern itself is turned, relative to its spread over crystals."""
    data = DeviceArrays(DiffractionCNN(network_kind="points").representation(random_crystals(8, 12)), "cpu")
    batch = data.batch(np.arange(12))
    torch.manual_seed(0)
    encoder = PointsEncoder(3, 32, 2, "full", orientations)
    with torch.no_grad():
        encoder.train()
        for _ in range(20):  # statistics of the normalisations
            encoder(batch)
        encoder.eval()
        before = encoder(batch)
        batch.values["reciprocal"] = batch["reciprocal"] @ random_orthogonal(12)
        after = encoder(batch)
    return float((after - before).abs().mean() / before.std(0).mean())


def test_averaging_orientations_makes_the_drift_smaller(record_property: Callable[[str, object], None]) -> None:
    drifts = {k: drift(k) for k in (1, 8, 64)}
    record_property("drift", drifts)
    assert drifts[8] < 0.6 * drifts[1]
    assert drifts[64] < 0.6 * drifts[8]


@pytest.mark.parametrize("points", ["cube", "sphere"])
def test_prediction_in_small_pieces_is_the_same(points: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted(network_kind="points", points=points, orientations=2)
    crystals = random_crystals(9, 20)
    whole = predicted(model, crystals)
    monkeypatch.setattr("crystalbench.models.diffraction_cnn._POINTS_AT_ONCE", 50)
    np.testing.assert_allclose(predicted(model, crystals), whole, atol=1e-5)
