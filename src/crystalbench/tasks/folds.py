"""Folds: for every row, the number of the fold whose test part it is in.

The official folds of Matbench are made, not read: ``KFold`` (``StratifiedKFold`` for labels) of scikit-learn, five
folds, shuffled with the seed 18012019 over the official order of the rows (Dunn et al., npj Comput. Mater. 6, 138
(2020); the notebook of Matbench v0.1). Stratification needs the labels of all rows, also when a user holds some of
them only, so the labels of the three classification tasks come with this package as bits.

Folds of other data are made by `kfold`, `stratified_kfold`, `grouped_kfold` and `given_folds`. All are the same on
every machine for the same input and seed.
"""

from __future__ import annotations

import functools
import hashlib
import heapq
import importlib.resources
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crystalbench.errors import ConfigError, DataError
from crystalbench.samples import Kind
from crystalbench.tasks.official import official_task

if TYPE_CHECKING:
    from sklearn.model_selection._split import _BaseKFold

OFFICIAL_N_FOLDS = 5
"""Number of folds of every official task."""

OFFICIAL_SEED = 18012019
"""Seed of the shuffle behind the official folds."""

Folds: TypeAlias = NDArray[np.int16]
"""Test fold of every row, shape (n,), counted from 0."""

# First 12 digits of the SHA-256 of the official folds as 8-bit integers: a scikit-learn that shuffles otherwise must
# not go unnoticed. They are those of the split file in matbench 0.6.
_DIGESTS: dict[str, str] = {
    "matbench_steels": "e65cf256c3c1",
    "matbench_jdft2d": "72e2b4bc7ea4",
    "matbench_phonons": "5139ec1c5736",
    "matbench_expt_gap": "9ed1c8241ec0",
    "matbench_dielectric": "75ce477812f4",
    "matbench_expt_is_metal": "31c1ed1c6526",
    "matbench_glass": "73ff7620bfcb",
    "matbench_log_gvrh": "d4f1c38e786d",
    "matbench_log_kvrh": "d4f1c38e786d",
    "matbench_perovskites": "78012772e6af",
    "matbench_mp_gap": "0e4e0dea8fbe",
    "matbench_mp_is_metal": "f56b0fe045c2",
    "matbench_mp_e_form": "86b3e1f495cb",
}


@functools.cache
def official_labels(name: str) -> NDArray[np.bool_]:
    """Labels of all rows of an official classification task, in official order.

    Args:
        name: Matbench's name of the task, one of the three with labels.

    Returns:
        Labels, shape (n_samples,), read-only.

    Raises:
        UnknownNameError: there is no such task.
        ConfigError: the task is a regression.
    """
    task = official_task(name)
    if task.kind is not Kind.BINARY:
        raise ConfigError(f"{name} is a {task.kind} task and has no labels.")
    file = importlib.resources.files("crystalbench.tasks") / "data" / "official_labels.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as bits:
        labels = np.unpackbits(bits[name], count=task.n_samples).astype(np.bool_)
    labels.flags.writeable = False
    return labels


@functools.cache
def official_folds(name: str) -> Folds:
    """Official test fold of every row of a Matbench task.

    Args:
        name: Matbench's name of the task, for instance ``matbench_phonons``.

    Returns:
        Folds 0 to 4, shape (n_samples,), in official order, read-only.

    Raises:
        UnknownNameError: there is no such task.
        DataError: the installed scikit-learn shuffles otherwise than the one that Matbench used.

    Examples:
        >>> official_folds("matbench_phonons")[:8].tolist()
        [4, 0, 0, 3, 1, 4, 0, 3]
    """
    task = official_task(name)
    if task.kind is Kind.BINARY:
        folds = stratified_kfold(official_labels(name), OFFICIAL_N_FOLDS, OFFICIAL_SEED)
    else:
        folds = kfold(task.n_samples, OFFICIAL_N_FOLDS, OFFICIAL_SEED)
    if _digest(folds) != _DIGESTS[name]:
        raise DataError(
            f"The folds made for {name} are not the official ones: the installed scikit-learn or numpy shuffles "
            "otherwise. Please report it with both versions."
        )
    folds.flags.writeable = False
    return folds


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


def _digest(folds: Folds) -> str:
    return hashlib.sha256(folds.astype(np.int8).tobytes()).hexdigest()[:12]


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
