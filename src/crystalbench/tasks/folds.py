"""Folds: for each row, the number of the fold whose test part contains it.

The same input and seed give the same folds on every machine. The folds of Matbench are in
`crystalbench.tasks.matbench.folds`.
"""

from __future__ import annotations

import heapq
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crystalbench.errors import ConfigError, DataError

if TYPE_CHECKING:
    from sklearn.model_selection._split import _BaseKFold

Folds: TypeAlias = NDArray[np.int16]
"""Test fold of each row, shape (n,), counted from 0."""


def kfold(n: int, k: int, seed: int) -> Folds:
    """Shuffle the rows and distribute them over k folds whose sizes differ by at most one.

    Args:
        n: number of rows.
        k: number of folds, 2 to n.
        seed: seed of the shuffle.

    Returns:
        Test fold of each row, shape (n,).

    Raises:
        ConfigError: k is below 2 or above n.
    """
    _check_k(k, n, "rows")
    from sklearn.model_selection import KFold  # here: scikit-learn takes a second to import

    return _test_folds(KFold(k, shuffle=True, random_state=seed), np.zeros(n))


def stratified_kfold(labels: ArrayLike, k: int, seed: int) -> Folds:
    """Shuffle the rows and distribute each label over k folds as evenly as possible.

    A label with fewer than k rows is missing from some folds.

    Args:
        labels: label of each row, shape (n,): booleans, integers or strings.
        k: number of folds, 2 to the number of rows of the most frequent label.
        seed: seed of the shuffle.

    Returns:
        Test fold of each row, shape (n,). Sizes differ by at most one, in total and for each label.

    Raises:
        ConfigError: k is below 2, or every label has fewer than k rows.
        DataError: a label is missing.
    """
    codes, _ = _codes(labels, "label")
    _check_k(k, len(codes), "rows")
    most = int(np.bincount(codes).max())
    if most < k:
        raise ConfigError(
            f"Cannot make {k} stratified folds: the most frequent label has {most} rows. "
            "Use fewer folds, or kfold if the target is a number."
        )
    from sklearn.model_selection import StratifiedKFold

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # as documented
        return _test_folds(StratifiedKFold(k, shuffle=True, random_state=seed), codes)


def grouped_kfold(groups: ArrayLike, k: int, seed: int) -> Folds:
    """Keep each group in one fold, so that no formula or chemical system is in both the training and the test part.

    Groups are assigned to the fold with the fewest rows so far, largest first, and groups of equal size in shuffled
    order. The largest and the smallest fold differ by at most the size of the largest group. The fold of a group does
    not depend on the order of the rows. (scikit-learn's shuffled ``GroupKFold`` balances the number of groups, not of
    rows.)

    Args:
        groups: group of each row, shape (n,), for instance reduced formulas or chemical systems.
        k: number of folds, 2 to the number of groups.
        seed: seed of the shuffle.

    Returns:
        Test fold of each row, shape (n,).

    Raises:
        ConfigError: k is below 2 or above the number of groups.
        DataError: a group is missing.
    """
    codes, n_groups = _codes(groups, "group")
    _check_k(k, n_groups, "groups")
    sizes = np.bincount(codes)
    shuffled = np.random.RandomState(seed).permutation(n_groups)  # unlike default_rng's, its stream never changes
    lightest = [(0, fold) for fold in range(k)]
    fold_of_group = np.empty(n_groups, dtype=np.int16)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")].tolist():
        size, fold = lightest[0]
        fold_of_group[group] = fold
        heapq.heapreplace(lightest, (size + int(sizes[group]), fold))
    return fold_of_group[codes]


def checked_folds(column: ArrayLike | Sequence[object]) -> Folds:
    """Check folds that the user provides, for instance in a column of a table.

    Args:
        column: test fold of each row, shape (n,): integers from 0 to k - 1, each at least once.

    Returns:
        The folds as integers, shape (n,).

    Raises:
        DataError: a value is missing or not a non-negative integer, a fold is empty, or there are fewer than two folds.
    """
    values = pd.to_numeric(pd.Series(np.asarray(column, dtype=object)), errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~((values >= 0) & (values == np.floor(values)) & (values <= np.iinfo(np.int16).max)))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"{len(wrong)} of {len(values)} folds are not non-negative integers; the first is "
            f"{np.asarray(column, dtype=object)[row]!r} in row {row}."
        )
    folds = values.astype(np.int16)
    present = np.unique(folds)
    if len(present) < 2:
        raise DataError(f"There must be at least two folds; found {present.tolist()}.")
    if missing := sorted(set(range(int(present[-1]) + 1)) - set(present.tolist())):
        raise DataError(
            f"Folds must be numbered from 0 to k - 1; there is a fold {present[-1]} but no row in fold {missing[0]}."
        )
    return folds


def _check_k(k: int, most: int, of_what: str) -> None:
    if k < 2 or k > min(most, np.iinfo(np.int16).max):
        raise ConfigError(f"Cannot make {k} folds of {most} {of_what}: the number of folds must be 2 to {most}.")


def _codes(values: ArrayLike, what: str) -> tuple[NDArray[np.intp], int]:
    """Number the distinct values in sorted order; returns codes of shape (n,) and the number of distinct values."""
    column = np.asarray(values)
    if column.ndim != 1:
        raise DataError(f"Give one {what} per row, shape (n,), not shape {column.shape}.")
    missing = np.flatnonzero(pd.isna(column))
    if len(missing):
        raise DataError(f"The {what} of row {missing[0]} is missing ({len(missing)} of {len(column)} rows).")
    distinct, codes = np.unique(column.astype(np.str_) if column.dtype == object else column, return_inverse=True)
    return codes.astype(np.intp), len(distinct)


def _test_folds(splitter: _BaseKFold, labels: NDArray[np.generic]) -> Folds:
    folds = np.empty(len(labels), dtype=np.int16)
    for fold, (_, test) in enumerate(splitter.split(labels, labels)):
        folds[test] = fold
    return folds
