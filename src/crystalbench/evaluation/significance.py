"""Tests of the difference between two entries over folds and seeds, and Holm's correction for many tests.

`docs/comparison.md` says which test answers which question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray: TypeAlias = npt.NDArray[np.float64]

LEVEL = 0.95
SIGNIFICANCE = 1 - LEVEL


@dataclass(frozen=True, eq=False)
class FoldScores:
    """Scores of one or several entries by fold.

    Attributes:
        means: shape (..., J), mean over the seeds of each fold; NaN where a fold is missing.
        variances: shape (..., J), sample variance over the seeds of each fold; NaN where there are fewer than two.
        seeds: shape (..., J), number of seeds of each fold; 0 where a fold is missing.
    """

    means: FloatArray
    variances: FloatArray
    seeds: FloatArray

    @classmethod
    def of(cls, scores: Sequence[Sequence[float]]) -> FoldScores:
        """From the scores of one entry: for each fold, those of its seeds, which may be none."""
        means = [np.mean(fold) if len(fold) else np.nan for fold in scores]
        variances = [np.var(fold, ddof=1) if len(fold) > 1 else np.nan for fold in scores]
        return cls(*(np.array(values, np.float64) for values in (means, variances, [len(fold) for fold in scores])))

    @classmethod
    def stack(cls, entries: Sequence[FoldScores]) -> FoldScores:
        """Several entries as one, in a new first axis."""
        return cls(*(np.stack([getattr(e, name) for e in entries]) for name in ("means", "variances", "seeds")))

    def __getitem__(self, entries: npt.NDArray[np.intp]) -> FoldScores:
        return FoldScores(self.means[entries], self.variances[entries], self.seeds[entries])

    def seed_variance(self, folds: npt.NDArray[np.bool_]) -> FloatArray:
        """Variance of the score of a fold between seeds, pooled over some folds.

        Args:
            folds: shape (..., J), the folds to use.

        Returns:
            Shape (...,); NaN where no fold has two seeds.
        """
        weights = np.where(folds & (self.seeds > 1), self.seeds - 1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((weights * np.nan_to_num(self.variances)).sum(-1) / weights.sum(-1))

    def _variance_of_means(self, folds: npt.NDArray[np.bool_]) -> FloatArray:
        """The part of the variance of a fold's mean that seeds cause; 0 where it is unknown."""
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(folds, 1 / self.seeds, 0).sum(-1) / folds.sum(-1)
        return np.asarray(np.nan_to_num(self.seed_variance(folds) * share))


@dataclass(frozen=True, eq=False)
class CorrectedTest:
    """Corrected resampled t-tests of mean differences.

    Attributes:
        mean: shape (...,), means of the differences over the folds.
        error: shape (...,), their standard errors.
        folds: shape (...,), numbers of folds; the t distribution has one degree of freedom less.
    """

    mean: FloatArray
    error: FloatArray
    folds: FloatArray

    @property
    def low(self) -> FloatArray:
        """Lower end of the 95 % interval."""
        return np.asarray(self.mean - self._half)

    @property
    def high(self) -> FloatArray:
        """Upper end of the 95 % interval."""
        return np.asarray(self.mean + self._half)

    @property
    def p(self) -> FloatArray:
        """Two-sided p values; without any variance, 1 if the mean is 0 and 0 otherwise."""
        return np.asarray(2 * stats.t.sf(np.abs(self._over_error(self.mean)), self.folds - 1))

    def below(self, value: float) -> FloatArray:
        """Posterior probabilities that the difference is below a value, by the Bayesian correlated t-test.

        With the prior 1/σ, the posterior of the mean difference is Student's t distribution with the same mean, scale
        and degrees of freedom as the frequentist test.

        Source: Corani and Benavoli, Machine Learning 100, 285 (2015); Benavoli et al., Journal of Machine Learning
        Research 18 (77), 1 (2017).
        """
        return np.asarray(stats.t.cdf(self._over_error(value - self.mean), self.folds - 1))

    @property
    def _half(self) -> FloatArray:
        return np.asarray(stats.t.ppf((1 + LEVEL) / 2, self.folds - 1) * self.error)

    def _over_error(self, values: FloatArray | float) -> FloatArray:
        values = np.asarray(values, np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(values == 0, 0.0, values / self.error)


def corrected_t_test(
    differences: npt.ArrayLike, test_over_train: float, seed_variance: npt.ArrayLike = 0.0
) -> CorrectedTest:
    """Corrected resampled t-tests of means of differences over folds.

    The squared standard error is (1/J + n_test/n_train) max(s², w): s² is the sample variance of the J differences, and
    w the part of it that the seeds cause.

    Source: Nadeau and Bengio, Machine Learning 52, 239 (2003), without w.

    Args:
        differences: shape (..., J), one for each fold; NaN where a fold is missing, at least two are needed.
        test_over_train: number of test rows over number of training rows of a fold.
        seed_variance: shape (...,), w.
    """
    d = np.asarray(differences, np.float64)
    there = np.isfinite(d)
    folds = there.sum(-1).astype(np.float64)
    mean = np.where(there, d, 0).sum(-1) / folds
    squares = np.where(there, (d - mean[..., None]) ** 2, 0).sum(-1)
    variance = np.maximum(squares / (folds - 1), seed_variance)
    return CorrectedTest(mean, np.sqrt((1 / folds + test_over_train) * variance), folds)


def paired_test(a: FoldScores, b: FoldScores, test_over_train: float) -> CorrectedTest:
    """Test the differences a − b on the folds that both have, at least two.

    Seeds are averaged within a fold. w = σ_a² mean(1/S_a) + σ_b² mean(1/S_b), where σ² is the variance between seeds,
    pooled over the common folds, and S the number of seeds of a fold. An entry with one seed in every fold adds nothing
    to w; its variance between seeds is contained in s² alone.
    """
    folds = np.isfinite(a.means) & np.isfinite(b.means)
    differences = np.where(folds, a.means - b.means, np.nan)
    return corrected_t_test(differences, test_over_train, a._variance_of_means(folds) + b._variance_of_means(folds))


def holm(p: npt.ArrayLike) -> FloatArray:
    """P values corrected for their number by the step-down method of Holm.

    If differences are called resolved where the corrected value is below α, the probability of calling any difference
    resolved that does not exist is at most α, however the tests depend on one another.

    Source: Holm, Scandinavian Journal of Statistics 6, 65 (1979).

    Args:
        p: shape (m,).

    Examples:
        >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return np.minimum(corrected, 1)
