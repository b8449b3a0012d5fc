"""Areas under ROC curves with a bootstrap over clusters of rows and over seeds.

Areas are no means over rows, so each draw is scored anew: a draw gives every row a weight, the number of times that its
cluster was drawn, and the area is that of the weighted rows. All entries of a task get the same draws of clusters, so
that differences between them are paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from crystalbench.errors import DataError

FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.intp]

DRAWS = 1_000
LEVEL = 0.95
_AT_ONCE = 1 << 22  # weights of rows in memory at a time


@dataclass(frozen=True, eq=False)
class Draws:
    """Bootstrap draws of the clusters of a task's rows.

    Attributes:
        ids: (n,) ids of all rows.
        clusters: (n,) number of the cluster of each row.
        times: (draws, clusters) how often each cluster is drawn.
        seed: seed of the draws.
    """

    ids: pd.Index[str]
    clusters: IntArray
    times: npt.NDArray[np.uint16]
    seed: int

    @classmethod
    def of(cls, ids: pd.Index[str], formulas: Mapping[str, str] | None, draws: int = DRAWS, seed: int = 0) -> Draws:
        """Draw clusters with replacement.

        Args:
            ids: (n,) ids of the rows.
            formulas: formula by id; rows of one formula are a cluster. By default, each row is its own.
            draws: number of draws.
            seed: seed of the draws.

        Raises:
            DataError: an id has no formula.
        """
        if formulas is not None and (missing := [str(name) for name in ids if name not in formulas]):
            raise DataError(f"{missing[0]}: has no formula, which the clusters of the bootstrap need")
        keys = ids if formulas is None else pd.Index([formulas[name] for name in ids])
        codes, known = pd.factorize(keys)
        n = len(known)
        rng = np.random.default_rng(seed)
        times = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(draws)])
        return cls(ids, np.asarray(codes, np.intp), times.astype(np.uint16), seed)


@dataclass(frozen=True, eq=False)
class Area:
    """An area under the ROC curve, or a combination of several, with its bootstrap draws.

    Attributes:
        value: the area of the rows as they are, mean over the seeds.
        drawn: (draws,) areas of the draws; NaN where a draw has a single class.
    """

    value: float
    drawn: FloatArray

    @property
    def interval(self) -> tuple[float, float]:
        """The central 95 % of the draws; NaN if none is defined."""
        known = self.drawn[np.isfinite(self.drawn)]
        if not len(known):
            return np.nan, np.nan
        tail = 100 * (1 - LEVEL) / 2
        low, high = np.percentile(known, (tail, 100 - tail))
        return float(low), float(high)

    @property
    def p(self) -> float:
        """Two-sided p value of the hypothesis that the value is zero: from the share of draws on the other side."""
        known = self.drawn[np.isfinite(self.drawn)]
        below, above = ((1 + (side).sum()) / (1 + len(known)) for side in (known <= 0, known >= 0))
        return float(min(1.0, 2 * min(below, above)))

    def __sub__(self, other: Area) -> Area:
        return Area(self.value - other.value, self.drawn - other.drawn)


@dataclass(frozen=True, eq=False)
class Scored:
    """Predictions of one entry, pooled over the test parts of all folds, by seed.

    Attributes:
        places: (m,) the rows, as places in the ids of the draws, ascending.
        y: (m,) classes.
        probabilities: for each seed, (m,) probabilities of class 1, or (m, classes).
        stream: a number that distinguishes the entry, whose seeds are drawn independently of those of others.
    """

    places: IntArray
    y: IntArray
    probabilities: tuple[FloatArray, ...]
    stream: int

    def area(self, draws: Draws, places: IntArray | None = None) -> Area:
        """Area under the ROC curve; for several classes, the unweighted mean of one-versus-rest areas.

        Seeds are drawn as well: S − 1 of S with replacement, so that the variance of their mean has no bias. With a
        single seed, the interval does not contain how much a model changes when it is fitted again.

        Args:
            draws: the draws of rows.
            places: the rows to use, a part of those of the entry; all by default.
        """
        chosen = np.arange(len(self.places)) if places is None else np.searchsorted(self.places, places)
        y = self.y[chosen]
        clusters = draws.clusters[self.places[chosen]]
        values, drawn = [], []
        for all_of_seed in self.probabilities:
            p = all_of_seed[chosen]
            curves = [(y == 1, p)] if p.ndim == 1 else [(y == c, p[:, c]) for c in range(p.shape[1])]
            values.append(_mean_known(np.array([_areas(np.ones((1, len(y))), *curve)[0] for curve in curves])))
            weights = _weights(draws, clusters)
            drawn.append(np.concatenate([_mean_known(np.stack([_areas(w, *c) for c in curves])) for w in weights]))
        seeds = len(drawn)
        if seeds == 1:
            return Area(float(values[0]), drawn[0])
        picks = np.random.default_rng([draws.seed, self.stream]).integers(0, seeds, (len(draws.times), seeds - 1))
        mean = np.take_along_axis(np.stack(drawn, axis=1), picks, axis=1).mean(axis=1)
        return Area(float(np.mean(values)), np.asarray(mean))


def _weights(draws: Draws, clusters: IntArray) -> Iterator[FloatArray]:
    """(some draws, m) weights of rows, part by part."""
    step = max(1, _AT_ONCE // max(1, len(clusters)))
    for start in range(0, len(draws.times), step):
        yield draws.times[start : start + step][:, clusters].astype(np.float64)


def _areas(weights: FloatArray, positive: BoolArray, scores: FloatArray) -> FloatArray:
    """(draws,) areas under the ROC curve of weighted rows; rows with equal scores count one half.

    Args:
        weights: (draws, m) weights of the rows.
        positive: (m,) whether a row is of the class.
        scores: (m,) scores of the class.
    """
    order = np.argsort(scores, kind="stable")
    positive, ordered = positive[order], scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    weights = weights[:, order]
    hits, misses = (np.add.reduceat(np.where(side, weights, 0.0), starts, axis=1) for side in (positive, ~positive))
    below = np.cumsum(misses, axis=1) - misses / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((hits * below).sum(axis=1) / (hits.sum(axis=1) * misses.sum(axis=1)))


def _mean_known(areas: FloatArray) -> FloatArray:
    """Means over the first axis of areas that are defined; NaN where none is."""
    known = np.isfinite(areas)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, areas, 0.0).sum(axis=0) / known.sum(axis=0))


def scored(rows: pd.DataFrame, draws: Draws, stream: int) -> tuple[Scored, int]:
    """The predictions of one entry on the test parts of all its folds; seeds that lack folds of others are left out.

    Args:
        rows: rows of a predictions frame (see `crystalbench.results.frames.predictions_frame`) of one entry.
        draws: draws whose ids contain those of the rows.
        stream: a number that distinguishes the entry.

    Returns:
        The predictions, and the number of folds.

    Raises:
        DataError: a row is predicted twice with one seed, or the targets are no classes.
    """
    name = str(rows["model"].iloc[0])
    by_seed = [run for _, run in rows.groupby("seed")]
    most = max(run["fold"].nunique() for run in by_seed)
    kept = [run.set_index("id") for run in by_seed if run["fold"].nunique() == most]
    common = kept[0].index
    for run in kept:
        if (twice := run.index.duplicated()).any():
            raise DataError(f"{name}: {run.index[twice][0]} is predicted twice with one seed; its folds overlap")
        common = common.intersection(run.index)
    places = np.sort(draws.ids.get_indexer(common))
    ordered = [run.loc[draws.ids[places]] for run in kept]
    kind = str(rows["kind"].iloc[0])
    if kind == "regression":
        raise DataError(f"{name}: an area under the ROC curve needs classes, and the target is a number")
    probabilities = tuple(_probabilities(run, kind) for run in ordered)
    return Scored(places, ordered[0]["target"].to_numpy(np.intp), probabilities, stream), most


def _probabilities(run: pd.DataFrame, kind: Any) -> FloatArray:
    if kind == "binary":
        return run["prediction"].to_numpy(np.float64)
    classes = [name for name in map(str, run) if name.startswith("p_") and run[name].notna().any()]
    return run[classes].to_numpy(np.float64)
