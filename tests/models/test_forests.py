from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import TARGETS, random_crystals, samples_of, targets_for

from crystalbench.data.compositions import Compositions
from crystalbench.data.samples import Samples
from crystalbench.errors import ConfigError
from crystalbench.models import load_model, save_model
from crystalbench.models.dummy import Dummy
from crystalbench.models.forests.labels import Standardisation
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
@pytest.mark.parametrize("aggregate", ["median", "mean"])
def test_median_or_mean_and_standard_deviation_are_those_of_the_trees(algorithm: Any, aggregate: str) -> None:
    train, test = samples_of(random_crystals(1, 30)), samples_of(random_crystals(2, 10))
    model = algorithm(trees=10, min_samples_leaf=2, aggregate=aggregate).fit(train, train)
    predictions = model.predict(test)
    x, y = model._features(train), train.targets
    labels = Standardisation.fit(y)(y)
    forest = model._estimator(10, 2).fit(np.concatenate([x, x]), np.concatenate([labels, labels]))
    trees = y.mean() + y.std() * np.array([tree.predict(model._features(test)) for tree in forest.estimators_])
    expected = np.median(trees, axis=0) if aggregate == "median" else trees.mean(0)
    np.testing.assert_allclose(predictions.values, expected, rtol=1e-12)
    np.testing.assert_allclose(predictions.std, trees.std(0), rtol=1e-12)  # type: ignore[arg-type]
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
        (MagpieForest, {"aggregate": "mode"}),
    ],
    ids=str,
)
def test_invalid_hyperparameters_are_refused_before_any_work(algorithm: Any, parameters: dict[str, Any]) -> None:
    (name,) = parameters
    with pytest.raises(ConfigError, match=name):
        algorithm.from_configuration(parameters)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_hyperparameter_is_inert(algorithm: Any) -> None:
    other: dict[str, Any] = {"trees": 7, "rounds": 7, "min_samples_leaf": 3, "max_features": 0.9}
    other |= {"learning_rate": 0.1, "leaves": 4, "aggregate": "mean"}
    train, test = samples_of(random_crystals(1, 150)), samples_of(random_crystals(2, 20))

    def predicted(**options: Any) -> np.ndarray:
        usual = {"rounds": 20} if algorithm is MagpieBoosting else {"trees": 10}
        return algorithm(**{**usual, **options}).fit(train, train).predict(test).values

    expected = predicted()
    for name in algorithm().configuration():
        assert not np.array_equal(predicted(**{name: other[name]}), expected), name


# ---------------------------------------------------------------------- standardised targets


def in_other_units(samples: Samples, factor: float, offset: float) -> Samples:
    return Samples(samples.inputs, samples.target, samples.targets * factor + offset)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("factor", "offset"),
    [(1e-31, 0.0), (1e31, 0.0), (9.1e-31, 0.0), (1.0, -1e5), (-3.7, 12.0), (1e-3, 1e3), (1e-200, 0.0)],
)
def test_the_unit_and_the_origin_of_a_target_have_no_influence(algorithm: Any, factor: float, offset: float) -> None:
    """Negating the targets, too: a median or an absolute error does not distinguish directions."""
    train, valid, test = (samples_of(random_crystals(s, n)) for s, n in ((1, 90), (2, 20), (3, 30)))
    expected = small(algorithm, 20).fit(train, valid).predict(test)
    other = [in_other_units(samples, factor, offset) for samples in (train, valid)]
    found = small(algorithm, 20).fit(*other).predict(test)
    spread = train.targets.std()
    accuracy = 1e-9 * spread + 4e-16 * abs(offset / factor)  # of one value in double precision
    np.testing.assert_allclose((found.values - offset) / factor, expected.values, rtol=0, atol=accuracy)
    if expected.std is not None:
        assert found.std is not None
        np.testing.assert_allclose(found.std / abs(factor), expected.std, rtol=0, atol=accuracy)


