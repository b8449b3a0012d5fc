"""The networks on diffraction patterns: the contract of models, ablations, and rotations."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers import TARGETS, changed, one_crystal, random_crystals, read_only, rotated, samples_of, tiny_task
from optuna.distributions import CategoricalDistribution
from scipy.special import eval_legendre

from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Samples
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models import Runtime, search_space
from crystalbench.models.diffraction.base import INTENSITIES, DiffractionNetwork
from crystalbench.models.diffraction.deepknet import (
    DeepKNet,
    DeepKNetSphere,
    ReflectionsEncoder,
    mean_legendre,
    random_orthogonal,
)
from crystalbench.models.diffraction.grid import DiffractionGrid
from crystalbench.models.diffraction.spectrum import DiffractionSpectrum
from crystalbench.models.hyperparameters import hyperparameters
from crystalbench.models.network import NetworkModel
from crystalbench.nn.batches import DeviceArrays
from crystalbench.targets import Kind
from crystalbench.testing.crystals import known_structures

Network = type[DiffractionNetwork]

QUICK: dict[str, Any] = {"epochs": 2, "width": 8, "head_width": 8, "batch_size": 16}
OWN: dict[Network, dict[str, Any]] = {
    DiffractionSpectrum: {"q_max": 0.5},
    DiffractionGrid: {"max_index": 2},
    DeepKNet: {"max_index": 2, "orientations": 3},
    DeepKNetSphere: {"q_max": 0.5},
}
"""Hyperparameters that make each network fast."""
NETWORKS = list(OWN)
ABLATIONS: list[dict[str, Any]] = [
    *({"intensities": kind} for kind in INTENSITIES if kind != "full"),
    {"scattering": "neutron"},
    {"scattering": "equal"},
    {"scattering": "equal", "intensities": "normalised"},
    {"cell": "conventional"},
    {"orientations": 0},
]


def named(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else "-".join(map(str, value.values()))


def made(network: Network, seed: int = 0, **options: Any) -> DiffractionNetwork:
    model = network(**{**QUICK, **OWN[network], **options})
    model.runtime = Runtime(seed=seed)
    return model


def fitted(network: Network, kind: Kind = Kind.REGRESSION, seed: int = 0, **options: Any) -> DiffractionNetwork:
    train, valid = (random_crystals(s, 24, most_atoms=3, largest_z=83) for s in (1, 2))
    model = made(network, seed, **options)
    return model.fit(samples_of(read_only(train), kind), samples_of(read_only(valid), kind))


def unlabelled(crystals: Crystals, kind: Kind = Kind.REGRESSION) -> Samples:
    return Samples(read_only(crystals), TARGETS[kind])


def predicted(model: DiffractionNetwork, crystals: Crystals, kind: Kind = Kind.REGRESSION) -> np.ndarray:
    samples = unlabelled(crystals, kind)
    return model.predict(samples).checked(samples.target, samples.ids).values


# ---------------------------------------------------------------------- the contract of models


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_every_kind_of_target_is_predicted_reproducibly(network: Network, kind: Kind) -> None:
    test = random_crystals(3, 15)
    torch.manual_seed(1)
    one = predicted(model := fitted(network, kind), test, kind)
    assert np.array_equal(predicted(model, test, kind), one)
    torch.manual_seed(2)  # whatever happened before
    assert np.array_equal(predicted(fitted(network, kind), test, kind), one)
    assert not np.array_equal(predicted(fitted(network, kind, seed=1), test, kind), one)
    assert (model.n_parameters or 0) > 0


@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_every_row_is_predicted_independently_of_the_others(network: Network) -> None:
    crystals, model = random_crystals(5, 10), fitted(network)
    together = predicted(model, crystals)
    order = np.random.default_rng(0).permutation(10)
    np.testing.assert_allclose(predicted(model, crystals[order]), together[order], atol=1e-5)
    np.testing.assert_allclose(predicted(model, crystals[[7]]), together[[7]], atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_edge_cases_are_predicted(network: Network) -> None:
    rng, model = np.random.default_rng(0), fitted(network)
    elements = Crystals.from_flat(np.tile(np.eye(3) * 4, (118, 1, 1)), np.zeros((118, 3)), np.arange(1, 119), [1] * 118)
    large = one_crystal(np.eye(3) * 14, rng.random((200, 3)), rng.integers(1, 104, 200))
    isolated = one_crystal(np.eye(3) * 40, [[0.1, 0.2, 0.3]], 99)
    for crystals in (elements, large, isolated):
        assert np.isfinite(predicted(model, crystals)).all()


@pytest.mark.parametrize("ablation", ABLATIONS, ids=named)
@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_ablations_of_the_paper(network: Network, ablation: dict[str, Any]) -> None:
    if not ablation.keys() <= network().configuration().keys():
        with pytest.raises(UnknownNameError):
            network.from_configuration(ablation)
        return
    model = fitted(network, epochs=1, **ablation)
    test = random_crystals(3, 8, largest_z=83)
    assert np.array_equal(predicted(model, test), predicted(model, test))


@pytest.mark.parametrize("max_index", [0, -1])
def test_the_pattern_may_be_the_basis_of_the_reciprocal_lattice(max_index: int) -> None:
    predicted(fitted(DeepKNet, max_index=max_index), random_crystals(3, 5))


def test_without_intensities_elements_do_not_matter() -> None:
    crystals = random_crystals(4, 6, most_atoms=1)
    lighter = changed(crystals, numbers=np.full_like(crystals.numbers, 6))
    for network in NETWORKS:
        model = fitted(network, intensities="none")
        np.testing.assert_allclose(predicted(model, crystals), predicted(model, lighter), atol=1e-5)


@pytest.mark.parametrize("intensities", ["full", "normalised", "absences"])
@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_equal_scatterers_hide_the_elements(network: Network, intensities: str) -> None:
    crystals = random_crystals(4, 6, most_atoms=3)
    # Consistent names keep the symmetry, and with it the standard cell.
    renamed = changed(crystals, numbers=(crystals.numbers + 7) % 94 + 1)
    model = fitted(network, scattering="equal", intensities=intensities, epochs=1)
    np.testing.assert_allclose(predicted(model, renamed), predicted(model, crystals), atol=1e-5)
    model = fitted(network, scattering="xray", intensities="full", epochs=1)
    assert not np.allclose(predicted(model, renamed), predicted(model, crystals), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["permuted_in_shells", "permuted"])
@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_networks_of_permuted_intensities_see_them_and_promise_no_invariance(network: Network, kind: str) -> None:
    crystals = random_crystals(4, 6, most_atoms=3)
    plain, permuted = (made(network, intensities=name).inputs(unlabelled(crystals)) for name in ("full", kind))
    name = "spectrum" if network is DiffractionSpectrum else "intensities"
    assert plain.values[name].shape == permuted.values[name].shape
    assert not np.allclose(plain.values[name], permuted.values[name])
    assert network(intensities=kind).invariances == frozenset()


def test_scaled_intensities_keep_their_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    data = DeviceArrays(DeepKNet(max_index=1).representation(random_crystals(8, 12)), "cpu")
    batch, seen = data.batch(np.arange(12)), []
    monkeypatch.setattr(ReflectionsEncoder, "_maxima", lambda self, rows: seen.append(rows) or rows[:, 0, :1])
    for kind in ("full", "random_scale"):
        ReflectionsEncoder(1, 8, 2, kind, 0)(batch)
    full, scaled = (rows[..., 3] for rows in seen)
    factors = (scaled / full).nan_to_num(0.0).amax(1, keepdim=True)
    torch.testing.assert_close(scaled, full * factors)
    assert len(factors.unique()) == 12
    assert factors.min() >= 0 and factors.max() < 1


def test_it_learns() -> None:
    task = tiny_task(n=60)
    train, test = task.split(0)
    model = made(DiffractionSpectrum, epochs=60, width=64, head_width=32)
    model.fit(Samples(task.inputs[train], task.target, task.targets[train]), samples_of(task.inputs[test]))
    errors = np.abs(predicted(model, task.inputs[train]) - task.targets[train])
    assert errors.mean() < 0.5 * np.abs(task.targets[train] - task.targets[train].mean()).mean()


@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_the_search_space_can_be_built(network: Network) -> None:
    for parameter, distribution in search_space(network).items():
        categorical = isinstance(distribution, CategoricalDistribution)
        ends = distribution.choices if categorical else (distribution.low, distribution.high)  # type: ignore[attr-defined]
        for value in ends:
            network(**{parameter: value}).encoder()


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (
            DiffractionSpectrum,
            {"intensities": "linear"},
            "intensities = 'linear'; it must be one of full,",
        ),
        (DiffractionSpectrum, {"input_dropout": 1.0}, "input_dropout = 1.0; it must be in [0, 1)"),
        (DiffractionSpectrum, {"l_max": 3}, "l_max = 3; it must be at least 0 and a multiple of 2"),
        (DiffractionSpectrum, {"scattering": "x-ray"}, "Did you mean 'xray'?"),
        (
            DeepKNet,
            {"scattering": "equal", "intensities": "none"},
            "scattering = 'equal' has no effect with intensities = 'none'; leave it at 'xray'",
        ),
        (
            DeepKNet,
            {"intensities": "permuted", "max_index": 0},
            "intensities = 'permuted' permutes them over reflections, but max_index = 0 leaves the basis vectors only",
        ),
        (DiffractionGrid, {"max_index": 0}, "max_index = 0; it must be in [1, 4]"),
        (DiffractionGrid, {"cell": "large"}, "cell = 'large'; it must be one of primitive, conventional"),
        (DeepKNet, {"orientations": -1}, "orientations = -1; it must be at least 0"),
        (DeepKNet, {"max_index": 5}, "max_index = 5; it must be in [-1, 4]"),
        (DeepKNetSphere, {"q_max": 0.0}, "q_max = 0.0; it must be greater than 0"),
        (DeepKNetSphere, {"symprec": -0.1}, "symprec = -0.1; it must be greater than 0"),
    ],
    ids=str,
)
def test_invalid_hyperparameters_are_refused(network: Network, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        network(**options)


OTHER: dict[str, Any] = {
    "width": 16,
    "intensities": "absences",
    "scattering": "neutron",
    "symprec": 0.5,
    "cell": "conventional",
    "layers": 3,
    "input_dropout": 0.3,
    "orientations": 1,
    "max_index": 1,
    "q_max": 0.4,
    "shells": 16,
    "l_max": 4,
}
"""Another value of every hyperparameter of the diffraction networks."""


@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_no_hyperparameter_is_inert(network: Network) -> None:
    structures = known_structures()
    moved = np.random.default_rng(0).normal(scale=0.01, size=structures.frac_coords.shape)
    crystals = changed(structures, frac_coords=structures.frac_coords + moved)

    def embeddings(**options: Any) -> list[np.ndarray]:
        model = made(network, **options)
        torch.manual_seed(0)
        body, data = model.body(), DeviceArrays(model.inputs(unlabelled(crystals)), "cpu")
        found = []
        for training in (False, True):
            torch.manual_seed(0)
            with torch.no_grad():
                found.append(body.train(training)(data.batch(np.arange(len(crystals)))).numpy())
        return found

    expected = embeddings()
    own = set(hyperparameters(network)) - set(hyperparameters(NetworkModel))
    for name in own:
        pairs = zip(expected, embeddings(**{name: OTHER[name]}), strict=True)
        assert any(one.shape != other.shape or not np.allclose(one, other) for one, other in pairs), name


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


@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_rotating_a_crystal_does_not_change_the_prediction(network: Network) -> None:
    crystals = random_crystals(7, 7, most_atoms=3)
    if network in (DiffractionGrid, DeepKNet):  # a cube needs a lattice without more symmetry than the crystal
        crystals = crystals[[6]]
    model = fitted(network)
    np.testing.assert_allclose(predicted(model, rotated(crystals)), predicted(model, crystals), atol=1e-5)


def test_mean_legendre_equals_a_double_sum() -> None:
    rng = np.random.default_rng(0)
    g, weights = rng.normal(size=(31, 3)), rng.random(31)
    g[4] = 0  # the origin
    weights[11:20] = 0  # a crystal of which nothing is seen
    owners = np.repeat([0, 1, 2], [11, 9, 11])
    found = mean_legendre(*(torch.from_numpy(array) for array in (g, weights, owners)), 3).numpy()
    for i, (own, owner) in enumerate(zip(g, owners, strict=True)):
        if i == 4 or owner == 1:
            assert not found[i].any()
            continue
        others = [j for j in np.flatnonzero(owners == owner) if j != 4]
        cosines = g[others] @ own / np.linalg.norm(g[others], axis=1) / np.linalg.norm(own)
        expected = [np.average(eval_legendre(degree, cosines), weights=weights[others]) for degree in (2, 4)]
        np.testing.assert_allclose(found[i], expected, atol=1e-12)


def drift(orientations: int) -> float:
    """Mean change of an untrained embedding when the pattern is rotated, relative to its spread over crystals."""
    data = DeviceArrays(DeepKNet().representation(random_crystals(8, 12)), "cpu")
    batch = data.batch(np.arange(12))
    torch.manual_seed(0)
    encoder = ReflectionsEncoder(3, 32, 2, "full", orientations)
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


@pytest.mark.parametrize("network", [DeepKNet, DeepKNetSphere], ids=named)
def test_splitting_the_reflections_does_not_change_the_prediction(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fitted(network)
    crystals = random_crystals(9, 20)
    expected = predicted(model, crystals)
    monkeypatch.setattr("crystalbench.models.diffraction.deepknet._POINTS_AT_ONCE", 50)
    np.testing.assert_allclose(predicted(model, crystals), expected, atol=1e-5)
