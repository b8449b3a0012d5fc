"""How far a difference depends on which test rows there are: a bootstrap over clusters of rows.

The fitted models are taken as they are. So the interval says how the difference might change with other test rows, not
with other training rows or seeds; two seeds of one model often differ by this measure.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from crystalbench.data.formulas import parse_formula
from crystalbench.errors import DataError
from crystalbench.evaluation.metrics import EPSILON, THRESHOLD

FloatArray: TypeAlias = npt.NDArray[np.float64]

DRAWS = 2_000
LEVEL = 0.95
_AT_ONCE = 1 << 22  # counts of clusters in memory at a time
_DECIMALS = 6
"""Of fractions of elements, so that SiO2 and Si2O4 are the same composition."""


@dataclass(frozen=True)
class RowInterval:
    """The central 95 % of a difference over draws of the test rows.

    Attributes:
        low: lower end, in the unit of the metric.
        high: upper end.
        rows: number of test rows.
        clusters: number of clusters, each of which is drawn as a whole.
        by_formula: whether rows of the same composition are one cluster; otherwise each row is its own.
    """

    low: float
    high: float
    rows: int
    clusters: int
    by_formula: bool


@dataclass(frozen=True, eq=False)
class FoldLosses:
    """Losses of two entries on the common rows of one fold.

    Attributes:
        ids: (n,) ids of the rows.
        strata: (n,) numbers of the strata within the fold, over which the metric averages with equal weights: the
            class for recalls, otherwise 0.
        a: (seeds, n) losses of one entry.
        b: (seeds, n) losses of the other.
    """

    ids: npt.NDArray[np.object_]
    strata: npt.NDArray[np.intp]
    a: FloatArray
    b: FloatArray


_Loss: TypeAlias = Callable[[FloatArray, FloatArray], FloatArray]


def _recalls(y: FloatArray, p: FloatArray) -> FloatArray:
    return np.asarray(_labels(p) == y, np.float64)


def _labels(p: FloatArray) -> FloatArray:
    return np.asarray(p > THRESHOLD if p.ndim == 1 else p.argmax(axis=1), np.float64)


def _log_loss(y: FloatArray, p: FloatArray) -> FloatArray:
    if p.ndim == 1:
        of_true_class = np.where(y == 1, p, 1 - p)
    else:
        of_true_class = p[np.arange(len(y)), y.astype(np.intp)] / p.sum(axis=1)
    return np.asarray(-np.log(np.maximum(of_true_class, EPSILON)))


_LOSSES: Mapping[str, _Loss] = {
    "mae": lambda y, p: np.abs(y - p),
    "rmse": lambda y, p: (y - p) ** 2,
    "accuracy": _recalls,
    "balanced_accuracy": _recalls,
    "rocauc": _recalls,
    "log_loss": _log_loss,
}
"""Losses of rows by metric. Metrics that are no function of means over rows have none."""

_BY_CLASS = ("balanced_accuracy", "rocauc")


def has_losses(metric: str) -> bool:
    """Whether a metric is a function of means over rows, so that its rows can be drawn."""
    return metric in _LOSSES


def fold_losses(
    metric: str, ids: npt.NDArray[np.object_], y: FloatArray, a: Sequence[FloatArray], b: Sequence[FloatArray]
) -> FoldLosses:
    """Losses of two entries on the same rows.

    Args:
        metric: a metric for which `has_losses`.
        ids: (n,) ids of the rows.
        y: (n,) targets.
        a: for each seed, (n,) or (n, classes) predictions of one entry.
        b: those of the other.
    """
    loss = _LOSSES[metric]
    strata = y.astype(np.intp) if metric in _BY_CLASS else np.zeros(len(y), np.intp)
    return FoldLosses(ids, strata, np.stack([loss(y, p) for p in a]), np.stack([loss(y, p) for p in b]))


def row_interval(
    metric: str,
    folds: Sequence[FoldLosses],
    formulas: Mapping[str, str] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> RowInterval:
    """Interval of the mean over the folds of score(a) − score(b), from draws of clusters of rows with replacement.

    Rows of one formula often are polymorphs or near-duplicates with similar errors. Drawn one by one, they would count
    as independent and the interval would be too narrow.

    Args:
        metric: a metric for which `has_losses`.
        folds: losses of the rows of each fold.
        formulas: formula by id; rows of the same composition form one cluster. By default, each row is its own cluster.
        draws: number of draws.
        seed: seed of the draws.

    Raises:
        DataError: an id has no formula, or one that cannot be read.
    """
    clusters, n = _clusters([fold.ids for fold in folds], formulas)
    strata = [part for fold, mine in zip(folds, clusters, strict=True) for part in _strata(fold, mine, n)]
    weights = np.array([part.weight for part in strata])
    sums = np.concatenate([part.sums for part in strata], axis=1)
    ends = np.cumsum([part.sums.shape[1] for part in strata])[:-1]
    rng, found, step = np.random.default_rng(seed), [], max(1, _AT_ONCE // n)
    for first in range(0, draws, step):
        size = min(step, draws - first)
        times = np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(size)]).astype(np.float64)
        totals = np.split(times @ sums, ends, axis=1)  # one product for all strata: the counts are read once
        pairs = zip(strata, totals, strict=True)
        differences = np.stack([part.differences(total, root=metric == "rmse") for part, total in pairs])
        there = np.isfinite(differences)  # a class may be missing from a draw
        found.append((weights @ np.where(there, differences, 0)) / (weights @ there))
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(np.concatenate(found), (tail, 100 - tail))
    return RowInterval(float(low), float(high), sum(len(fold.ids) for fold in folds), n, formulas is not None)


@dataclass(frozen=True, eq=False)
class _Stratum:
    """Rows over which losses are averaged with equal weights, summed by cluster.

    Attributes:
        sums: (clusters, 1 + seeds of a + seeds of b): number of rows, and sums of the losses of both entries.
        seeds: number of seeds of the first entry.
        weight: weight of the stratum within its fold.
    """

    sums: FloatArray
    seeds: int
    weight: float

    def differences(self, totals: FloatArray, *, root: bool) -> FloatArray:
        """(draws,) differences of the scores, from the sums (draws, columns of ``sums``) over the drawn clusters."""
        with np.errstate(invalid="ignore"):
            scores = totals[:, 1:] / totals[:, :1]
        scores = np.sqrt(scores) if root else scores
        return np.asarray(scores[:, : self.seeds].mean(axis=1) - scores[:, self.seeds :].mean(axis=1))


def _strata(fold: FoldLosses, clusters: npt.NDArray[np.intp], n: int) -> list[_Stratum]:
    numbers = np.unique(fold.strata)
    parts = []
    for number in numbers:
        rows = fold.strata == number
        counts = np.bincount(clusters[rows], minlength=n).astype(np.float64)
        losses = [
            np.bincount(clusters[rows], values, n) for of_entry in (fold.a, fold.b) for values in of_entry[:, rows]
        ]
        parts.append(_Stratum(np.stack([counts, *losses], axis=1), len(fold.a), 1 / len(numbers)))
    return parts


def _clusters(
    ids: Sequence[npt.NDArray[np.object_]], formulas: Mapping[str, str] | None
) -> tuple[list[npt.NDArray[np.intp]], int]:
    """Number of the cluster of each row, fold by fold, and the number of clusters."""
    together = np.concatenate(ids)
    keys = together if formulas is None else [_composition(str(name), formulas) for name in together]
    codes, known = pd.factorize(pd.Index(keys, tupleize_cols=False))
    return np.split(codes, np.cumsum([len(part) for part in ids])[:-1]), len(known)


def _composition(name: str, formulas: Mapping[str, str]) -> tuple[tuple[int, float], ...]:
    """Atomic numbers and fractions of a row's elements."""
    if name not in formulas:
        raise DataError(
            f"{name}: has no formula, which the clusters of the bootstrap need; give the formulas of all rows"
        )
    try:
        return _fractions(formulas[name])
    except ValueError as error:
        raise DataError(f"{name}: {formulas[name]!r} is not a formula: {error}") from error


@functools.lru_cache(maxsize=1 << 18)  # all pairs of a board read the same formulas, and reading takes most of the time
def _fractions(formula: str) -> tuple[tuple[int, float], ...]:
    """Atomic numbers and fractions of the elements of a formula.

    Raises:
        ValueError: it cannot be read.
    """
    amounts = parse_formula(formula)
    total = sum(amount for _, amount in amounts)
    return tuple((z, round(amount / total, _DECIMALS)) for z, amount in amounts)
