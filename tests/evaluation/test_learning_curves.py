from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import record
from scipy import stats

from crystalbench.errors import DataError
from crystalbench.evaluation.learning_curves import (
    COLUMNS,
    curve_fits,
    fit_power_law,
    fits_frame,
    learning_curves,
)
from crystalbench.results import Results
from crystalbench.results.frames import predictions_frame, scores_frame
from crystalbench.results.record import Record, RecordedPredictions, RowCounts, scores_for_json
from crystalbench.results.spec import FoldSchemeSpec

TASK, TOTAL = "my_task", 800


def run(mae: float, fraction: float | None, fold: int = 0, **changes: Any) -> Record:
    """A record that learned from a fraction of 800 rows."""
    n = round(TOTAL * (fraction or 1))
    rows = RowCounts(train=n - n // 10, valid=n // 10, test=200, task=1000, task_total=1000, task_folds=5)
    return record(mae, task=TASK, fold=fold, train_fraction=fraction, rows=rows, **changes)


def curve(*maes: float, fold: int = 0, **changes: Any) -> list[Record]:
    """Records on 10, 20, 50 and 100 % of the training part."""
    return [run(mae, share, fold, **changes) for mae, share in zip(maes, (0.1, 0.2, 0.5, None), strict=True)]


def test_a_point_is_the_mean_over_the_folds_with_its_interval() -> None:
    records = [*curve(4.0, 3.0, 2.0, 1.0), *curve(6.0, 4.0, 2.5, 1.5, fold=1)]
    found = learning_curves(scores_frame(records))
    assert tuple(found.columns) == COLUMNS
    assert found[["task", "model"]].drop_duplicates().values.tolist() == [[TASK, "dummy"]]
    assert found["fraction"].tolist() == [0.1, 0.2, 0.5, 1.0]
    assert found["rows"].tolist() == [80, 160, 400, 800]
    assert found["score"].tolist() == [5.0, 3.5, 2.25, 1.25]
    low, high = stats.t.interval(0.95, 1, loc=5.0, scale=stats.sem([4.0, 6.0]))
    assert found.loc[0, ["low", "high"]].tolist() == pytest.approx([low, high])


def test_all_points_are_of_the_same_folds_and_seeds() -> None:
    records = [*curve(4.0, 3.0, 2.0, 1.0), run(9.0, None, fold=1), run(9.0, 0.5, seed=1)]
    found = learning_curves(scores_frame(records))
    assert found["score"].tolist() == [4.0, 3.0, 2.0, 1.0]
    assert found[["folds", "seeds"]].drop_duplicates().values.tolist() == [[1, 1]]
    assert found["low"].isna().all()
    assert learning_curves(scores_frame([run(1.0, None), run(2.0, None, fold=1)])).empty  # one fraction is no curve


def test_configurations_with_one_title_are_different_curves() -> None:
    records = [*curve(4.0, 3.0, 2.0, 1.0), *curve(8.0, 7.0, 6.0, 5.0, parameters={"width": 8})]
    assert learning_curves(scores_frame(records))["model"].nunique() == 2


def test_points_on_other_folds_are_pooled_over_samples() -> None:
    records = []
    for fraction, size in ((0.5, 2.0), (None, 1.0)):
        for fold, errors in enumerate(([size] * 3, [5 * size])):
            made = RecordedPredictions(ids=[f"{fold}-{i}" for i in range(len(errors))], targets=[0.0] * len(errors),
                                       values=errors)  # fmt: skip
            scores = scores_for_json({"mae": float(np.mean(errors)), "rmse": 1.0, "r2": 0.0, "max_error": 1.0})
            changes: dict[str, Any] = {"predictions": made, "scores": scores}
            records.append(run(1.0, fraction, fold, fold_scheme=FoldSchemeSpec(name="formula"), **changes))
    found = learning_curves(scores_frame(records), predictions_frame(records))
    assert found["score"].tolist() == [4.0, 2.0]  # the means over the folds are 6 and 3
    with pytest.raises(DataError, match="on the folds formula are pooled over samples"):
        learning_curves(scores_frame(records))


# ---------------------------------------------------------------------- power laws


def noisy(exact: np.ndarray, seed: int = 0) -> np.ndarray:
    return exact * np.exp(0.02 * np.random.default_rng(seed).normal(size=len(exact)))


def test_the_exponent_and_its_standard_error_are_those_of_a_line_through_the_logarithms() -> None:
    n = np.array([100, 200, 500, 1000, 2000])
    errors = noisy(3.0 * n**-0.4)
    law = fit_power_law(n, errors)
    line = stats.linregress(np.log(n), np.log(errors))
    assert law is not None
    assert law.b == pytest.approx(-line.slope)
    assert law.b_error == pytest.approx(line.stderr)
    assert law.a == pytest.approx(np.exp(line.intercept))
    assert (law.c, law.points) == (0.0, 5)
    assert law([100.0]) == pytest.approx(law.a * 100**-law.b)


def test_a_constant_is_fitted_only_where_it_is_resolved() -> None:
    n = np.geomspace(50, 50_000, 12)
    law = fit_power_law(n, noisy(3.0 * n**-0.5 + 0.1))
    assert law is not None
    assert law.b == pytest.approx(0.5, abs=3 * law.b_error)
    assert law.c == pytest.approx(0.1, abs=3 * law.c_error)
    assert law.c > 2 * law.c_error > 0
    plain = fit_power_law(n, noisy(3.0 * n**-0.5))
    assert plain is not None
    assert plain.c == 0
    assert "+" not in str(plain)
    assert str(law).count("±") == 2


def test_too_few_points_and_errors_that_are_not_positive_have_no_power_law() -> None:
    assert fit_power_law([10, 20], [2.0, 1.0]) is None
    assert fit_power_law([10, 10, 20], [2.0, 2.1, 1.0]) is None
    assert fit_power_law([10, 20, 40], [2.0, 1.0, 0.0]) is None
    assert fit_power_law([10, 20, 40], [2.0, 1.0, np.nan]) is None


def test_scores_whose_best_is_one_are_fitted_as_their_distance_from_it() -> None:
    frame = pd.DataFrame(
        {
            "task": "t",
            "model": "m",
            "fold_scheme": "official",
            "metric": "rocauc_true",
            "rows": [100, 400, 1600],
            "score": 1 - 2 * np.array([100, 400, 1600]) ** -0.5,
        }
    )
    ((points, law),) = curve_fits(frame)
    assert len(points) == 3
    assert law is not None
    assert law.b == pytest.approx(0.5)
    assert fits_frame(frame)[["task", "model", "points"]].values.tolist() == [["t", "m", 3]]


def test_results_have_learning_curves() -> None:
    results = Results(curve(4.0, 3.0, 2.0, 1.0))
    assert len(learning_curves(results.scores, results.predictions_on_other_folds)) == 4
