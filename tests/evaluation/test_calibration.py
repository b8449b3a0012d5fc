from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from crystalbench.errors import DataError
from crystalbench.evaluation.calibration import (
    COLUMNS,
    LEVELS,
    calibration,
    central_levels,
    crps,
    miscalibration_area,
    quantities,
)

FOLDS, PER_FOLD = 5, 4000


def predictions(scale: float = 1.0, seeds: int = 1, **columns: Any) -> pd.DataFrame:
    """Predictions whose errors are normal, with standard deviations that are right but for a factor."""
    rng = np.random.default_rng(0)
    n = FOLDS * PER_FOLD
    std = rng.uniform(0.5, 2.0, n)
    target = rng.normal(size=n)
    one = pd.DataFrame(
        {
            "task": "mine",
            "data": "d",
            "model": "m",
            "kind": "regression",
            "unit": "eV",
            "rows": n,
            "configuration": "c",
            "fold": np.arange(n) % FOLDS,
            "id": [f"r{i}" for i in range(n)],
            "target": target,
            "prediction": target + std * rng.normal(size=n),
            "std": scale * std,
        }
    )
    return pd.concat([one.assign(seed=seed) for seed in range(seeds)], ignore_index=True).assign(**columns)


def found(frame: pd.DataFrame) -> dict[str, float]:
    whole = frame[frame["quantity"] != "coverage"]
    return dict(zip(whole["quantity"], whole["value"], strict=True))


def test_right_standard_deviations_cover_what_they_should() -> None:
    frame = calibration(predictions())
    assert tuple(frame.columns) == COLUMNS
    coverage = frame[frame["quantity"] == "coverage"]
    assert tuple(coverage["level"]) == LEVELS
    assert np.allclose(coverage["value"], LEVELS, atol=0.01)
    assert (coverage["low"] < coverage["level"]).all()
    assert (coverage["level"] < coverage["high"]).all()
    others = found(frame)
    mean_square = 7 / 4  # of a uniform distribution from 0.5 to 2
    assert others["miscalibration_area"] < 0.02
    assert others["sharpness"] == pytest.approx(np.sqrt(mean_square), rel=0.01)
    assert others["std_over_error"] == pytest.approx(1, abs=0.03)
    assert others["certain"] == 0
    entropy = 0.5 * np.log(2 * np.pi * np.e) + (2 * np.log(2) - 0.5 * np.log(0.5) - 1.5) / 1.5  # mean of log σ
    assert others["negative_log_likelihood"] == pytest.approx(entropy, abs=0.02)
    assert others["crps"] == pytest.approx(1.25 / np.sqrt(np.pi), rel=0.02)
    assert others["rank_correlation"] > 0.2
    assert frame["rows"].tolist() == [FOLDS * PER_FOLD] * len(frame)
    assert set(frame["folds"]) == {5}
    assert frame.set_index("quantity").loc["crps", "unit"] == "eV"


def test_too_small_standard_deviations_cover_less() -> None:
    frame = calibration(predictions(scale=0.5))
    coverage = frame[frame["quantity"] == "coverage"].set_index("level")
    for level in LEVELS:
        half = stats.norm.ppf((1 + level) / 2) / 2
        assert coverage.loc[level, "value"] == pytest.approx(stats.norm.cdf(half) - stats.norm.cdf(-half), abs=0.01)
    assert coverage.loc[0.9, "high"] < 0.9
    assert found(frame)["std_over_error"] == pytest.approx(0.5, abs=0.02)
    right = found(calibration(predictions()))
    for score in ("negative_log_likelihood", "crps", "miscalibration_area"):
        assert found(frame)[score] > right[score]


def test_the_area_is_the_integral_between_both_curves() -> None:
    levels = np.random.default_rng(1).beta(2, 1, 50)
    grid = np.linspace(0, 1, 200_001)
    observed = np.searchsorted(np.sort(levels), grid, side="right") / 50
    assert miscalibration_area(levels) == pytest.approx(integrate.trapezoid(np.abs(observed - grid), grid), abs=1e-5)
    assert miscalibration_area(np.zeros(3)) == miscalibration_area(np.ones(3)) == pytest.approx(0.5)
    assert miscalibration_area((np.arange(1000) + 0.5) / 1000) == pytest.approx(0.25 / 1000)


