from __future__ import annotations

import numpy as np

from crystalbench.data.samples import Predictions
from crystalbench.runs.ensemble import combine
from crystalbench.targets import Kind


def test_the_variance_of_an_ensemble_is_the_total_one() -> None:
    members = [Predictions(np.array([1.0, 4.0]), np.array([0.5, 0.0])), Predictions(np.array([3.0, 4.0]), np.ones(2))]
    combined = combine(members, Kind.REGRESSION)
    assert combined.values.tolist() == [2.0, 4.0]
    assert combined.std is not None
    np.testing.assert_allclose(combined.std**2, [1 + (0.25 + 1) / 2, 0 + (0 + 1) / 2])


def test_members_without_uncertainty_have_their_spread() -> None:
    members = [Predictions(np.array([1.0])), Predictions(np.array([3.0]), np.array([9.0]))]
    combined = combine(members, Kind.REGRESSION)
    assert combined.std is not None
    assert combined.std.tolist() == [1.0]


def test_one_member_is_itself_and_classes_have_mean_probabilities() -> None:
    one = Predictions(np.array([1.0]), np.array([2.0]))
    assert combine([one], Kind.REGRESSION) is one
    several = [Predictions(np.array([[1.0, 0.0]])), Predictions(np.array([[0.5, 0.5]]))]
    combined = combine(several, Kind.MULTICLASS)
    assert combined.values.tolist() == [[0.75, 0.25]]
    assert combined.std is None
