from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from crystalbench.evaluation.group_means import group_means

MEMBERS = sparse.csr_array(np.array([[1.0, 0], [1, 0], [1, 1], [1, 1]]))


def test_means_of_groups_and_of_the_rows_that_have_a_value() -> None:
    values = {"a": np.array([1.0, 2, 3, 6]), "b": np.array([1.0, np.nan, np.nan, 5])}
    found = group_means(values, MEMBERS, np.array([0, 0, 1, 2]))
    assert found["a"].rows.tolist() == [4, 2]
    assert found["a"].mean.tolist() == [3.0, 4.5]
    assert found["b"].rows.tolist() == [2, 1]
    assert found["b"].mean.tolist() == [3.0, 5.0]
    assert np.isnan(found["b"].low[1])  # one cluster has a value
    assert found["a"].low[1] == 3.0
    assert found["a"].high[1] == 6.0


def test_clusters_are_drawn_as_a_whole() -> None:
    values = {"a": np.tile([0.0, 1.0], 200)}
    whole = sparse.csr_array(np.ones((400, 1)))
    pairs = group_means(values, whole, np.arange(400) // 2)["a"]  # each cluster has the mean 0.5
    rows = group_means(values, whole, np.arange(400))["a"]
    assert pairs.low[0] == pairs.high[0] == 0.5
    assert rows.high[0] - rows.low[0] == pytest.approx(2 * 1.96 * 0.5 / 20, rel=0.1)
