"""ZeroShot: one physical quantity that a potential computes, on the scale of the target."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from crystalbench.data.samples import Predictions
from crystalbench.models.model import Model, Needs
from crystalbench.models.potentials.columns import Parts, PotentialName, ReadsPotential
from crystalbench.targets import Kind

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples

Floats = npt.NDArray[np.float64]

INNER_FOLDS = 5
"""Folds of the training part on which columns are compared."""
_ROUNDS = 50
_LEAST = 1.0  # smaller values have no logarithm, which would amplify the round-off of small forces and stresses
_LEAST_KNOWN = 0.5  # share of rows in which a column has to be known

log = logging.getLogger(__name__)


@dataclass
class ZeroShot(ReadsPotential, Model):
    """A line through one column that is computed with a potential: what its physics says before any learning.

    The training part chooses the column, and whether its logarithm is taken, by the mean absolute error on five inner
    folds; slope and intercept are fitted to all rows for the least absolute error. A column must be known (and, for the
    logarithm, positive) in at least half of the rows. A crystal for which it is unknown gets the median of the training
    targets.

    Attributes:
        potential: registered name or place of a potential, such as ``chgnet`` or ``sevennet``.
        columns: parts of the potential's columns to choose from, joined by ``+``.
        chosen: name of the chosen column; not a hyperparameter.
    """

    needs: ClassVar[Needs] = Needs.STRUCTURE
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.REGRESSION})

    potential: PotentialName = "chgnet"
    columns: Parts = "cell+harmonic"

    def fit(self, train: Samples, valid: Samples) -> Self:
        """Choose a column and fit the line on the rows of both parts."""
        self.target = train.target
        x = np.concatenate([self._candidates(part) for part in (train, valid)])
        y = np.concatenate([train.targets, valid.targets])
        self._median = float(np.median(y))
        folds = np.arange(len(y))[np.random.default_rng(self.runtime.seed).permutation(len(y))] % INNER_FOLDS
        errors = np.zeros(x.shape[1])
        for fold in range(INNER_FOLDS):
            held = folds == fold
            if held.any() and not held.all():
                lines = robust_lines(x[~held], y[~held])
                errors += np.abs(self._on_lines(x[held], *lines, float(np.median(y[~held]))) - y[held, None]).sum(0)
        errors[np.isnan(x).mean(0) > 1 - _LEAST_KNOWN] = np.inf
        self._column = int(errors.argmin())
        slopes, intercepts = robust_lines(x[:, [self._column]], y)
        self._slope, self._intercept = float(slopes[0]), float(intercepts[0])
        labels = self.potential_labels()
        logarithm = self._column >= len(labels)
        label = labels[self._column % len(labels)]
        self.chosen = f"log10 {label}" if logarithm else label
        log.info("column %s, slope %.4g, intercept %.4g", self.chosen, self._slope, self._intercept)
        return self

    def predict(self, samples: Samples) -> Predictions:
        """Predict with the line."""
        x = self._candidates(samples)[:, [self._column]]
        line = np.array([self._slope]), np.array([self._intercept])
        return Predictions(self._on_lines(x, *line, self._median)[:, 0])

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """The chosen column and its line."""
        line = np.array([self._slope, self._intercept, self._median])
        return {"line": line}, {"column": self._column, "chosen": self.chosen}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Restore the chosen column and its line."""
        self._slope, self._intercept, self._median = (float(value) for value in arrays["line"])
        self._column, self.chosen = int(facts["column"]), str(facts["chosen"])

    @property
    def n_parameters(self) -> int | None:
        """Slope and intercept; None before `fit`."""
        return 2 if hasattr(self, "chosen") else None

    def _candidates(self, samples: Samples) -> Floats:
        """Columns (n, 2 d): as they are, and their logarithms, NaN below `_LEAST`."""
        columns = self.potential_columns(samples)
        large = np.greater(columns, _LEAST, where=~np.isnan(columns), out=np.zeros(columns.shape, dtype=bool))
        logarithms = np.full(columns.shape, np.nan)
        logarithms[large] = np.log10(columns[large])
        return np.concatenate([columns, logarithms], axis=1)

    @staticmethod
    def _on_lines(x: Floats, slopes: Floats, intercepts: Floats, otherwise: float) -> Floats:
        values = slopes * x + intercepts
        return np.where(np.isnan(values), otherwise, values)


def robust_lines(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Slopes and intercepts (d,) of lines of least absolute error, by iteratively reweighted least squares.

    Args:
        x: (n, d) columns, NaN where unknown; these rows do not count.
        y: (n,) targets.

    Returns:
        Slopes and intercepts, one of each per column. A constant column has slope 0.
    """
    known = ~np.isnan(x)
    filled, rows = np.where(known, x, 0.0), np.maximum(known.sum(0), 1)
    centre = filled.sum(0) / rows
    spread = np.sqrt((np.where(known, filled - centre, 0.0) ** 2).sum(0) / rows)
    constant = spread <= 1e-9 * np.maximum(1.0, np.abs(centre))
    z = np.where(known, (filled - centre) / np.where(constant, 1.0, spread), 0.0)
    least = 1e-6 * max(float(np.ptp(y)), 1e-12) if len(y) else 1.0
    weights = known.astype(np.float64)
    slopes, intercepts = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for _ in range(_ROUNDS):
        total = np.maximum(weights.sum(0), 1e-300)
        mean_z, mean_y = (weights * z).sum(0) / total, (weights * y[:, None]).sum(0) / total
        around = z - mean_z
        slopes = (weights * around * (y[:, None] - mean_y)).sum(0) / np.maximum((weights * around**2).sum(0), 1e-300)
        slopes = np.where(constant, 0.0, slopes)
        intercepts = mean_y - slopes * mean_z
        weights = known / np.maximum(np.abs(y[:, None] - slopes * z - intercepts), least)
    slopes = slopes / np.where(constant, 1.0, spread)
    return slopes, intercepts - slopes * centre
