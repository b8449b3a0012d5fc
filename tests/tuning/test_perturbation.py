from __future__ import annotations

import math

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from crystalbench.tuning.perturbation import near

SPACE: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "share": FloatDistribution(0.0, 1.0, step=0.25),
    "trees": IntDistribution(100, 1000, step=100),
    "leaf": IntDistribution(1, 20, log=True),
    "layers": IntDistribution(1, 2),
    "kind": CategoricalDistribution(("a", "b", None)),
    "only": IntDistribution(3, 3),
}
DEFAULT = {"rate": 1e-4, "share": 0.5, "trees": 500, "leaf": 1, "layers": 1, "kind": "a", "only": 3}


def test_one_to_three_hyperparameters_are_changed_within_the_space() -> None:
    random = np.random.default_rng(0)
    made = [near(DEFAULT, SPACE, random) for _ in range(300)]
    counts = [sum(found[name] != DEFAULT[name] for name in SPACE) for found in made]
    assert set(counts) == {1, 2, 3}
    for name, distribution in SPACE.items():
        values = {found[name] for found in made}
        assert all(distribution._contains(distribution.to_internal_repr(value)) for value in values)
        assert all(type(value) is type(DEFAULT[name]) for value in values if value is not None)
        assert (len(values) == 1) == (name == "only")
    assert {found["kind"] for found in made} == {"a", "b", None}


def test_numbers_stay_near_on_the_scale_of_their_distribution() -> None:
    random = np.random.default_rng(0)
    default = {"rate": 3e-3}
    moved = [near(default, {"rate": SPACE["rate"]}, random)["rate"] for _ in range(300)]
    steps = np.log(np.array(moved) / 3e-3) / math.log(1e3)  # as a share of the range
    assert np.median(np.abs(steps)) == pytest.approx(0.17, abs=0.04)  # of a normal with deviation 0.25


def test_a_space_without_alternatives_leaves_the_default() -> None:
    assert near({"only": 3}, {"only": SPACE["only"]}, np.random.default_rng(0)) == {"only": 3}
