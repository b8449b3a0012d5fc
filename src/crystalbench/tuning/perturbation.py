"""Configurations near the default, with which a study begins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

MOST_CHANGED = 3
"""Largest number of hyperparameters that differ from the default."""

SPREAD = 0.25
"""Standard deviation of the change of a number, as a share of the range of its distribution."""


def near(
    default: Mapping[str, Any], space: Mapping[str, BaseDistribution], random: np.random.Generator
) -> dict[str, Any]:
    """The default with one to three hyperparameters changed, chosen at random.

    A number is moved by a normal deviate, on a logarithmic scale if its distribution has one; a choice is replaced by
    another one.

    Args:
        default: value of each hyperparameter of the space.
        space: the search space.
        random: source of randomness.
    """
    free = [name for name in sorted(space) if not space[name].single()]
    count = random.integers(1, min(MOST_CHANGED, len(free)), endpoint=True) if free else 0
    changed = [free[place] for place in random.choice(len(free), count, replace=False)] if free else []
    return {**default, **{name: _moved(default[name], space[name], random) for name in changed}}


def _moved(value: Any, distribution: BaseDistribution, random: np.random.Generator) -> Any:
    """Another value of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        others = [choice for choice in distribution.choices if choice != value]
        return others[random.integers(len(others))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    scale, inverse = (math.log, math.exp) if distribution.log else (float, float)
    spread = SPREAD * (scale(distribution.high) - scale(distribution.low))
    while True:
        moved = _rounded(inverse(random.normal(scale(value), spread)), distribution)
        if distribution.low <= moved <= distribution.high and moved != value:
            return moved


def _rounded(value: float, distribution: FloatDistribution | IntDistribution) -> float:
    """The nearest value of the distribution's grid, if it has one."""
    if distribution.step is None:
        return value
    on_grid = distribution.low + distribution.step * round((value - distribution.low) / distribution.step)
    return int(on_grid) if isinstance(distribution, IntDistribution) else on_grid
