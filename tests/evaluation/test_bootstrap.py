"""The bootstrap over rows: clusters are drawn as a whole, and scores of draws are those of the metrics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from crystalbench.errors import DataError
from crystalbench.evaluation.bootstrap import FoldLosses, fold_losses, has_losses, row_interval
from crystalbench.evaluation.metrics import score


def fold(metric: str, y: np.ndarray, a: list[np.ndarray], b: list[np.ndarray], start: int = 0) -> FoldLosses:
    return fold_losses(metric, np.array([f"r{start + i}" for i in range(len(y))], object), y, a, b)


def test_the_interval_of_independent_rows_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    y, a, b = rng.normal(size=(3, 300))
    found = row_interval("mae", [fold("mae", y, [a], [b])], draws=4000)
    d = np.abs(y - a) - np.abs(y - b)
    expected = stats.bootstrap((d,), np.mean, n_resamples=4000, method="percentile", rng=rng).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.01)
    assert (found.rows, found.clusters, found.by_formula) == (300, 300, False)


def test_rows_of_one_composition_are_drawn_together() -> None:
    """Each row twice, in cells of two sizes: the interval is that of the single rows, and narrower without clusters."""
    rng = np.random.default_rng(1)
    y, a, b = rng.normal(size=(3, 80))
    single = row_interval("mae", [fold("mae", y, [a], [b])], draws=4000)
    twice = [fold("mae", np.tile(y, 2), [np.tile(a, 2)], [np.tile(b, 2)])]
    formulas = {f"r{i}": f"Fe{i % 80 + 1}O2" if i < 80 else f"Fe{2 * (i % 80 + 1)}O4" for i in range(160)}
    clustered, plain = (row_interval("mae", twice, names, draws=4000) for names in (formulas, None))
    assert (clustered.rows, clustered.clusters, clustered.by_formula) == (160, 80, True)
    assert clustered.high - clustered.low == pytest.approx(single.high - single.low, rel=0.01)
    assert plain.high - plain.low == pytest.approx((single.high - single.low) / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("metric", ["mae", "rmse", "accuracy", "balanced_accuracy", "rocauc", "log_loss"])
def test_losses_give_the_scores_of_the_metric(metric: str) -> None:
    """One row repeated has one value in every draw, so a fold of equal rows shows the score itself."""
    rng = np.random.default_rng(2)
    kind = "regression" if metric in ("mae", "rmse") else "binary"
    n = 200
    y = rng.normal(size=n) if kind == "regression" else np.arange(n) % 2.0
    seeds = [rng.uniform(size=n) for _ in range(3)]
    one = row_interval(metric, [fold(metric, y, seeds[:2], seeds[2:])] * 1, {f"r{i}": "Fe" for i in range(n)}, draws=3)
    a, b = (np.mean([score(kind, y, p)[metric] for p in part]) for part in (seeds[:2], seeds[2:]))
    assert one.low == pytest.approx(a - b)
    assert one.high == pytest.approx(a - b)


def test_folds_have_equal_weights_and_several_classes_are_scored() -> None:
    """Everything in one cluster: the only draw is the mean over the folds."""
    rng = np.random.default_rng(3)
    y = [np.arange(30) % 3.0, np.arange(90) % 3.0]
    p = [[rng.dirichlet(np.ones(3), len(part)) for _ in range(2)] for part in y]
    for metric in ("accuracy", "balanced_accuracy", "log_loss"):
        folds = [fold(metric, part, [p[k][0]], [p[k][1]], start=100 * k) for k, part in enumerate(y)]
        found = row_interval(metric, folds, {f"r{i}": "Fe" for i in range(200)}, draws=2)
        expected = np.mean(
            [
                score("multiclass", part, p[k][0])[metric] - score("multiclass", part, p[k][1])[metric]
                for k, part in enumerate(y)
            ]
        )
        assert found.low == pytest.approx(expected)


def test_a_class_that_a_draw_lacks_is_left_out_of_it() -> None:
    y = np.array([0.0, 0.0, 0.0, 1.0])
    found = row_interval("rocauc", [fold("rocauc", y, [y], [1 - y])])
    assert (found.low, found.high) == (1, 1)


def test_the_interval_is_the_same_on_every_call() -> None:
    y, a, b = np.random.default_rng(4).normal(size=(3, 50))
    assert row_interval("rmse", [fold("rmse", y, [a], [b])]) == row_interval("rmse", [fold("rmse", y, [a], [b])])


def test_metrics_that_are_no_function_of_means_have_no_interval() -> None:
    assert [name for name in ("mae", "r2", "rocauc_true", "max_error") if has_losses(name)] == ["mae"]


def test_a_row_without_a_formula_is_named() -> None:
    y, a, b = np.random.default_rng(5).normal(size=(3, 2))
    folds = [fold("mae", y, [a], [b])]
    with pytest.raises(DataError, match="r1: has no formula"):
        row_interval("mae", folds, {"r0": "Fe"})
    with pytest.raises(DataError, match="r1: 'X7' is not a formula"):
        row_interval("mae", folds, {"r0": "Fe", "r1": "X7"})
