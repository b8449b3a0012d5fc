"""Intervals for statistics of several models' errors on the same test rows, by the paired bootstrap.

The scores of two models on one test part are not independent: a row that is hard for one model is often hard for the
other. So each draw of rows is used for all models, and a ratio of two mean errors is more certain than each of them.

The resampling is our own. `scipy.stats.bootstrap` with ``paired=True`` and one statistic that returns the mean errors
of all models gives intervals of the same quality; it takes about half the time (8 models, 10,000 draws of 10,000 rows:
2.1 s against 4.8 s; of 288 rows: 0.07 s against 0.17 s) in the same memory if its batches are small. But its draws
differ, so it would change the last digits of the committed page on periodicity, e.g. 82.1 % (72.7 to 89.0) to
82.1 % (72.5 to 89.0). Undefined ratios need our own handling either way (see `share`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from crystalbench.errors import DataError
from crystalbench.evaluation.predicted import FloatArray, PredictedRows, predicted_rows

__all__ = ["DRAWS", "Estimate", "PairedErrors", "PredictedRows", "predicted_rows", "reduction", "share"]

Statistic: TypeAlias = Callable[[Mapping[str, FloatArray]], FloatArray]
"""From mean errors by name to a number, for many draws of the rows at once."""

DRAWS = 10_000
LEVEL = 0.95
_AT_ONCE = 1 << 22  # row counts of draws in memory at a time


@dataclass(frozen=True)
class Estimate:
    """A number with the central 95 % of its bootstrap draws, i.e. its uncertainty from the choice of the test rows.

    Each of the three is NaN if it is undefined; see `reduction` and `share`.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class PairedErrors:
    """Errors of several models on the same n rows.

    Attributes:
        errors: (n,) absolute errors by name.
        draws: number of bootstrap samples, each of n rows drawn with replacement.
        seed: seed of the draws.

    Raises:
        DataError: the errors differ in length, or there are none.

    Example:
        >>> errors = PairedErrors({"plain": np.array([4.0, 2.0, 6.0]), "better": np.array([2.0, 1.0, 3.0])})
        >>> errors.estimate(reduction("better", "plain"))
        Estimate(value=0.5, low=0.5, high=0.5)
    """

    errors: Mapping[str, FloatArray]
    draws: int = DRAWS
    seed: int = 0

    def __post_init__(self) -> None:
        lengths = {name: len(errors) for name, errors in self.errors.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise DataError(f"errors must be of the same rows, at least one; their numbers are {lengths or 'missing'}")

    @cached_property
    def means(self) -> dict[str, FloatArray]:
        """Mean error by name, as arrays of shape ()."""
        return {name: np.asarray(np.mean(errors)) for name, errors in self.errors.items()}

    @cached_property
    def resampled(self) -> dict[str, FloatArray]:
        """(draws,) mean errors by name; a draw has the same rows for all models."""
        stacked = np.stack([np.asarray(errors, np.float64) for errors in self.errors.values()])
        n = stacked.shape[1]
        rng = np.random.default_rng(self.seed)
        means = np.empty((len(stacked), self.draws))
        step = max(1, _AT_ONCE // n)
        for start in range(0, self.draws, step):
            stop = min(start + step, self.draws)
            times = rng.multinomial(n, np.full(n, 1 / n), size=stop - start)
            means[:, start:stop] = stacked @ times.T / n
        return dict(zip(self.errors, means, strict=True))

    def estimate(self, statistic: Statistic) -> Estimate:
        """A statistic of the mean errors with its interval (percentiles of the draws)."""
        tail = 100 * (1 - LEVEL) / 2
        low, high = np.percentile(statistic(self.resampled), (tail, 100 - tail))
        return Estimate(float(statistic(self.means)), float(low), float(high))


def reduction(name: str, reference: str) -> Statistic:
    """Relative reduction of the mean error with respect to a reference: 1 − e / e_reference.

    The value is defined if the reference has a positive error, the interval if it has one in every draw of the rows.
    """
    return lambda errors: 1 - _ratio(errors[name], errors[reference])


def share(name: str, full: str, reference: str) -> Statistic:
    """Reduction of the error by one model as a share of the reduction by another: above 1 if it is larger.

    The share is (e_reference − e) / (e_reference − e_full), defined if `full` changes the error. Its interval is
    defined only if the reduction by `full` has the same sign in every draw of the rows. If it may be zero, the ratio
    has draws of any size and of both signs, and their percentiles bound nothing.
    """
    return lambda errors: _ratio(errors[reference] - errors[name], errors[reference] - errors[full])


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Quotients of all draws; all are NaN if the denominator is zero in one draw or changes its sign."""
    if np.min(denominator) > 0 or np.max(denominator) < 0:
        return np.asarray(numerator / denominator)
    return np.full(np.shape(denominator), np.nan)