def test_levels_of_central_intervals() -> None:
    z = stats.norm.ppf(0.95)
    levels = central_levels(np.array([z, 3 * z, 0.0, 0.1, 0.0]), np.array([1.0, 3.0, 1.0, 0.0, 0.0]))
    assert levels == pytest.approx([0.9, 0.9, 0.0, 1.0, 0.0])


def test_crps_is_the_integral_of_the_squared_difference_of_distribution_functions() -> None:
    for error, std in ((0.0, 1.0), (1.3, 0.7), (4.0, 2.0)):
        below = integrate.quad(lambda x, s=std: stats.norm.cdf(x / s) ** 2, -np.inf, error)[0]
        above = integrate.quad(lambda x, s=std: stats.norm.sf(x / s) ** 2, error, np.inf)[0]
        assert crps(np.array([error]), np.array([std]))[0] == pytest.approx(below + above, abs=1e-7)
    assert crps(np.array([2.0, 0.0]), np.zeros(2)).tolist() == [2.0, 0.0]


def test_a_standard_deviation_of_zero_is_certainty() -> None:
    run = pd.DataFrame({"target": [1.0, 2.0, 3.0, 4.0], "prediction": [1.0, 2.5, 3.0, 4.0], "std": [1.0, 1e-12, 0, 1]})
    values = quantities(run)
    assert values["certain", None] == 0.5
    assert values["negative_log_likelihood", None] == np.inf
    assert values["coverage", 0.9] == 0.75  # the second row is wrong, the third exact
    assert np.isfinite(values["crps", None])


def test_what_does_not_vary_has_no_rank_correlation() -> None:
    frame = calibration(predictions().assign(std=1.0)).set_index("quantity")
    assert frame.loc["rank_correlation", ["value", "low", "high"]].isna().all()


def test_an_infinite_mean_has_no_interval() -> None:
    rows = predictions(seeds=2)
    rows.loc[rows["id"] == "r0", "std"] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = calibration(rows).set_index("quantity")
    assert frame.loc["negative_log_likelihood", "value"] == np.inf
    assert frame.loc["negative_log_likelihood", ["low", "high"]].isna().all()


def test_intervals_are_those_of_the_corrected_t_test_with_seeds_averaged() -> None:
    rows = predictions(seeds=2)
    rows.loc[rows["seed"] == 1, "std"] *= 2
    frame = calibration(rows)
    assert set(frame["seeds"]) == {2}
    line = frame[frame["quantity"] == "sharpness"].iloc[0]
    one = rows[rows["seed"] == 0].groupby("fold")["std"].apply(lambda std: np.sqrt((std**2).mean()))
    by_fold = 1.5 * one
    half = stats.t.ppf(0.975, 4) * np.sqrt((1 / 5 + 1 / 4) * by_fold.var(ddof=1))
    assert line["value"] == pytest.approx(by_fold.mean())
    assert (line["low"], line["high"]) == pytest.approx((by_fold.mean() - half, by_fold.mean() + half))


def test_a_single_fold_has_values_without_intervals() -> None:
    rows = predictions()
    frame = calibration(rows[rows["fold"] == 0].assign(rows=PER_FOLD))
    assert frame["low"].isna().all()
    assert frame["value"].notna().all()


def test_only_standard_runs_of_regression_with_standard_deviations_count() -> None:
    rows = predictions()
    others = [
        rows.assign(std=np.nan, model="without", configuration="w"),
        rows.assign(kind="binary", model="classes", configuration="b"),
        rows.assign(fold_scheme="formula", model="other folds", configuration="f"),
        rows.assign(train_fraction=0.5, model="less", configuration="l"),
    ]
    mine = rows.assign(fold_scheme="official", train_fraction=1.0)
    frame = calibration(pd.concat([mine, *others]).fillna({"fold_scheme": "official", "train_fraction": 1.0}))
    assert set(frame["model"]) == {"m"}
    assert set(calibration(mine, {"c": "m (layers=2)"})["model"]) == {"m (layers=2)"}
    assert calibration(others[0]).empty
    assert tuple(calibration(others[0]).columns) == COLUMNS


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="has no column std"):
        calibration(predictions().drop(columns="std"))
