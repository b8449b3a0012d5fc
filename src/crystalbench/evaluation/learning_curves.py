"""Learning curves: the score on the fixed test parts against the number of rows to learn from, and a power law."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, stats

from crystalbench.errors import DataError
from crystalbench.evaluation.columns import require_columns
from crystalbench.evaluation.entries import title_of
from crystalbench.evaluation.pooled import pooled_scores
from crystalbench.targets import METRICS, OFFICIAL

CURVE = ["task", "fold_scheme", "rows", "data", "model", "protocol", "view", "settings"]
"""Columns in which the runs of a curve agree."""

NEEDED = (*CURVE, "fold", "seed", "metric", "main_metric", "score", "unit", "rows_train", "rows_valid", "key")
COLUMNS = (
    "task",
    "model",
    "fraction",
    "rows",
    "score",
    "low",
    "high",
    "metric",
    "unit",
    "fold_scheme",
    "folds",
    "seeds",
)
FITS = ("task", "model", "fold_scheme", "points", "a", "b", "b_error", "c", "c_error")

LEVEL = 0.95
_FEWEST = 3
"""Points that a power law with a standard error of the exponent needs."""


def learning_curves(scores: pd.DataFrame, predictions: pd.DataFrame | None = None) -> pd.DataFrame:
    """Learning curves of all entries that were run on at least two fractions of the training part.

    All points of a curve are of the same folds and seeds: those that all its fractions have. On the official folds, the
    score is the mean over the folds of the means over the seeds, with the 95 % t interval of the folds; this interval
    is too narrow, as training parts of different folds overlap. On other folds, the score is pooled over samples and
    has no interval.

    Args:
        scores: one row per run and metric, e.g. ``load_results("results").scores``.
        predictions: the predictions of the runs on other folds than the official ones, if there are such runs.

    Returns:
        One row per task, entry and fraction, with the columns ``task``, ``model`` (title of the entry), ``fraction``,
        ``rows`` (rows to learn from, the mean over the folds), ``score`` in the main metric, ``low`` and ``high`` (NaN
        where there is no interval), ``metric``, ``unit``, ``fold_scheme``, ``folds`` and ``seeds`` (numbers of them).

    Raises:
        DataError: a frame lacks a column, or the predictions of runs on other folds are missing.
    """
    require_columns(scores, (*NEEDED, "train_fraction"), "scores")
    main = scores[scores["metric"] == scores["main_metric"]].drop_duplicates(["model", "key"])
    rows: list[tuple[object, ...]] = []
    used: set[tuple[str, ...]] = set()
    for number, (_, runs) in enumerate(main.groupby(CURVE, sort=True)):
        runs = _on_common_runs(runs)
        if runs["train_fraction"].nunique() < 2:
            continue
        first = runs.iloc[0]
        title = title_of(first["model"], first["protocol"], first["view"])
        if (first["task"], first["fold_scheme"], title) in used:
            title = f"{title} [{number + 1}]"
        used.add((first["task"], first["fold_scheme"], title))
        for fraction, point in runs.groupby("train_fraction"):
            score, low, high = _score(point, predictions)
            n = round(float((point["rows_train"] + point["rows_valid"]).mean()))
            about = (first["main_metric"], first["unit"], first["fold_scheme"])
            counts = (point["fold"].nunique(), point["seed"].nunique())
            rows.append((first["task"], title, fraction, n, score, low, high, *about, *counts))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _on_common_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of those folds and seeds that all fractions have."""
    fractions = runs["train_fraction"].nunique()
    return runs[runs.groupby(["fold", "seed"])["train_fraction"].transform("nunique") == fractions]


def _score(runs: pd.DataFrame, predictions: pd.DataFrame | None) -> tuple[float, float, float]:
    first = runs.iloc[0]
    if first["fold_scheme"] != OFFICIAL:
        samples = None if predictions is None else predictions[predictions["key"].isin(runs["key"])]
        if samples is None or samples["key"].nunique() < len(runs):
            raise DataError(
                f"{first['task']}: scores on the folds {first['fold_scheme']} are pooled over samples; give their "
                "predictions as well"
            )
        (pooled,) = pooled_scores(samples[samples["model"] == first["model"]]).values()
        return pooled[first["main_metric"]], np.nan, np.nan
    by_fold = runs.groupby("fold")["score"].mean().to_numpy()
    mean = float(by_fold.mean())
    if len(by_fold) < 2:
        return mean, np.nan, np.nan
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(by_fold) - 1) * by_fold.std(ddof=1) / np.sqrt(len(by_fold)))
    return mean, mean - half, mean + half


