"""Folds: for every row, the number of the fold whose test part it is in.

All are the same on every machine for the same input and seed. Those of Matbench are in
`crystalbench.tasks.matbench.folds`.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crystalbench.errors import ConfigError, DataError

if TYPE_CHECKING:
    from sklearn.model_selection._split import _BaseKFold

Folds: TypeAlias = NDArray[np.int16]
"""Test fold of every row, shape (n,), counted from 0."""


def kfold(n: int, k: int, seed: int) -> Folds:
    """Shuffle the rows and deal them to k folds whose sizes differ by one at most.

    Args:
        n: number of rows.
        k: number of folds, 2 to n.
        seed: seed of the shuffle.

    Returns:
        Test fold of every row, shape (n,).

    Raises:
        ConfigError: k is below 2 or above n.
    """
    _check_k(k, n, "rows")
    from sklearn.model_selection import KFold  # here: scikit-learn takes a second to import

    return _test_folds(KFold(k, shuffle=True, random_state=seed), np.zeros(n))


def stratified_kfold(labels: ArrayLike, k: int, seed: int) -> Folds:
    """Shuffle the rows and deal them to k folds, every label as evenly as it can be.

    A label with fewer than k rows is missing from some folds.

    Args:
        labels: label of every row, shape (n,): booleans, integers or strings.
        k: number of folds, 2 to the number of rows of the most frequent label.
        seed: seed of the shuffle.

    Returns:
        Test fold of every row, shape (n,). Sizes differ by one at most, in total and for each label.

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
            "Use fewer folds, or kfold if these are numbers to predict."
        )
    from sklearn.model_selection import StratifiedKFold

    return _test_folds(StratifiedKFold(k, shuffle=True, random_state=seed), codes)


def grouped_kfold(groups: ArrayLike, k: int, seed: int) -> Folds:
    """Keep every group in one fold: no formula, or no chemical system, is both trained on and tested.

    The groups, largest first and equal ones in shuffled order, go to the fold that has the fewest rows so far. The
    largest and the smallest fold differ by the size of the largest group at most. The fold of a group does not depend
    on the order of the rows. (scikit-learn's shuffled ``GroupKFold`` balances the number of groups, not of rows.)

    Args:
        groups: group of every row, shape (n,), for instance reduced formulas or chemical systems.
        k: number of folds, 2 to the number of groups.
        seed: seed of the shuffle.

    Returns:
        Test fold of every row, shape (n,).

    Raises:
        ConfigError: k is below 2 or above the number of groups.
        DataError: a group is missing.
    """
    codes, n_groups = _codes(groups, "group")
    _check_k(k, n_groups, "groups")
    sizes = np.bincount(codes)
    shuffled = np.random.RandomState(seed).permutation(n_groups)  # its stream is frozen, unlike default_rng's
    lightest = [(0, fold) for fold in range(k)]
    fold_of_group = np.empty(n_groups, dtype=np.int16)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")].tolist():
        size, fold = lightest[0]
        fold_of_group[group] = fold
        heapq.heapreplace(lightest, (size + int(sizes[group]), fold))
    return fold_of_group[codes]


def given_folds(column: ArrayLike | Sequence[object]) -> Folds:
    """Check folds that the user brings, for instance a column of a table.

    Args:
        column: test fold of every row, shape (n,): whole numbers from 0, every fold with one row at least.

    Returns:
        The same as integers, shape (n,).

    Raises:
        DataError: a value is missing or no whole number from 0, a fold is empty, or there are fewer than two folds.
    """
    values = pd.to_numeric(pd.Series(np.asarray(column, dtype=object)), errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~((values >= 0) & (values == np.floor(values)) & (values <= np.iinfo(np.int16).max)))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"{len(wrong)} of {len(values)} folds are not whole numbers from 0; the first is "
            f"{np.asarray(column, dtype=object)[row]!r} in row {row}."
        )
    folds = values.astype(np.int16)
    present = np.unique(folds)
    if len(present) < 2:
        raise DataError(f"There must be two folds at least; found {present.tolist()}.")
    if missing := sorted(set(range(int(present[-1]) + 1)) - set(present.tolist())):
        raise DataError(f"Folds must be numbered 0 to k - 1: found {present[-1]} but no row in fold {missing[0]}.")
    return folds


def _check_k(k: int, most: int, of_what: str) -> None:
    if k < 2 or k > min(most, np.iinfo(np.int16).max):
        raise ConfigError(f"Cannot make {k} folds of {most} {of_what}: the number of folds must be 2 to {most}.")


def _codes(values: ArrayLike, what: str) -> tuple[NDArray[np.intp], int]:
    """Number the distinct values in sorted order; codes of shape (n,) and how many there are."""
    column = np.asarray(values)
    if column.ndim != 1:
        raise DataError(f"Give one {what} per row, shape (n,), not an array of shape {column.shape}.")
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
