"""Preprocessing of descriptor columns: imputation by medians and standardisation.

On our descriptors scikit-learn's ``SimpleImputer`` and ``StandardScaler`` give identical numbers. They
are not used here because fitted ones cannot be rebuilt from plain arrays, as loading a saved model must do
(``transform`` needs private attributes that only ``fit`` sets), and because importing them takes 1.4 s, as long as
importing torch. They also treat a column as constant only if its spread is near the machine precision, whereas
`Scaling` allows for round-off of 1e-9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals
from crystalbench.data.views.rows import generator

Values = npt.NDArray[np.float64]

LARGEST = float(np.finfo(np.float32).max)
"""Models read single precision; larger values are clipped to this."""


def within_range(values: Values) -> Values:
    """A copy in which infinite values are NaN (missing) and the others are clipped to the range of single precision."""
    return np.asarray(np.clip(np.where(np.isinf(values), np.nan, values), -LARGEST, LARGEST))


@dataclass(frozen=True, eq=False)
class Exchanged:
    """The columns of another crystal in place of a crystal's own: they have the same distribution and say nothing.

    Which one follows from the crystal, so that rows are independent and ids have no influence.

    Attributes:
        pool: (m, d) columns of the rows to fit.
    """

    pool: Values

    def __call__(self, crystals: Crystals) -> Values:
        """(n, d) rows of the pool."""
        owners = zip(crystals.offsets[:-1], crystals.offsets[1:], strict=True)
        parts = [(lattice, crystals.numbers[a:b]) for lattice, (a, b) in zip(crystals.lattices, owners, strict=True)]
        return self.pool[[generator(*part).integers(len(self.pool)) for part in parts]]


@dataclass(frozen=True)
class Imputation:
    """Replaces missing values (NaN) of a column by its median over the rows to fit.

    Attributes:
        medians: (d,) of each column; 0 for a column that is missing in all rows to fit.
    """

    medians: Values

    @classmethod
    def fit(cls, values: Values) -> Imputation:
        """Compute the medians of the rows to fit (n, d)."""
        return cls(np.array([np.median(known) if len(known := v[~np.isnan(v)]) else 0.0 for v in values.T]))

    def __call__(self, values: Values) -> Values:
        """(n, d) without missing values."""
        return np.where(np.isnan(values), self.medians, values)


@dataclass(frozen=True)
class Scaling:
    """Clips columns to their range over the rows to fit, standardises them, and clips the result to ±`LIMIT`.

    A network has learned nothing about values outside the range. A column that is constant over the rows to fit stays
    so: its weights are not trained, and would add noise wherever it differs.

    Attributes:
        means: (d,) of each column.
        scales: (d,) standard deviations; 1 for a constant column.
        lowest: (d,) least value of each column.
        highest: (d,) greatest value of each column.
    """

    means: Values
    scales: Values
    lowest: Values
    highest: Values

    LIMIT = 5.0

    @classmethod
    def fit(cls, values: Values) -> Scaling:
        """Compute means, standard deviations and ranges of the rows to fit (n, d), which have no missing values."""
        spread = values.std(0)
        constant = spread <= 1e-9 * np.maximum(1, np.abs(values).max(0))  # up to round-off
        return cls(values.mean(0), np.where(constant, 1.0, spread), values.min(0), values.max(0))

    def __call__(self, values: Values) -> Values:
        """(n, d), standardised."""
        within = np.clip(values, self.lowest, self.highest)
        return np.asarray(np.clip((within - self.means) / self.scales, -self.LIMIT, self.LIMIT))
