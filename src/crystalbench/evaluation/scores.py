"""Scores of entries over folds and seeds, and their differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Score:
    """One metric of one entry.

    Attributes:
        mean: mean over the folds; the score of a fold is the mean over its seeds. A pooled score is computed over the
            samples of all folds instead, and is the mean over the seeds.
        std: population standard deviation over the folds, as Matbench reports it; NaN if the score is pooled.
        folds: score by fold.
        seeds: scores of the seeds by fold; of a fold that is not among them, the score is of one run.
        pooled: whether the score is pooled, as it is for other folds than the official ones.
    """

    mean: float
    std: float
    folds: Mapping[int, float] = field(default_factory=dict)
    seeds: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    pooled: bool = False

    def seeds_of(self, fold: int) -> tuple[float, ...]:
        """Scores of the seeds of a fold; none if the fold is missing."""
        return self.seeds.get(fold, (self.folds[fold],)) if fold in self.folds else ()

    def minus(self, other: Score) -> Difference | None:
        """This score minus another one on the folds that both have; None if there are none.

        Pooled scores differ only where both are of the same folds.
        """
        if self.pooled or other.pooled:
            if self.folds.keys() != other.folds.keys():
                return None
            folds = {fold: value - other.folds[fold] for fold, value in self.folds.items()}
            return Difference(folds, self.mean - other.mean)
        common = sorted(self.folds.keys() & other.folds.keys())
        return Difference({fold: self.folds[fold] - other.folds[fold] for fold in common}) if common else None


@dataclass(frozen=True)
class Difference:
    """The difference between two entries in one metric, on the folds that both have.

    Attributes:
        folds: difference by fold, between the means over the seeds.
        pooled: difference of pooled scores; None if they are means over the folds.
    """

    folds: Mapping[int, float]
    pooled: float | None = None

    @property
    def mean(self) -> float:
        """Mean over the folds, or the difference of pooled scores."""
        return float(np.mean(list(self.folds.values()))) if self.pooled is None else self.pooled

    @property
    def std(self) -> float:
        """Population standard deviation over the folds; NaN for pooled scores."""
        return float(np.std(list(self.folds.values()))) if self.pooled is None else np.nan
