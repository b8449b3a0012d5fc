from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crystalbench.data.elements import MAX_Z
from crystalbench.evaluation.conformal import COLUMNS, conformal, half_widths, quantile
from crystalbench.evaluation.slices import TaskRows


def rows_of(targets: np.ndarray, folds: np.ndarray, **changes: Any) -> TaskRows:
    n = len(targets)
    elements = np.zeros((n, MAX_Z + 1), np.bool_)
    elements[:, 8] = True
    elements[: n // 2, 26] = True
    plain: dict[str, Any] = {
        "task": "mine",
        "data": "d",
        "ids": np.array([f"r{i}" for i in range(n)]),
        "folds": folds.astype(np.int16),
        "targets": targets,
        "classes": (),
        "formulas": np.array([f"F{i}" for i in range(n)], object),
        "systems": np.array(["Fe-O"] * (n // 2) + ["O"] * (n - n // 2), object),
        "elements": elements,
        "features": np.arange(n, dtype=np.float64)[:, None],
    }
    return TaskRows(**{**plain, **changes})


def predicted(rows: TaskRows, errors: np.ndarray, std: np.ndarray | float = np.nan, **columns: Any) -> pd.DataFrame:
    plain = {"task": "mine", "data": "d", "model": "m", "kind": "regression", "unit": "eV", "configuration": "c"}
    values = {"fold": rows.folds, "seed": 0, "id": rows.ids.astype(object), "target": rows.targets}
    return pd.DataFrame({**plain, **values, "prediction": rows.targets + errors, "std": std, **columns})


def whole(frame: pd.DataFrame, method: str = "plain") -> pd.Series[Any]:
    return frame[(frame["slice"] == "all") & (frame["method"] == method)].iloc[0]


def test_the_quantile_is_the_smallest_that_covers_with_one_more_row() -> None:
    scores = np.arange(1.0, 10.0)
    assert quantile(scores, 0.9) == 9.0  # the ninth of nine: (9 + 1) · 0.9 in floating point is above nine
    assert quantile(scores, 0.5) == 5.0
    assert quantile(scores[::-1], 0.81) == 9.0
    assert quantile(scores, 0.91) == math.inf
    assert quantile(np.arange(1.0, 100.0), 0.95) == 95.0


def test_exchangeable_scores_are_covered_with_at_least_the_level() -> None:
    rng = np.random.default_rng(0)
    for n in (9, 20, 57):
        scores = rng.exponential(size=(20_000, n + 1))
        covered = np.array([row[-1] <= quantile(row[:-1], 0.9) for row in scores]).mean()
        exact = math.ceil((n + 1) * 0.9 - 1e-9) / (n + 1)
        assert exact >= 0.9
        assert covered == pytest.approx(exact, abs=0.008)


def test_errors_that_are_alike_in_all_folds_are_covered_as_they_should() -> None:
    rng = np.random.default_rng(1)
    rows = rows_of(rng.normal(size=5000), np.arange(5000) % 5)
    line = whole(conformal(predicted(rows, rng.standard_t(3, 5000)), rows, draws=200))
    assert line["coverage"] == pytest.approx(0.9, abs=0.012)
    assert line["low"] < 0.9 < line["high"]
    assert line["width"] == pytest.approx(2 * 2.353, rel=0.05)  # the 90 % interval of the t distribution
    assert (line["rows"], line["level"], line["unit"]) == (5000, 0.9, "eV")


def test_the_other_folds_of_the_same_seed_calibrate() -> None:
    folds = np.repeat([0, 1, 2], 9)
    rows = rows_of(np.zeros(27), folds)
    errors = np.concatenate([np.full(9, 1.0), np.arange(9) + 10.0, np.full(9, 3.0)])
    part = pd.concat([predicted(rows, errors), predicted(rows, 100 * errors, seed=1)])
    half = half_widths(part, 0.5)
    assert half.reshape(2, 3, 9)[:, :, 0].tolist() == [[10.0, 3.0, 10.0], [1000.0, 300.0, 1000.0]]


def test_whatever_the_errors_are_few_rows_are_missed_on_average() -> None:
    """By counting alone, at least 1 − α − (1 − α)/K of the rows are covered; this is nearly reached."""
    rng = np.random.default_rng(2)
    level, k, per_fold = 0.9, 5, 40
    rows = rows_of(np.zeros(k * per_fold), np.repeat(np.arange(k), per_fold))
    worst = 1.0
    for _ in range(200):
        errors = rng.exponential(size=k * per_fold) * rng.lognormal(0, rng.uniform(0, 5), k)[rows.folds]
        worst = min(worst, float((errors <= half_widths(predicted(rows, errors), level)).mean()))
    # One fold is harder than most rows of the others, and the hardest rows of the others are harder still.
    hard = np.where(rows.folds == 0, 10.0, np.where(np.arange(200) % per_fold < 4, 20.0, 1.0))
    hard[per_fold] = 1.0
    planted = float((hard <= half_widths(predicted(rows, hard), level)).mean())
    assert level - level / k <= min(worst, planted)
    assert planted == pytest.approx(level - level / k, abs=0.01)


def test_a_slice_with_larger_errors_is_covered_less_unless_the_standard_deviation_knows() -> None:
    rng = np.random.default_rng(3)
    n = 4000
    scale = np.where(np.arange(n) < n // 2, 3.0, 1.0)  # rows with iron are harder
    rows = rows_of(rng.normal(size=n), rng.permutation(np.arange(n) % 5))
    frame = conformal(predicted(rows, scale * rng.normal(size=n), std=scale), rows, draws=200)
    assert tuple(frame.columns) == COLUMNS
    iron = frame[(frame["slice"] == "element") & (frame["value"] == "Fe")].set_index("method")
    assert iron.loc["plain", "coverage"] < 0.84
    assert iron.loc["plain", "high"] < 0.9
    assert iron.loc["normalised", "coverage"] == pytest.approx(0.885, abs=0.02)  # the offset makes them alike
    oxygen = frame[(frame["slice"] == "chemical_system") & (frame["method"] == "normalised")]
    assert oxygen["rows"].sum() == n
    widths = frame[(frame["slice"] == "elements") & (frame["method"] == "normalised")].set_index("value")["width"]
    assert widths["2"] / widths["1"] == pytest.approx((3 + 0.2) / (1 + 0.2), rel=0.02)  # with a tenth of the mean


def test_a_standard_deviation_of_zero_has_a_width() -> None:
    rng = np.random.default_rng(4)
    rows = rows_of(np.zeros(500), np.arange(500) % 5)
    half = half_widths(predicted(rows, rng.normal(size=500), std=np.arange(500) % 2.0), normalised=True)
    assert (half > 0).all()
    assert half[1] / half[0] == pytest.approx((1 + 0.05) / 0.05)  # a tenth of the mean is added
    assert np.isnan(half_widths(predicted(rows, rng.normal(size=500), std=0.0), normalised=True)).all()
    assert np.isnan(half_widths(predicted(rows, rng.normal(size=500)), normalised=True)).all()


def test_too_few_rows_have_no_intervals() -> None:
    rows = rows_of(np.zeros(12), np.arange(12) % 3)
    assert conformal(predicted(rows, np.ones(12)), rows).empty  # eight rows calibrate, nine are needed
    assert len(conformal(predicted(rows, np.ones(12)), rows, level=0.8))
    one_fold = predicted(rows, np.ones(12)).query("fold == 0")
    assert tuple(conformal(one_fold, rows).columns) == COLUMNS
    assert conformal(one_fold, rows).empty


def test_classification_has_no_intervals() -> None:
    rows = rows_of(np.arange(40) % 2.0, np.arange(40) % 5, classes=("no", "yes"))
    assert conformal(predicted(rows, np.zeros(40), kind="binary"), rows).empty


def test_the_level_is_between_0_and_1() -> None:
    rows = rows_of(np.zeros(40), np.arange(40) % 5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        conformal(predicted(rows, np.zeros(40)), rows, level=90)
