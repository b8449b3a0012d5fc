from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.targets import Kind
from crystalbench.tasks.folds import checked_folds, grouped_kfold, kfold, stratified_kfold
from crystalbench.tasks.matbench.folds import official_folds, official_labels
from crystalbench.tasks.matbench.official import OFFICIAL, official_ids

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def splits() -> dict[str, Any]:
    """Matbench's own split file, read without importing matbench."""
    spec = importlib.util.find_spec("matbench")
    if spec is None or spec.origin is None:
        pytest.skip("matbench is not installed: the official folds cannot be compared with its split file")
    file = Path(spec.origin).with_name("matbench_v0.1_validation.json")
    content: dict[str, Any] = json.loads(file.read_bytes())["splits"]
    return content


@pytest.mark.parametrize("name", OFFICIAL)
def test_folds_and_ids_equal_those_of_matbench(name: str, splits: dict[str, Any]) -> None:
    ids, folds = official_ids(name), official_folds(name)
    assert sorted(splits[name]) == [f"fold_{fold}" for fold in range(5)]
    for fold in range(5):
        split = splits[name][f"fold_{fold}"]
        np.testing.assert_array_equal(ids[folds == fold], np.sort(np.array(split["test"])))
        np.testing.assert_array_equal(ids[folds != fold], np.sort(np.array(split["train"])))


def test_first_folds() -> None:
    # Typed from the published labels: rows 1 to 3 of three tasks.
    assert official_folds("matbench_jdft2d")[:3].tolist() == [4, 4, 1]
    assert official_folds("matbench_steels")[:3].tolist() == [4, 3, 0]
    assert official_folds("matbench_glass")[:2].tolist() == [0, 2]
    assert official_folds("matbench_steels").dtype == np.int16
    with pytest.raises(ValueError, match="read-only"):
        official_folds("matbench_steels")[0] = 1


def test_labels_of_the_classification_tasks() -> None:
    # Fractions of true labels in matbench_v0.1_dataset_metadata.json.
    fractions = {"expt_is_metal": 0.4980694980694981, "glass": 0.710387323943662, "mp_is_metal": 0.43492314796490533}
    for short, fraction in fractions.items():
        labels = official_labels(f"matbench_{short}")
        assert labels.shape == (OFFICIAL[f"matbench_{short}"].n_samples,)
        assert labels.mean() == pytest.approx(fraction, rel=1e-14)
    assert {f"matbench_{short}" for short in fractions} == {t.name for t in OFFICIAL.values() if t.kind is Kind.BINARY}
    with pytest.raises(ConfigError, match="has no labels"):
        official_labels("matbench_phonons")
    with pytest.raises(UnknownNameError, match="matbench_glass"):
        official_folds("matbench_glas")


@given(st.integers(2, 300), st.integers(2, 12), SEEDS)
@settings(deadline=None)
def test_kfold_makes_folds_of_equal_size(n: int, k: int, seed: int) -> None:
    k = min(k, n)
    folds = kfold(n, k, seed)
    sizes = np.bincount(folds, minlength=k)
    assert folds.shape == (n,)
    assert len(sizes) == k
    assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(folds, kfold(n, k, seed))


@given(st.lists(st.integers(0, 3), min_size=2, max_size=200), st.integers(2, 6), SEEDS)
@settings(deadline=None)
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_stratified_kfold_distributes_each_label_evenly(labels: list[int], k: int, seed: int) -> None:
    values = np.array(labels)
    k = min(k, int(np.bincount(values).max()))
    if k < 2:
        return
    folds = stratified_kfold(values, k, seed)
    for label in np.unique(values):
        sizes = np.bincount(folds[values == label], minlength=k)
        assert sizes.max() - sizes.min() <= 1
    assert np.ptp(np.bincount(folds, minlength=k)) <= 1
    np.testing.assert_array_equal(folds, stratified_kfold([f"label {value}" for value in labels], k, seed))


@given(st.lists(st.integers(0, 30), min_size=2, max_size=200), st.integers(2, 6), SEEDS)
def test_grouped_kfold_keeps_groups_together(numbers: list[int], k: int, seed: int) -> None:
    groups = np.array([f"group {number:02d}" for number in numbers])
    k = min(k, len(set(numbers)))
    if k < 2:
        return
    folds = grouped_kfold(groups, k, seed)
    assert folds.shape == (len(groups),)
    for group in set(groups):
        assert len(set(folds[groups == group])) == 1
    sizes = np.bincount(folds, minlength=k)
    assert sizes.min() > 0
    assert sizes.max() - sizes.min() <= np.unique(groups, return_counts=True)[1].max()
    order = np.random.default_rng(seed).permutation(len(groups))
    np.testing.assert_array_equal(folds[order], grouped_kfold(groups[order], k, seed))
    np.testing.assert_array_equal(folds, grouped_kfold(list(numbers), k, seed))


def test_grouped_kfold_is_shuffled_and_reproducible() -> None:
    groups = [f"{element}-O" for element in ["B", "C", "F", "H", "I", "K", "N", "P", "S", "U", "V", "W", "Y"]]
    first, second = grouped_kfold(groups, 4, 0), grouped_kfold(groups, 4, 1)
    assert first.tolist() != second.tolist()
    assert first.tolist() == [2, 2, 0, 1, 2, 3, 0, 3, 1, 0, 3, 1, 0]


@given(st.lists(st.integers(0, 4), min_size=2, max_size=40))
def test_checked_folds_are_kept(column: list[int]) -> None:
    present = sorted(set(column))
    if len(present) > 1 and present == list(range(len(present))):
        np.testing.assert_array_equal(checked_folds(column), column)
        np.testing.assert_array_equal(checked_folds([float(fold) for fold in column]), column)
        np.testing.assert_array_equal(checked_folds([str(fold) for fold in column]), column)
    else:
        with pytest.raises(DataError):
            checked_folds(column)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: kfold(3, 4, 0), ConfigError, "4 folds of 3 rows.*2 to 3"),
        (lambda: kfold(3, 1, 0), ConfigError, "1 folds of 3 rows"),
        (lambda: stratified_kfold([0, 1, 0, 1], 3, 0), ConfigError, "most frequent label has 2 rows"),
        (lambda: stratified_kfold([0.0, np.nan], 2, 0), DataError, "label of row 1 is missing"),
        (lambda: grouped_kfold(["NaCl", "NaCl", "KCl"], 3, 0), ConfigError, "3 folds of 2 groups"),
        (lambda: grouped_kfold(["NaCl", None], 2, 0), DataError, "group of row 1 is missing"),
        (lambda: grouped_kfold([["NaCl"]], 2, 0), DataError, r"shape \(n,\)"),
        (lambda: checked_folds([0, 1, None]), DataError, "None in row 2"),
        (lambda: checked_folds([0, 1.5]), DataError, "1.5 in row 1"),
        (lambda: checked_folds([0, -1]), DataError, "-1 in row 1"),
        (lambda: checked_folds(["train", "test"]), DataError, "'train' in row 0"),
        (lambda: checked_folds([0, 2]), DataError, "no row in fold 1"),
        (lambda: checked_folds([0, 0]), DataError, "at least two folds"),
    ],
)
def test_errors_say_what_is_wrong(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
