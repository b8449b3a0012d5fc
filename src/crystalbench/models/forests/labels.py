"""Regression targets as trees are grown on them: standardised, or as ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_STEPS = 2.0**24


@dataclass(frozen=True)
class Standardisation:
    """Targets minus their mean, divided by their standard deviation, in steps of 2⁻²⁴.

    Trees need it: scikit-learn does not split nodes whose variance is below 2.2e-16, whatever the unit, and LightGBM
    keeps labels in single precision, which loses small differences between large values.

    The steps, 6e-8 standard deviations, absorb the round-off of another unit or origin. They also make sums of labels
    exact, so that splits into the same rows tie exactly, and round-off does not choose between them.

    Attributes:
        mean: subtracted from the targets.
        scale: standard deviation of the targets; 1 if all are equal.
    """

    mean: float = 0.0
    scale: float = 1.0

    @classmethod
    def fit(cls, targets: Floats) -> Standardisation:
        """Compute mean and standard deviation of targets (n,)."""
        mean = float(targets.mean())
        deviations = targets - mean
        largest = float(np.abs(deviations).max())
        scale = largest * float((deviations / largest).std()) if largest > 0 else 0.0  # squares would underflow
        return cls(mean, scale) if scale > 0 else cls(mean)

    def __call__(self, targets: Floats) -> Floats:
        """Standardised targets (n,)."""
        return np.asarray(np.rint((targets - self.mean) / self.scale * _STEPS) / _STEPS)

    def inverse(self, values: Floats) -> Floats:
        """Values in the unit of the targets."""
        return values * self.scale + self.mean

    def to_facts(self) -> dict[str, Any]:
        """The numbers to save."""
        return {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Standardisation:
        """Inverse of `to_facts`.

        Raises:
            KeyError: a number is missing.
        """
        return cls(facts["mean"], facts["scale"])


@dataclass(frozen=True)
class Ranking:
    """Targets by their rank among known ones, from 0 for the smallest to 1 for the largest.

    Any increasing function of the targets has the same ranks.

    Attributes:
        known: (n,) sorted targets.
    """

    known: Floats

    @classmethod
    def fit(cls, targets: Floats) -> Ranking:
        """Sort targets (n,)."""
        return cls(np.sort(targets))

    def __call__(self, targets: Floats) -> Floats:
        """Ranks of known targets; equal ones share the mean of theirs."""
        below = np.searchsorted(self.known, targets, "left")
        up_to = np.searchsorted(self.known, targets, "right")
        return np.asarray((below + up_to - 1) / 2 / max(1, len(self.known) - 1))

    def inverse(self, ranks: Floats) -> Floats:
        """Values of ranks of any shape, linearly between known targets; inverse of the ranks of known ones."""
        places = np.arange(len(self.known)) / max(1, len(self.known) - 1)
        return np.asarray(np.interp(ranks, places, self.known))
