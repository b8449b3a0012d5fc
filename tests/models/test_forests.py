from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import TARGETS, random_crystals, samples_of

from crystalbench.data.samples import Samples
from crystalbench.errors import ConfigError
from crystalbench.models.dummy import Dummy
from crystalbench.models.forests.magpie import MagpieBoosting, MagpieForest, MagpieRandomForest, OnMagpieFeatures
from crystalbench.models.model import Runtime
from crystalbench.targets import Kind

FORESTS: list[Any] = [MagpieForest, MagpieRandomForest]
ALGORITHMS: list[Any] = [*FORESTS, MagpieBoosting]


def small(algorithm: type[OnMagpieFeatures], size: int = 5) -> OnMagpieFeatures:
    """A model with few trees."""
    if algorithm is MagpieBoosting:
        return MagpieBoosting(rounds=size, learning_rate=0.2)
    return algorithm.from_configuration({"trees": size})


def with_targets(kind: Kind, *targets: float) -> Samples:
    return Samples(random_crystals(0, len(targets)), TARGETS[kind], np.array(targets))


def test_dummy_predicts_the_mean_of_training_and_validation_rows() -> None:
    model = Dummy().fit(with_targets(Kind.REGRESSION, 1, 2, 3), with_targets(Kind.REGRESSION, 10))
    assert model.predict(with_targets(Kind.REGRESSION, 0, 0)).values.tolist() == [4.0, 4.0]
    assert model.n_parameters == 1


def test_dummy_predicts_frequencies_of_classes() -> None:
    binary = Dummy().fit(with_targets(Kind.BINARY, 1, 1, 0), with_targets(Kind.BINARY, 1))
    assert binary.predict(with_targets(Kind.BINARY, 0)).values.tolist() == [0.75]
    several = Dummy().fit(with_targets(Kind.MULTICLASS, 1, 1, 0), with_targets(Kind.MULTICLASS, 1))
    assert several.predict(with_targets(Kind.MULTICLASS, 2, 0)).values.tolist() == [[0.25, 0.75, 0.0]] * 2
    assert several.n_parameters == 3


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kind", list(Kind))
def test_every_forest_learns(algorithm: Any, kind: Kind) -> None:
    train, valid, test = (samples_of(random_crystals(s, 120, most_atoms=3), kind) for s in (1, 2, 3))
    model = small(algorithm, 25).fit(train, valid)
    predictions = model.predict(test).checked(test.target, test.ids)
    values = predictions.values
    if kind is Kind.REGRESSION:
        errors = np.abs(values - test.targets).mean(), np.abs(test.targets - train.targets.mean()).mean()
        assert errors[0] < 0.5 * errors[1]
        assert (predictions.std is None) == (algorithm is MagpieBoosting)
    else:
        chosen = values.argmax(1) if kind is Kind.MULTICLASS else values > 0.5
        assert (chosen == test.targets).mean() > 0.7


@pytest.mark.parametrize("algorithm", FORESTS)
def test_the_spread_of_the_trees_is_the_standard_deviation(algorithm: Any) -> None:
    train, test = samples_of(random_crystals(1, 30)), samples_of(random_crystals(2, 10))
    model = algorithm(trees=10).fit(train, train)
    predictions = model.predict(test)
    x, y = model._features(train), train.targets
    forest = model._estimator().fit(np.concatenate([x, x]), np.concatenate([y, y]))
    trees = np.array([tree.predict(model._features(test)) for tree in forest.estimators_])
    assert np.array_equal(predictions.values, trees.mean(0))
    assert np.array_equal(predictions.std, trees.std(0))  # type: ignore[arg-type]
    assert (predictions.std > 0).any()  # type: ignore[operator]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_classes_without_training_rows_get_a_probability_too(algorithm: Any) -> None:
    crystals = random_crystals(1, 20)
    train = Samples(crystals, TARGETS[Kind.MULTICLASS], np.where(np.arange(20) % 2, 0.0, 2.0))
    values = small(algorithm).fit(train, train).predict(train)
    checked = values.checked(train.target, train.ids).values
    assert checked.shape == (20, 3)
    assert checked[:, 1].max() < 0.05


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_single_class_in_training_is_accepted(algorithm: Any) -> None:
    train = Samples(random_crystals(1, 20), TARGETS[Kind.BINARY], np.ones(20))
    values = small(algorithm).fit(train, train).predict(train)
    assert values.checked(train.target, train.ids).values.min() > 0.9


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_few_rows_are_enough(algorithm: Any) -> None:
    row = with_targets(Kind.REGRESSION, 3.5)
    values = small(algorithm).fit(row, row).predict(samples_of(random_crystals(2, 4))).values
    np.testing.assert_allclose(values, 3.5, rtol=1e-6)


@pytest.mark.parametrize("algorithm", FORESTS)
@pytest.mark.parametrize("kind", list(Kind))
def test_threads_do_not_change_the_result(algorithm: Any, kind: Kind) -> None:
    train, test = samples_of(random_crystals(1, 60), kind), samples_of(random_crystals(2, 20), kind)
    results = []
    for threads in (1, 2, 2):
        model = algorithm(trees=12)
        model.runtime = Runtime(seed=4, threads=threads)
        results.append(model.fit(train, train).predict(test).values)
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


@pytest.mark.parametrize(
    ("algorithm", "parameters"),
    [
        (MagpieForest, {"trees": 0}),
        (MagpieRandomForest, {"min_samples_leaf": 0}),
        (MagpieForest, {"max_features": 0.0}),
        (MagpieBoosting, {"max_features": 1.5}),
        (MagpieBoosting, {"rounds": 0}),
        (MagpieBoosting, {"learning_rate": 0.0}),
        (MagpieBoosting, {"leaves": 1}),
        (MagpieBoosting, {"trees": 10}),
        (MagpieForest, {"leaves": 10}),
    ],
    ids=str,
)
def test_invalid_hyperparameters_are_refused_before_any_work(algorithm: Any, parameters: dict[str, Any]) -> None:
    (name,) = parameters
    with pytest.raises(ConfigError, match=name):
        algorithm.from_configuration(parameters)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_hyperparameter_is_inert(algorithm: Any) -> None:
    other = {"trees": 7, "rounds": 7, "min_samples_leaf": 3, "max_features": 0.9, "learning_rate": 0.1, "leaves": 4}
    train, test = samples_of(random_crystals(1, 150)), samples_of(random_crystals(2, 20))

    def predicted(**options: Any) -> np.ndarray:
        usual = {"rounds": 20} if algorithm is MagpieBoosting else {"trees": 10}
        return algorithm(**{**usual, **options}).fit(train, train).predict(test).values

    expected = predicted()
    for name in algorithm().configuration():
        assert not np.array_equal(predicted(**{name: other[name]}), expected), name
