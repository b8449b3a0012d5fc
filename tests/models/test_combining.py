"""Weights and standard deviations of combined predictions, compared with what they are defined by."""

from __future__ import annotations

import numpy as np
import pytest

from crystalbench.data.samples import Predictions
from crystalbench.evaluation.calibration import crps
from crystalbench.models.combining import (
    MemberPredictions,
    Uncertainty,
    _mean_crps,
    classification_weights,
    regression_weights,
)


def simplex(members: int, steps: int) -> np.ndarray:
    """All weights that are multiples of 1 / steps."""
    grid = np.stack(np.meshgrid(*[np.arange(steps + 1)] * members, indexing="ij"), -1).reshape(-1, members)
    return grid[grid.sum(1) == steps] / steps


def test_no_other_weights_have_smaller_absolute_errors() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(50, 20, 60)
    values = targets + np.array([[3.0], [5.0], [40.0]]) * rng.standard_t(2, (3, 60))
    weights = regression_weights(values, targets)
    assert weights.min() >= 0 and weights.sum() == pytest.approx(1)
    found = np.abs(weights @ values - targets).mean()
    best = min(np.abs(w @ values - targets).mean() for w in simplex(3, 50))
    assert best * 0.95 < found <= best * (1 + 1e-9)
    assert regression_weights(1e-6 * values - 7, 1e-6 * targets - 7) == pytest.approx(weights, abs=1e-6)


def test_a_member_that_is_right_gets_all_the_weight() -> None:
    targets = np.random.default_rng(1).normal(size=30)
    values = np.stack([targets + 1, targets, np.zeros(30)])
    assert regression_weights(values, targets) == pytest.approx([0, 1, 0], abs=1e-9)
    assert regression_weights(np.ones((2, 5)), np.ones(5)).sum() == pytest.approx(1)


@pytest.mark.parametrize("classes", [2, 3])
def test_no_other_weights_have_a_smaller_log_loss(classes: int) -> None:
    rng = np.random.default_rng(classes)
    labels = rng.integers(classes, size=200)
    raw = np.stack([rng.dirichlet(np.ones(classes), 200) for _ in range(3)])
    raw[0, np.arange(200), labels] += 1.0
    raw[1, np.arange(200), labels] += 0.7
    values = raw / raw.sum(2, keepdims=True)
    weights = classification_weights(values if classes > 2 else values[:, :, 1], labels)

    def loss(w: np.ndarray) -> float:
        return float(-np.log(np.tensordot(w, values, 1)[np.arange(200), labels]).mean())

    assert weights.min() >= 0 and weights.sum() == pytest.approx(1)
    assert loss(weights) <= min(map(loss, simplex(3, 50))) + 1e-6


def test_the_gradient_of_the_score_is_right_and_the_score_that_of_calibration() -> None:
    rng = np.random.default_rng(3)
    errors, parts = np.abs(rng.normal(size=20)), rng.uniform(0.1, 1, (3, 20))
    at = np.array([0.2, 0.5, 0.9])
    value, gradient = _mean_crps(errors, at @ parts, parts)
    assert value == pytest.approx(crps(errors, np.sqrt(at @ parts)).mean())
    for k in range(3):
        step = np.eye(3)[k] * 1e-6
        up, down = (_mean_crps(errors, (at + s * step) @ parts, parts)[0] for s in (1, -1))
        assert gradient[k] == pytest.approx((up - down) / 2e-6, abs=1e-6)


def noisy(sigma: np.ndarray, seed: int) -> tuple[MemberPredictions, np.ndarray]:
    """Two members that disagree in proportion to sigma, and targets that differ from their mean by it."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 10, len(sigma))
    members = MemberPredictions.of([Predictions(truth - 0.1 * sigma), Predictions(truth + 0.1 * sigma)])
    return members, truth + rng.normal(size=len(sigma)) * sigma


def test_a_spread_in_proportion_to_the_errors_is_scaled_to_their_size() -> None:
    sigma = np.random.default_rng(0).uniform(1, 6, 4000)
    members, targets = noisy(sigma, 1)
    for weights in (np.array([0.5, 0.5]), None):
        found = Uncertainty.fit(members, weights, targets)
        assert found.std(members, weights) == pytest.approx(sigma, rel=0.1)
        assert found.own == 0 or found.own * members.variances.max() == 0


def test_where_the_spread_says_nothing_the_standard_deviation_is_that_of_the_errors() -> None:
    rng = np.random.default_rng(4)
    members = MemberPredictions.of([Predictions(v) for v in rng.normal(0, 0.01, (2, 3000))])
    std = Uncertainty.fit(members, np.array([0.5, 0.5]), rng.normal(0, 3, 3000)).std(members, np.array([0.5, 0.5]))
    assert np.sqrt((std**2).mean()) == pytest.approx(3, rel=0.02) and std.std() < 0.1


def test_variances_that_members_predict_are_used() -> None:
    rng = np.random.default_rng(5)
    sigma = rng.uniform(1, 6, 3000)
    one, other = Predictions(np.zeros(3000), sigma / 2), Predictions(np.zeros(3000))
    members = MemberPredictions.of([one, other])
    found = Uncertainty.fit(members, None, rng.normal(size=3000) * sigma)
    assert found.std(members, None) == pytest.approx(sigma, rel=0.1)


def test_members_without_error_leave_no_uncertainty() -> None:
    members = MemberPredictions.of([Predictions(np.ones(4))] * 2)
    assert Uncertainty.fit(members, None, np.ones(4)).std(members, None).tolist() == [0.0] * 4


def test_medians_of_probabilities_sum_to_one() -> None:
    values = np.array([[[0.2, 0.8, 0.0]], [[0.6, 0.2, 0.2]], [[0.1, 0.3, 0.6]]])
    found = MemberPredictions(values, np.zeros(1)).combined(None)
    assert found == pytest.approx(np.array([[0.2, 0.3, 0.2]]) / 0.7)