def test_standardised_targets_have_mean_0_and_standard_deviation_1() -> None:
    targets = np.array([1.0, 2.0, 4.0, 9.0])
    standardisation = Standardisation.fit(targets)
    labels = standardisation(targets)
    assert labels.mean() == pytest.approx(0, abs=1e-7)
    assert labels.std() == pytest.approx(1, abs=1e-7)
    np.testing.assert_allclose(standardisation.inverse(labels), targets, atol=1e-6)
    assert Standardisation.fit(np.full(3, 7.0)) == Standardisation(7.0, 1.0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_saving_keeps_the_unit_and_the_leaf_size(algorithm: Any, tmp_path: Path) -> None:
    train, test = in_other_units(samples_of(random_crystals(1, 30)), 1e-20, 5e-20), samples_of(random_crystals(2, 9))
    model = small(algorithm).fit(train, train)
    save_model(model, tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert np.array_equal(again.predict(test).values, model.predict(test).values)
    assert getattr(again, "leaf_size", None) == getattr(model, "leaf_size", None)


# ---------------------------------------------------------------------- what validation rows choose


def pairs(kind: Kind, noise: float, compositions: int = 250) -> Samples:
    """Each composition occurs twice, in random order; the two labels have independent noise, like polymorphs."""
    rng = np.random.default_rng(0)
    formulas = [f"{a}{i}{b}{j}" for a in ("Fe", "Na", "Ti", "Cu") for b in ("O", "Cl", "S") for i, j in GRID]
    chosen = rng.permutation(np.repeat(rng.permutation(formulas)[:compositions], 2))
    inputs = Compositions.from_formulas(list(chosen), [str(i) for i in range(len(chosen))])
    values = targets_for(inputs, Kind.REGRESSION)
    values = (values - values.mean()) / values.std() + noise * rng.normal(size=len(values))
    return Samples(inputs, TARGETS[kind], values if kind is Kind.REGRESSION else (values > 0).astype(float))


GRID = [(i, j) for i in range(1, 7) for j in range(1, 7)]


@pytest.mark.parametrize("kind", [Kind.REGRESSION, Kind.BINARY])
def test_where_equal_compositions_have_different_labels_leaves_are_larger_and_errors_smaller(kind: Kind) -> None:
    rows = pairs(kind, noise=2.0)
    train, valid, test = rows[:330], rows[330:400], rows[400:]

    def error(model: Any) -> float:
        errors = np.abs(model.fit(train, valid).predict(test).values - test.targets)
        return float((errors if kind is Kind.REGRESSION else errors**2).mean())

    model = MagpieForest(trees=50)
    chosen, grown, dummy = error(model), error(MagpieForest(trees=50, min_samples_leaf=1)), error(Dummy())
    assert model.leaf_size > 1
    assert chosen < grown
    if kind is Kind.REGRESSION:  # classes are all but random here
        assert chosen < dummy < grown


@pytest.mark.parametrize("kind", [Kind.REGRESSION, Kind.BINARY])
def test_where_equal_compositions_have_equal_labels_trees_are_fully_grown(kind: Kind) -> None:
    rows = pairs(kind, noise=0.0, compositions=60)
    assert MagpieForest(trees=20).fit(rows[:90], rows[90:]).leaf_size == 1


def test_a_single_validation_row_chooses_nothing() -> None:
    rows = pairs(Kind.REGRESSION, noise=2.0, compositions=40)
    assert MagpieForest(trees=5).fit(rows[:-1], rows[-1:]).leaf_size == 1


def test_a_leaf_size_that_is_given_is_used() -> None:
    rows = samples_of(random_crystals(1, 30))
    model = MagpieForest(trees=5, min_samples_leaf=7).fit(rows, rows)
    assert model.leaf_size == 7
    assert len(model._trees.value) < MagpieForest(trees=5, min_samples_leaf=2).fit(rows, rows)._trees.value.shape[0]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_validation_rows_are_fitted_in_the_end(algorithm: Any) -> None:
    """Rows far from all others, with a label of their own, are predicted only by a model that has fitted them."""
    crystals = random_crystals(1, 60)
    far = Compositions.from_formulas(["H"] * 20, [f"far{i}" for i in range(20)])
    train = Samples(crystals.compositions(), TARGETS[Kind.REGRESSION], targets_for(crystals, Kind.REGRESSION))
    valid = Samples(far, TARGETS[Kind.REGRESSION], np.full(20, train.targets.max() + 50.0))
    values = small(algorithm, 40).fit(train, valid).predict(valid).values
    assert values.min() > train.targets.max()
