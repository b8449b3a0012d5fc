"""Columns of descriptors made fit for a model: imputed and scaled by what the rows to fit say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

LARGEST = float(np.finfo(np.float32).max)
"""Models read single precision; larger values are cut to this."""


def within_range(values: Values) -> Values:
    """A copy in which infinite values are missing (NaN) and others are within the range of single precision."""
    return np.asarray(np.clip(np.where(np.isinf(values), np.nan, values), -LARGEST, LARGEST))


@dataclass(frozen=True)
class Imputation:
    """Replaces what is missing (NaN) in a column by the median of the rows to fit.

    Attributes:
        medians: (d,) of each column; 0 where all rows to fit lack it.
    """

    medians: Values

    @classmethod
    def fitted(cls, values: Values) -> Imputation:
        """From the rows to fit (n, d)."""
        return cls(np.array([np.median(known) if len(known := v[~np.isnan(v)]) else 0.0 for v in values.T]))

    def __call__(self, values: Values) -> Values:
        """(n, d) without gaps."""
        return np.where(np.isnan(values), self.medians, values)


@dataclass(frozen=True)
class Scaling:
    """Columns in standard deviations from the mean over the rows to fit, at most `REACH` of them.

    Attributes:
        means: (d,) of each column.
        scales: (d,) standard deviations; 1 where a column is constant.
    """

    means: Values
    scales: Values

    REACH = 5.0

    @classmethod
    def fitted(cls, values: Values) -> Scaling:
        """From the rows to fit (n, d), which have no gaps."""
        spread = values.std(0)
        constant = spread <= 1e-9 * np.maximum(1, np.abs(values).max(0))  # but for round-off
        return cls(values.mean(0), np.where(constant, 1.0, spread))

    def __call__(self, values: Values) -> Values:
        """(n, d), scaled."""
        return np.asarray(np.clip((values - self.means) / self.scales, -self.REACH, self.REACH))
