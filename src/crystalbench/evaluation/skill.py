"""Skill: the share of the dummy's error that a model removes, with intervals over folds and seeds.

With L the loss of a model and D that of the dummy, both means over the folds, the skill is 1 − L/D: 1 for a perfect
model, 0 for one that is no better than the dummy, and negative for a worse one. The loss is the mean absolute error for
regression, and 1 − ROC-AUC for classification, where that of the dummy is one half.

Intervals are those of the corrected resampled t-test (Nadeau and Bengio, 2003) on which all comparisons of this package
rest. A bootstrap over five folds has no more information, and does not account for their common training rows. The
skill is a ratio of two means over the same folds, so it is linearised: fold j counts as skill − (L_j − (L/D) D_j) / D.
The mean of these numbers is the skill, and their variance that of the ratio to first order. Folds that are hard for the
model are hard for the dummy as well, which this pairing takes into account. All skills of a task are in units of the
same D, so that their differences are paired, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crystalbench.evaluation.significance import FoldScores, paired_test


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval, whose ends are NaN where there are fewer than two folds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Skill:
    """The skill of a model, fold by fold.

    Attributes:
        folds: numbers of the J folds.
        scores: linearised skills of these folds.
        test_over_train: number of test rows over number of training rows of a fold.
    """

    folds: tuple[int, ...]
    scores: FoldScores
    test_over_train: float

    @property
    def value(self) -> float:
        """The skill."""
        return float(self.scores.means.mean())

    @property
    def interval(self) -> Interval:
        """The skill with its interval."""
        return self.minus(None)

    @property
    def resolved(self) -> bool:
        """Whether the skill is above 0 at the 5 % level."""
        return self.interval.low > 0

    def minus(self, other: Skill | None) -> Interval:
        """The difference from another skill on the same folds; from 0 if there is none."""
        if other is None:
            zeros = np.zeros(len(self.folds))
            others = FoldScores(zeros, np.full(len(zeros), np.nan), zeros + 1)
        else:
            others = other.scores
        value = float((self.scores.means - others.means).mean())
        if len(self.folds) < 2:
            return Interval(value, np.nan, np.nan)
        test = paired_test(self.scores, others, self.test_over_train)
        return Interval(value, float(test.low), float(test.high))

    def over(self, full: Skill) -> Interval:
        """The skill as a share of another one on the same folds; NaN unless the other one is resolved.

        A share of a skill that may be zero is no number that could be bounded. The ratio is linearised like the skill
        itself. The share of a skill in itself is exactly 1, whatever its seeds.
        """
        if not (full.resolved if len(full.folds) > 1 else full.value > 0):
            return Interval(np.nan, np.nan, np.nan)
        if full is self:
            return Interval(1.0, 1.0, 1.0)
        share = self.value / full.value
        found = self.scaled(1 / full.value).minus(full.scaled(share / full.value))
        return Interval(share, share + found.low, share + found.high)

    def scaled(self, factor: float) -> Skill:
        """All numbers multiplied by a factor."""
        scores = FoldScores(self.scores.means * factor, self.scores.variances * factor**2, self.scores.seeds)
        return Skill(self.folds, scores, self.test_over_train)


def skill_of(
    losses: Mapping[int, Sequence[float]],
    dummy: Mapping[int, Sequence[float]],
    folds: Sequence[int],
    test_over_train: float,
) -> Skill | None:
    """The skill of a model on some folds.

    Args:
        losses: losses of the model by fold, one for each seed.
        dummy: those of the dummy.
        folds: the folds, which both have.
        test_over_train: number of test rows over number of training rows of a fold.

    Returns:
        The skill; None if there is no fold, if a loss is undefined, or if the dummy has none that could be removed.
    """
    if not folds:
        return None
    mine = FoldScores.of([losses[fold] for fold in folds])
    reference = np.array([np.mean(dummy[fold]) for fold in folds])
    scale = float(reference.mean())
    if not scale > 0 or not np.isfinite(mine.means).all():
        return None
    ratio = float(mine.means.mean()) / scale
    means = (1 - ratio) - (mine.means - ratio * reference) / scale
    return Skill(tuple(folds), FoldScores(means, mine.variances / scale**2, mine.seeds), test_over_train)
