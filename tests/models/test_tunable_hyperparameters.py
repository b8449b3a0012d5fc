"""Every tunable hyperparameter of every registered model changes the predictions, so no trial is wasted on one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import random_crystals, samples_of
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from crystalbench.data.samples import Samples
from crystalbench.models import Model, Runtime, get_model, model_names, search_space
from crystalbench.models.model import hyperparameter_types
from crystalbench.targets import Kind
from crystalbench.tuning import space_of

QUICK: dict[str, Any] = {
    "epochs": 1,
    "trees": 20,
    "rounds": 20,
    "width": 8,
    "layers": 1,
    "head_width": 8,
    "batch_size": 16,
    "bank": "gong28",
    "q_max": 0.4,
    "shells": 8,
    "l_max": 4,
    "orientations": 2,
}
"""Hyperparameters of the model that is changed, where it has them."""

TUNABLE = [name for name in model_names() if search_space(get_model(name))]


@pytest.fixture(scope="module")
def parts() -> dict[Kind, list[Samples]]:
    """Rows to fit, to validate and to predict. Models share their representations."""
    crystals = random_crystals(0, 48, most_atoms=3)
    samples = {kind: samples_of(crystals, kind) for kind in (Kind.REGRESSION, Kind.BINARY)}
    places = [np.arange(48) % 6 < 4, np.arange(48) % 6 == 4, np.arange(48) % 6 == 5]
    return {kind: [found[np.flatnonzero(place)] for place in places] for kind, found in samples.items()}


def predicted(model: type[Model], parameters: dict[str, Any], parts: list[Samples]) -> np.ndarray:
    train, valid, test = parts
    made = model.from_configuration(parameters)
    made.runtime = Runtime(seed=1)
    return made.fit(train, valid).predict(test.to_predict()).values


def another(distribution: BaseDistribution, value: Any) -> Any:
    """A value of the distribution other than this one: the first choice, or an end of the range."""
    if isinstance(distribution, CategoricalDistribution):
        return next(choice for choice in distribution.choices if choice != value)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.low if distribution.low != value else distribution.high


@pytest.mark.parametrize("kind", [Kind.REGRESSION, Kind.BINARY], ids=str)
@pytest.mark.parametrize("name", TUNABLE)
def test_every_tunable_hyperparameter_changes_the_predictions(
    name: str, kind: Kind, parts: dict[Kind, list[Samples]]
) -> None:
    model = get_model(name)
    start = {key: value for key, value in QUICK.items() if key in hyperparameter_types(model)}
    configuration = model.from_configuration(start).configuration()
    before = predicted(model, configuration, parts[kind])
    inert = [
        key
        for key, distribution in space_of(model, kind).items()
        if np.array_equal(
            predicted(model, {**configuration, key: another(distribution, configuration[key])}, parts[kind]), before
        )
    ]
    assert inert == []
