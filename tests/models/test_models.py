"""One contract for every registered model: a new one is tested as soon as it is registered."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import TARGETS, random_crystals, read_only, samples_of, targets_for
from optuna.distributions import CategoricalDistribution

from crystalbench._flat import digest_of
from crystalbench.crystals import Crystals
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.models import Model, Needs, Runtime, get_model, model_names, search_space
from crystalbench.models.model import hyperparameter_types
from crystalbench.samples import Kind, Samples

QUICK = {"epochs": 2, "trees": 8, "width": 8, "layers": 1, "head_width": 8, "batch_size": 16}
"""What makes a model fast, where it has such hyperparameters."""

CASES = [(name, kind) for name in model_names() for kind in Kind if kind in get_model(name).kinds]


def made(name: str, seed: int = 0) -> Model:
    model = get_model(name)
    known = hyperparameter_types(model)
    made = model.from_configuration({key: value for key, value in QUICK.items() if key in known})
    made.runtime = Runtime(seed=seed)
    return made


def shown(name: str, crystals: Crystals, kind: Kind, *, with_targets: bool = True) -> Samples:
    """Samples as a run shows them: read-only arrays, and compositions for models that need no more."""
    crystals = read_only(crystals)
    inputs = crystals if get_model(name).needs is Needs.STRUCTURE else crystals.compositions()
    targets = targets_for(crystals, kind) if with_targets else None
    if targets is not None:
        targets.flags.writeable = False
    return Samples(inputs, TARGETS[kind], targets)


def fitted(name: str, kind: Kind, seed: int = 0) -> Model:
    train, valid = random_crystals(1, 24, most_atoms=3), random_crystals(2, 12, most_atoms=3)
    return made(name, seed).fit(shown(name, train, kind), shown(name, valid, kind))


def test_the_models_of_the_first_release_are_registered() -> None:
    assert {"cgcnn", "dummy", "magpie_forest"} <= set(model_names())


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_it_fits_and_predicts_every_kind_it_declares(name: str, kind: Kind) -> None:
    model = fitted(name, kind)
    test = shown(name, random_crystals(3, 15), kind, with_targets=False)
    assert not test.has_targets
    predictions = model.predict(test).checked(TARGETS[kind], test.ids)
    assert len(predictions.values) == 15
    again = model.predict(test).checked(TARGETS[kind], test.ids)
    assert np.array_equal(predictions.values, again.values)
    assert model.n_parameters is None or model.n_parameters >= 1


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_same_seed_gives_the_same_predictions(name: str, kind: Kind) -> None:
    test = shown(name, random_crystals(4, 15), kind, with_targets=False)
    np.random.seed(1)  # noqa: NPY002  (whatever happened before)
    one = fitted(name, kind, seed=2**31 - 1).predict(test)
    np.random.seed(2)  # noqa: NPY002
    other = fitted(name, kind, seed=2**31 - 1).predict(test)
    assert np.array_equal(one.values, other.values)
    if one.std is not None and other.std is not None:
        assert np.array_equal(one.std, other.std)


@pytest.mark.parametrize("name", model_names())
def test_every_row_is_predicted_by_itself(name: str) -> None:
    crystals = random_crystals(5, 10)
    model = fitted(name, Kind.REGRESSION)
    together = model.predict(shown(name, crystals, Kind.REGRESSION, with_targets=False)).values
    order = np.random.default_rng(0).permutation(10)
    mixed = model.predict(shown(name, crystals[order], Kind.REGRESSION, with_targets=False)).values
    np.testing.assert_allclose(mixed, together[order], atol=1e-5)
    single = [model.predict(shown(name, crystals[[i]], Kind.REGRESSION, with_targets=False)).values[0] for i in (0, 9)]
    np.testing.assert_allclose(single, together[[0, 9]], atol=1e-5)


@pytest.mark.parametrize("name", model_names())
def test_strange_crystals_are_predicted(name: str) -> None:
    model = fitted(name, Kind.REGRESSION)
    rng = np.random.default_rng(0)
    every_element = Crystals.from_flat(
        np.tile(np.eye(3) * 4.0, (118, 1, 1)), rng.uniform(-3, 3, (118, 3)), np.arange(1, 119), np.ones(118, int)
    )
    large = Crystals.from_flat([np.eye(3) * 14.0], rng.random((200, 3)), rng.integers(1, 104, 200), [200])
    isolated = Crystals.from_flat([np.eye(3) * 100.0], [[0.1, 0.2, 0.3]], [99], [1])
    for crystals in (every_element, large, isolated):
        test = shown(name, crystals, Kind.REGRESSION, with_targets=False)
        model.predict(test).checked(test.target, test.ids)


@pytest.mark.parametrize("name", model_names())
def test_its_input_is_not_changed(name: str) -> None:
    train, valid, test = (
        shown(name, random_crystals(s, 20, most_atoms=3), Kind.REGRESSION, with_targets=s < 3) for s in (1, 2, 3)
    )
    before = [digest_of(s.inputs.to_arrays()) for s in (train, valid, test)]
    targets = train.targets.copy()
    made(name).fit(train, valid).predict(test)
    assert [digest_of(s.inputs.to_arrays()) for s in (train, valid, test)] == before
    assert np.array_equal(train.targets, targets)


@pytest.mark.parametrize("name", model_names())
def test_it_sees_only_what_it_says_that_it_needs(name: str) -> None:
    crystals, test = random_crystals(1, 24, most_atoms=3), random_crystals(3, 8)
    if get_model(name).needs is Needs.STRUCTURE:
        samples = samples_of(crystals.compositions())
        with pytest.raises(DataError):
            made(name).fit(samples, samples)
    else:
        one, other = (
            made(name)
            .fit(samples_of(inputs), samples_of(inputs))
            .predict(Samples(asked, TARGETS[Kind.REGRESSION]))
            .values
            for inputs, asked in ((crystals, test), (crystals.compositions(), test.compositions()))
        )
        assert np.array_equal(one, other)


@pytest.mark.parametrize("name", model_names())
def test_its_search_space_holds_its_defaults(name: str) -> None:
    model = get_model(name)
    defaults = model().configuration()  # type: ignore[call-arg]
    space = search_space(model)
    assert set(space) <= set(defaults)
    for parameter, distribution in space.items():
        value = defaults[parameter]
        if isinstance(distribution, CategoricalDistribution):
            assert value in distribution.choices
        else:
            assert distribution.low <= value <= distribution.high  # type: ignore[attr-defined]
        assert distribution._contains(distribution.to_internal_repr(value))


@pytest.mark.parametrize("name", model_names())
def test_every_corner_of_its_search_space_can_be_made(name: str) -> None:
    model = get_model(name)
    for parameter, distribution in search_space(model).items():
        ends: Any = getattr(distribution, "choices", None) or (distribution.low, distribution.high)  # type: ignore[attr-defined]
        for value in ends:
            assert model.from_configuration({parameter: value}).configuration()[parameter] == value


@pytest.mark.parametrize("name", model_names())
def test_its_configuration_is_plain_and_complete(name: str) -> None:
    model = get_model(name)
    configuration = model().configuration()  # type: ignore[call-arg]
    assert model.from_configuration(configuration).configuration() == configuration
    assert all(isinstance(value, (bool, int, float, str, type(None))) for value in configuration.values())
    for parameter, value in configuration.items():
        wrong: Any = 3 if isinstance(value, str) else "many"
        with pytest.raises(ConfigError, match=f"{parameter} = .* it must be"):
            model.from_configuration({parameter: wrong})
        with pytest.raises(UnknownNameError, match=f"Did you mean .*{parameter}"):
            model.from_configuration({f"{parameter}s": value})


@pytest.mark.parametrize("name", model_names())
def test_it_says_what_it_is(name: str) -> None:
    model = get_model(name)
    assert isinstance(model.needs, Needs)
    assert model.kinds
    assert model.version >= 1
    documentation = inspect.getdoc(model) or ""
    assert documentation.splitlines()[0].endswith((".", ")"))
    described = "\n".join(inspect.getdoc(c) or "" for c in model.__mro__)
    for parameter in hyperparameter_types(model):
        assert f"{parameter}:" in described, f"{name} does not document {parameter}"


@pytest.mark.parametrize("name", model_names())
def test_progress_is_reported_to_the_end(name: str) -> None:
    calls: list[tuple[int, int]] = []
    model = made(name)
    model.runtime = Runtime(progress=lambda done, total, **_: calls.append((done, total)))
    samples = shown(name, random_crystals(1, 24, most_atoms=3), Kind.REGRESSION)
    model.fit(samples, samples)
    assert all(0 <= done <= total for done, total in calls)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


# ---------------------------------------------------------------------- finding models


def test_unknown_models_offer_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown model 'cgcn'\. Did you mean 'cgcnn'"):
        get_model("cgcn")


def test_things_that_are_no_models_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "things.py"
    file.write_text(
        "from crystalbench.models import Model, Needs\n"
        "number = 3\n"
        "class Half(Model):\n"
        "    needs = Needs.COMPOSITION\n"
        "    def fit(self, train, valid):\n"
        "        return self\n"
        "class Mute(Half):\n"
        "    needs = None\n"
        "    def predict(self, samples):\n"
        "        return None\n"
    )
    with pytest.raises(ConfigError, match=r"is 3; it must be a subclass of crystalbench\.models\.Model"):
        get_model(f"{file}:number")
    with pytest.raises(ConfigError, match="does not define predict"):
        get_model(f"{file}:Half")
    with pytest.raises(ConfigError, match="must say what it needs"):
        get_model(f"{file}:Mute")
    assert get_model("crystalbench.models.dummy:Dummy") is get_model("dummy")
