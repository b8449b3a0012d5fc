"""Combining the predictions of several models: weights, medians and calibrated standard deviations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from crystalbench.data.samples import Predictions

Floats = npt.NDArray[np.float64]

SMALLEST_PROBABILITY = 1e-6
"""Smaller probabilities of the true class count as this, so that no row decides alone."""
ROUNDS = 1000
"""Rounds of expectation maximisation; each is a few products of n by m numbers."""
LEAST_VARIANCE = 1e-6
"""Smallest share of the mean squared error that the constant part of the variance may have, so that none is 0."""


@dataclass(frozen=True)
class MemberPredictions:
    """The predictions of m members for the same n rows.

    Attributes:
        values: (m, n), or (m, n, classes) of a multiclass target.
        variances: (n,) mean of the variances that members predict; zeros if no member predicts any.
    """

    values: Floats
    variances: Floats

    @classmethod
    def of(cls, members: Sequence[Predictions]) -> Self:
        """From the predictions of each member."""
        values = np.stack([np.asarray(member.values, dtype=np.float64) for member in members])
        own = [np.asarray(member.std, dtype=np.float64) ** 2 for member in members if member.std is not None]
        return cls(values, np.asarray(np.mean(own, axis=0)) if own else np.zeros(values.shape[1]))

    def combined(self, weights: Floats | None) -> Floats:
        """The weighted mean over the members, or their median without weights; (n,), or (n, classes)."""
        if weights is not None:
            return np.asarray(np.tensordot(weights, self.values, axes=1))
        medians = np.median(self.values, axis=0)
        return np.asarray(medians / medians.sum(1, keepdims=True) if medians.ndim == 2 else medians)

    def spread(self, weights: Floats | None) -> Floats:
        """(n,) mean squared difference of the members from their combination, with the same weights; regression."""
        differences = (self.values - self.combined(weights)) ** 2
        return np.asarray(differences.mean(0) if weights is None else weights @ differences)


def regression_weights(values: Floats, targets: Floats) -> Floats:
    """The weights on the simplex with the least absolute errors.

    Args:
        values: (m, n) predictions of m members.
        targets: (n,) targets.

    Returns:
        (m,) weights, not negative, with sum 1.
    """
    from scipy import sparse
    from scipy.optimize import linprog

    m, n = values.shape
    scale = float(targets.std()) or 1.0
    errors = sparse.csr_array((values - targets).T / scale)  # of a weighted mean: errors @ weights
    slack = sparse.identity(n, format="csr")  # variables: the weights, then an upper bound of each absolute error
    found = linprog(
        np.concatenate([np.zeros(m), np.full(n, 1 / n)]),
        A_ub=sparse.vstack([sparse.hstack([errors, -slack]), sparse.hstack([-errors, -slack])]),
        b_ub=np.zeros(2 * n),
        A_eq=np.concatenate([np.ones(m), np.zeros(n)])[None],
        b_eq=[1.0],
        bounds=(0, None),
        method="highs",
    )
    weights = np.maximum(found.x[:m], 0.0)
    return np.asarray(weights / weights.sum())


def classification_weights(values: Floats, classes: npt.NDArray[np.int64]) -> Floats:
    """The weights on the simplex with the least log loss of the weighted mean, by expectation maximisation.

    The log loss is convex in the weights, and each round lowers it.

    Args:
        values: (m, n) probabilities of class 1, or (m, n, classes), of m members.
        classes: (n,) numbers of the true classes.

    Returns:
        (m,) weights, not negative, with sum 1.
    """
    of_all = np.stack([1 - values, values], axis=2) if values.ndim == 2 else values
    likelihoods = np.maximum(of_all[:, np.arange(len(classes)), classes], SMALLEST_PROBABILITY)
    weights = np.full(len(likelihoods), 1 / len(likelihoods))
    for _ in range(ROUNDS):
        weights = weights * (likelihoods / (weights @ likelihoods)).mean(1)
    return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class Uncertainty:
    """Variances of predictions: constant + spread · (spread of the members) + own · (variances that they predict).

    Attributes:
        constant: in squared units of the target.
        spread: factor of the mean squared difference between the members and their combination.
        own: factor of the mean variance that members predict.
    """

    constant: float
    spread: float
    own: float

    @classmethod
    def fit(cls, members: MemberPredictions, weights: Floats | None, targets: Floats) -> Self:
        """The coefficients, none of them negative, with the least mean continuous ranked probability score.

        Unlike the likelihood, this proper score is not ruled by a few large errors.

        Args:
            members: predictions of n rows to which no member was fitted.
            weights: of the combination; None for the median.
            targets: (n,) targets.
        """
        from scipy.optimize import minimize

        errors = np.abs(members.combined(weights) - targets)
        mean_square = float((errors**2).mean())
        if mean_square == 0:
            return cls(0.0, 0.0, 0.0)
        parts = np.stack([np.full_like(errors, mean_square), members.spread(weights), members.variances])
        sizes = np.where((means := parts.mean(1)) > 0, means / mean_square, 1.0)
        scaled = parts / sizes[:, None] / mean_square  # of order 1, like the coefficients
        errors = errors / np.sqrt(mean_square)

        def score(coefficients: Floats) -> tuple[float, Floats]:
            return _mean_crps(errors, coefficients @ scaled, scaled)

        least = [(LEAST_VARIANCE, None), (0, None), (0, None)]
        found = minimize(score, np.full(3, 0.3), jac=True, bounds=least, method="L-BFGS-B")
        constant, spread, own = found.x / sizes
        return cls(float(constant * mean_square), float(spread), float(own))

    def std(self, members: MemberPredictions, weights: Floats | None) -> Floats:
        """(n,) standard deviations of combined predictions."""
        return np.asarray(np.sqrt(self.constant + self.spread * members.spread(weights) + self.own * members.variances))


def _mean_crps(errors: Floats, variances: Floats, parts: Floats) -> tuple[float, Floats]:
    """The mean score of normal distributions, and its gradient by the coefficients of the parts of their variances.

    Source: Gneiting and Raftery, Journal of the American Statistical Association 102, 359 (2007), eq. 21.

    Args:
        errors: (n,) absolute errors.
        variances: (n,) positive.
        parts: (q, n) derivatives of the variances by the coefficients.
    """
    from scipy.special import erf

    sigma = np.sqrt(variances)
    z = errors / sigma
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    scores = sigma * (z * erf(z / np.sqrt(2)) + 2 * density - 1 / np.sqrt(np.pi))
    by_sigma = 2 * density - 1 / np.sqrt(np.pi)
    return float(scores.mean()), np.asarray(parts @ (by_sigma / (2 * sigma)) / len(errors))
