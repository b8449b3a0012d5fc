"""Calibration: whether predicted standard deviations say how large the errors are.

A standard deviation is read as that of a normal distribution around the prediction. Quantities are computed for each
fold, as means over its seeds, and have intervals over the folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special, stats

from crystalbench.evaluation.columns import require_columns, standard_runs
from crystalbench.evaluation.common_rows import test_over_train
from crystalbench.evaluation.significance import corrected_t_test
from crystalbench.targets import Kind

COLUMNS = (
    "task",
    "model",
    "quantity",
    "level",
    "value",
    "low",
    "high",
    "rows",
    "folds",
    "seeds",
    "unit",
    "data",
)
"""Columns of a frame of calibration and of ``calibration.csv``."""

PREDICTION_COLUMNS = (
    "task",
    "data",
    "model",
    "kind",
    "unit",
    "rows",
    "configuration",
    "fold",
    "seed",
    "id",
    "target",
    "prediction",
    "std",
)

LEVELS = (0.5, 0.68, 0.8, 0.9, 0.95)
"""Nominal levels of the central intervals."""

COVERAGE = "coverage"
QUANTITIES = (
    COVERAGE,
    "miscalibration_area",
    "sharpness",
    "std_over_error",
    "rank_correlation",
    "negative_log_likelihood",
    "crps",
    "certain",
)
"""Names of the quantities; see `calibration`."""

HAVE_UNIT = frozenset({"sharpness", "crps"})
"""Quantities in the unit of the target."""

ROUND_OFF = 1e-6
"""Standard deviations below this share of that of the targets count as 0: members agree up to round-off."""

Floats = npt.NDArray[np.float64]


def calibration(predictions: pd.DataFrame, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Calibration of all entries that predict standard deviations σ.

    Only runs on the official folds and the complete training part count, and only regression.

    Args:
        predictions: one row per predicted sample, e.g. ``load_results("results").predictions``. Runs without standard
            deviations do not count.
        names: names of entries by configuration; the name of the model by default.

    Returns:
        A frame with the columns `COLUMNS`, sorted by task and model, with one row for each quantity:

        * ``coverage``: share of the targets in the central interval of the nominal ``level``, for each of `LEVELS`
        * ``miscalibration_area``: area between nominal and observed coverage over all levels, from 0 to 0.5
        * ``sharpness``: root of the mean of σ²
        * ``std_over_error``: sharpness over the root mean square error; below 1, the model is too certain on average
        * ``rank_correlation``: Spearman's correlation of σ with the absolute error; NaN if one of them does not vary
        * ``negative_log_likelihood``: mean over the targets, in nats, of the density in the unit of the target;
          infinite if σ is 0 for some row
        * ``crps``: mean continuous ranked probability score, the absolute error where σ is 0
        * ``certain``: share of the rows with σ = 0, see `ROUND_OFF`

        ``value`` is the mean over the folds, ``low`` and ``high`` are the 95 % interval of the corrected t-test (see
        `crystalbench.evaluation.significance.corrected_t_test`), with shares cut at 0 and 1; NaN for a single fold, and
        where a fold has no finite value. ``rows`` counts predicted samples, ``seeds`` is the smallest number per fold.

    Raises:
        DataError: the frame lacks a column.
    """
    require_columns(predictions, PREDICTION_COLUMNS, "predictions")
    mine = standard_runs(predictions)
    mine = mine[(mine["kind"] == Kind.REGRESSION) & mine["std"].notna()]
    lines = [
        line
        for _, part in mine.groupby(["task", "data", "model", "configuration"])
        for line in _lines(part, names or {})
    ]
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    return frame.sort_values(["task", "model"], kind="stable").reset_index(drop=True)


