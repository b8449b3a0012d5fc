"""Trees as arrays predict exactly as those of scikit-learn, and damaged ones are refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn import ensemble

from crystalbench.errors import SavingError
from crystalbench.models.forests import trees as trees_module
from crystalbench.models.forests.trees import Trees


def rows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(n, 6)).round(2)  # rounded, so that many values meet a threshold
    return x, x[:, 0] * 3 + np.sin(x[:, 1])


def grown(family: str, **options: Any) -> Any:
    x, y = rows(150, 0)
    y = y if family.endswith("Regressor") else np.digitize(y, [-1, 1])
    return getattr(ensemble, family)(n_estimators=9, random_state=0, **options).fit(x, y)


@pytest.mark.parametrize("family", ["RandomForestRegressor", "ExtraTreesRegressor"])
@pytest.mark.parametrize("options", [{}, {"max_leaf_nodes": 12}], ids=["depth-first", "best-first"])
def test_leaves_contain_the_predictions_of_each_tree(family: str, options: dict[str, Any]) -> None:
    forest = grown(family, **options)
    trees = Trees.from_sklearn(forest)
    x, _ = rows(80, 1)
    expected = np.array([tree.predict(x.astype(np.float32)) for tree in forest.estimators_])
    assert len(trees) == 9
    assert np.array_equal(trees.value[trees.leaves(x), 0], expected)


def test_leaves_contain_the_frequencies_of_classes() -> None:
    forest = grown("RandomForestClassifier", min_samples_leaf=5)
    trees = Trees.from_sklearn(forest)
    x, _ = rows(80, 1)
    expected = np.array([tree.predict_proba(x.astype(np.float32)) for tree in forest.estimators_])
    assert np.array_equal(trees.value[trees.leaves(x)], expected)
    assert expected.shape == (9, 80, 3)


def test_rows_are_processed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    trees, (x, _) = Trees.from_sklearn(grown("RandomForestRegressor")), rows(80, 1)
    expected = trees.leaves(x)
    monkeypatch.setattr(trees_module, "_AT_ONCE", 64)  # seven rows
    assert np.array_equal(trees.leaves(x), expected)
    assert trees.leaves(x[:0]).shape == (9, 0)


def test_a_tree_of_one_leaf() -> None:
    forest = ensemble.RandomForestRegressor(n_estimators=2).fit(np.zeros((4, 2)), np.ones(4))
    trees = Trees.from_sklearn(forest)
    assert np.array_equal(trees.value[trees.leaves(np.ones((3, 2))), 0], np.ones((2, 3)))


def test_arrays_round_trip() -> None:
    trees = Trees.from_sklearn(grown("ExtraTreesRegressor"))
    again = Trees.from_arrays(trees.to_arrays())
    for field in dataclasses.fields(Trees):
        assert np.array_equal(getattr(trees, field.name), getattr(again, field.name))


@pytest.mark.parametrize("name", ["left", "right"])
@pytest.mark.parametrize("child", [0, -1, 10**6])
def test_trees_with_cycles_or_missing_children_are_refused(name: str, child: int) -> None:
    arrays = Trees.from_sklearn(grown("ExtraTreesRegressor")).to_arrays()
    arrays[f"trees.{name}"][0] = child
    with pytest.raises(SavingError, match="children outside the tree"):
        Trees.from_arrays(arrays)


@pytest.mark.parametrize("name", ["left", "feature", "threshold", "value", "starts"])
def test_arrays_of_different_lengths_are_refused(name: str) -> None:
    arrays = Trees.from_sklearn(grown("ExtraTreesRegressor")).to_arrays()
    arrays[f"trees.{name}"] = arrays[f"trees.{name}"][:-1]
    with pytest.raises(SavingError, match="do not fit together"):
        Trees.from_arrays(arrays)
