"""Studies with given trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from helpers import spec
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from crystalbench.results.spec import TuningSpec
from crystalbench.results.study import State, Study, Trial
from crystalbench.tuning.space import space_as_json

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(1e-4, 1.0, log=True),
    "kind": CategoricalDistribution(("a", "b")),
}


def study(count: int = 8, **changes: Any) -> Study:
    """Trial 5 is the best; x alone matters."""
    states: list[State] = ["failed" if n == 2 else "pruned" if n == 3 else "complete" for n in range(count)]
    made = [
        Trial(
            number=n,
            state=state,
            error="no bowl" if state == "failed" else None,
            parameters={"x": 0.001 * 1.3 ** abs(n - 5), "kind": "ab"[n % 2]},
            value=abs(n - 5) + 0.5 if state == "complete" else None,
            intermediate=[(5, 1.0 + n)],
            seconds=2.0,
        )
        for n, state in enumerate(states)
    ]
    parameters = {"x": 0.5, "kind": "a", "epochs": 7, "name": 'of "me"', "flag": True, "tiny": 1e-30}
    question = spec(model="cgcnn", parameters=parameters, tuning=TuningSpec(trials=count, space="a" * 64))
    plain: dict[str, Any] = {"spec": question, "label": "mine", "metric": "mae", "higher_is_better": False}
    return Study(**{**plain, "unit": "eV", "space": space_as_json(SPACE), "trials": made, "finished": "now", **changes})


def of_values(*values: float | None, space: Mapping[str, BaseDistribution] = SPACE, **changes: Any) -> Study:
    """A study whose trials have these values of the metric; None failed."""
    made = []
    for n, value in enumerate(values):
        drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=n)).ask(dict(space)).params
        how: dict[str, Any] = {"state": "complete", "value": value}
        if value is None:
            how = {"state": "failed", "error": "ToyError: no x"}
        made.append(Trial(number=n, parameters=drawn, **how))
    return study(**{"trials": made, "space": space_as_json(space), **changes})