@dataclass(frozen=True)
class PowerLaw:
    """The power law a · n^−b + c for the error after learning from n rows.

    Attributes:
        a: factor, the error at one row without the constant.
        b: exponent.
        b_error: standard error of the exponent.
        c: error that more rows do not remove; 0 unless it is resolved.
        c_error: standard error of the constant; 0 unless it is resolved.
        points: number of points.
    """

    a: float
    b: float
    b_error: float
    c: float = 0.0
    c_error: float = 0.0
    points: int = 0

    def __call__(self, rows: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The error at some numbers of rows, of the same shape."""
        return np.asarray(self.a * np.asarray(rows, np.float64) ** -self.b + self.c)

    def __str__(self) -> str:
        """E.g. ``n^−0.31±0.02``, followed by the constant if there is one."""
        sign, size = ("−" if self.b >= 0 else ""), abs(self.b)
        constant = f" + {self.c:.3g}±{self.c_error:.1g}" if self.c else ""
        return f"{self.a:.3g} · n^{sign}{size:.3f}±{self.b_error:.3f}{constant}"


def fit_power_law(rows: npt.ArrayLike, errors: npt.ArrayLike) -> PowerLaw | None:
    """Fit a · n^−b to the logarithms of errors, and a · n^−b + c if the constant is resolved.

    The constant is resolved if its 95 % interval (with the t quantile of the degrees of freedom) is above zero, which
    needs at least four points. Standard errors follow from the scatter about the curve; they are wide for few points.

    Args:
        rows: (points,) numbers of rows, positive.
        errors: (points,) errors.

    Returns:
        The power law; None for fewer than three different numbers of rows, or if an error is not positive and finite.
    """
    n, y = np.asarray(rows, np.float64), np.asarray(errors, np.float64)
    if len(np.unique(n)) < _FEWEST or not np.isfinite(y).all() or (y <= 0).any():
        return None
    x, log_y = np.log(n), np.log(y)
    (log_a, b), covariance = optimize.curve_fit(lambda x, log_a, b: log_a - b * x, x, log_y, p0=(log_y.max(), 0.3))
    plain = PowerLaw(float(np.exp(log_a)), float(b), float(np.sqrt(covariance[1, 1])), points=len(n))
    return _with_constant(x, log_y, plain) or plain


def _with_constant(x: npt.NDArray[np.float64], log_y: npt.NDArray[np.float64], plain: PowerLaw) -> PowerLaw | None:
    """A fit with a constant; None if it fails or the constant is not resolved."""
    if len(x) <= _FEWEST or plain.b <= 0:
        return None

    def law(x: npt.NDArray[np.float64], log_a: float, b: float, c: float) -> npt.NDArray[np.float64]:
        return np.asarray(np.log(np.exp(log_a - b * x) + c))

    smallest = float(np.exp(log_y.min()))
    start = (np.log(plain.a), 1.2 * plain.b, 0.3 * smallest)
    bounds = ([-np.inf, 0.0, 0.0], [np.inf, np.inf, smallest])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", optimize.OptimizeWarning)
            (log_a, b, c), covariance = optimize.curve_fit(law, x, log_y, p0=start, bounds=bounds, maxfev=10_000)
    except (RuntimeError, ValueError, optimize.OptimizeWarning):
        return None
    b_error, c_error = np.sqrt(np.diag(covariance))[1:]
    if not c - stats.t.ppf((1 + LEVEL) / 2, len(x) - 3) * c_error > 0:
        return None
    return PowerLaw(float(np.exp(log_a)), float(b), float(b_error), float(c), float(c_error), len(x))


def curve_fits(curves: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, PowerLaw | None]]:
    """The points of each curve and its power law.

    A score that is better the higher it is, at most 1, is fitted as 1 minus the score.

    Args:
        curves: the frame of `learning_curves`.
    """
    for _, points in curves.groupby(["task", "fold_scheme", "model"], sort=False):
        points = points.sort_values("rows")
        higher = METRICS[points["metric"].iloc[0]].higher_is_better
        errors = 1 - points["score"] if higher else points["score"]
        yield points, fit_power_law(points["rows"].to_numpy(), errors.to_numpy())


def fits_frame(curves: pd.DataFrame) -> pd.DataFrame:
    """The power laws of all curves that have one.

    Args:
        curves: the frame of `learning_curves`.

    Returns:
        One row per curve with the columns ``task``, ``model``, ``fold_scheme``, ``points``, and ``a``, ``b``,
        ``b_error``, ``c``, ``c_error`` of `PowerLaw`.
    """
    rows = [
        (*points.iloc[0][["task", "model", "fold_scheme"]], law.points, law.a, law.b, law.b_error, law.c, law.c_error)
        for points, law in curve_fits(curves)
        if law is not None
    ]
    return pd.DataFrame(rows, columns=list(FITS))
