"""Every tunable hyperparameter of every registered model changes the predictions, so no trial is wasted on one."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from helpers import tiny_task
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from crystalbench.data.views import full
from crystalbench.models import Model, Needs, Runtime, get_model, model_names, search_space
from crystalbench.models.model import hyperparameter_types
from crystalbench.runs.visible import VisibleTask
from crystalbench.targets import Kind
from crystalbench.tuning import space_of

QUICK: dict[str, Any] = {
    "epochs": 1,
    "trees": 20,
    "rounds": 100,
    "width": 8,
    "layers": 1,
    "head_width": 8,
    "batch_size": 16,
    "bank": "gong28",
    "q_max": 0.4,
    "shells": 8,
    "l_max": 4,
    "orientations": 2,
    "columns": "cell",
}
"""Hyperparameters of the model that is changed, where it has them."""

CASES = [
    *((name, Kind.REGRESSION) for name in model_names() if search_space(get_model(name))),
    *((name, Kind.BINARY) for name in ("cgcnn", "magpie_forest", "magpie_boosting")),
]


@functools.cache
def visible(kind: Kind, needs: Needs) -> VisibleTask:
    """A tiny task. Its representations are computed once, for all models and fits."""
    return VisibleTask.of(tiny_task(kind, 48), full, needs)


def predicted(model: type[Model], kind: Kind, parameters: dict[str, Any]) -> np.ndarray:
    task, rows = visible(kind, model.needs), np.arange(48)
    made = model.from_configuration(parameters)
    made.runtime = Runtime(seed=1)
    train, valid = (task.samples(rows[place], with_targets=True) for place in (rows % 6 < 4, rows % 6 == 4))
    return made.fit(train, valid).predict(task.samples(rows[rows % 6 == 5], with_targets=False)).values


def another(distribution: BaseDistribution, value: Any) -> Any:
    """A value of the distribution other than this one: the first choice, or an end of the range."""
    if isinstance(distribution, CategoricalDistribution):
        return next(choice for choice in distribution.choices if choice != value)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.low if distribution.low != value else distribution.high


@pytest.mark.parametrize(("name", "kind"), CASES, ids=str)
def test_every_tunable_hyperparameter_changes_the_predictions(name: str, kind: Kind) -> None:
    model = get_model(name)
    start = {key: value for key, value in QUICK.items() if key in hyperparameter_types(model)}
    configuration = model.from_configuration(start).configuration()
    before = predicted(model, kind, configuration)
    inert = []
    for key, distribution in space_of(model, kind).items():
        changed = {**configuration, key: another(distribution, configuration[key])}
        if np.array_equal(predicted(model, kind, changed), before):
            inert.append(key)
    assert inert == []