def _lines(part: pd.DataFrame, names: Mapping[str, str]) -> Iterator[tuple[object, ...]]:
    """The rows of one entry."""
    first = part.iloc[0]
    runs = [(int(run["fold"].iloc[0]), quantities(run)) for _, run in part.groupby(["fold", "seed"])]
    folds = sorted({fold for fold, _ in runs})
    seeds = min(sum(fold == other for other, _ in runs) for fold in folds)
    ratio = test_over_train(part, folds) if len(folds) > 1 else np.nan
    name = names.get(str(first["configuration"]), str(first["model"]))
    for quantity, level in runs[0][1]:
        by_fold = [np.mean([found[quantity, level] for of, found in runs if of == fold]) for fold in folds]
        value, low, high = _interval(np.array(by_fold, np.float64), ratio)
        if quantity in (COVERAGE, "certain"):
            low, high = max(low, 0.0), min(high, 1.0)
        unit = str(first["unit"]) if quantity in HAVE_UNIT else ""
        counts = (part["id"].nunique(), len(folds), seeds)
        yield (first["task"], name, quantity, level, value, low, high, *counts, unit, first["data"])


def _interval(by_fold: Floats, ratio: float) -> tuple[float, float, float]:
    value = float(by_fold.mean())
    if len(by_fold) < 2 or not np.isfinite(by_fold).all():
        return value, np.nan, np.nan
    found = corrected_t_test(by_fold, ratio)
    return value, float(found.low), float(found.high)


def quantities(run: pd.DataFrame) -> dict[tuple[str, float | None], float]:
    """The quantities of `calibration` on one test part, by name and nominal level; only coverage has levels.

    Args:
        run: columns ``target``, ``prediction`` and ``std``.
    """
    y, p, std = (run[name].to_numpy(np.float64) for name in ("target", "prediction", "std"))
    std = np.where(std > ROUND_OFF * y.std(), std, 0.0)
    errors = np.abs(y - p)
    levels = central_levels(errors, std)
    varying = np.ptp(std) > 0 and np.ptp(errors) > 0
    root = float(np.sqrt((errors**2).mean()))
    sharpness = float(np.sqrt((std**2).mean()))
    others = {
        "miscalibration_area": miscalibration_area(levels),
        "sharpness": sharpness,
        "std_over_error": sharpness / root if root > 0 else np.nan,
        "rank_correlation": float(stats.spearmanr(std, errors).statistic) if varying else np.nan,
        "negative_log_likelihood": float(-stats.norm.logpdf(errors, scale=std).mean()) if std.all() else np.inf,
        "crps": float(crps(errors, std).mean()),
        "certain": float((std == 0).mean()),
    }
    return {
        **{(COVERAGE, level): float((levels <= level).mean()) for level in LEVELS},
        **{(name, None): value for name, value in others.items()},
    }


def central_levels(errors: Floats, std: Floats) -> Floats:
    """(n,) nominal level of the smallest central interval that contains each target.

    Uniform between 0 and 1 if the standard deviations are right. With a standard deviation of 0, it is 1, or 0 if the
    prediction is exact.

    Args:
        errors: (n,) absolute errors.
        std: (n,) standard deviations.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(errors > 0, errors / std, 0.0)
    return np.asarray(special.erf(z / np.sqrt(2)))


def miscalibration_area(levels: Floats) -> float:
    """Area between the distribution function of n levels and that of the uniform distribution.

    The integral is exact: between two of the sorted levels, the former is constant.

    Args:
        levels: (n,) see `central_levels`.
    """
    ends = np.concatenate([[0.0], np.sort(levels), [1.0]])
    height = np.arange(len(levels) + 1) / len(levels)
    below, above = ends[:-1] - height, ends[1:] - height
    return float((above * np.abs(above) - below * np.abs(below)).sum() / 2)


def crps(errors: Floats, std: Floats) -> Floats:
    """(n,) continuous ranked probability scores of normal distributions.

    Source: Gneiting and Raftery, Journal of the American Statistical Association 102, 359 (2007), eq. 21.

    Args:
        errors: (n,) absolute errors.
        std: (n,) standard deviations, which may be 0.
    """
    z = np.divide(errors, std, out=np.zeros_like(errors), where=std > 0)
    of_normal = std * (z * special.erf(z / np.sqrt(2)) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    return np.where(std > 0, of_normal, errors)
