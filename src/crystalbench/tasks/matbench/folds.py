"""The official folds of Matbench.

They are computed, as Matbench did: five folds by scikit-learn's ``KFold`` (``StratifiedKFold`` for classification),
shuffled with the seed 18012019 over the rows in official order (Dunn et al., npj Comput. Mater. 6, 138 (2020); the
notebook of Matbench v0.1). Stratification needs the labels of all rows, even if a user has only some of them, so the
labels of the three classification tasks are part of this package, as bits.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources

import numpy as np
from numpy.typing import NDArray

from crystalbench.errors import ConfigError, DataError
from crystalbench.targets import Kind
from crystalbench.tasks.folds import Folds, kfold, stratified_kfold
from crystalbench.tasks.matbench.official import official_task

OFFICIAL_N_FOLDS = 5
"""Number of folds of each official task."""

OFFICIAL_SEED = 18012019
"""Seed of the shuffle of the official folds."""

# First 12 digits of the SHA-256 of the official folds as 8-bit integers, to notice a scikit-learn that shuffles in
# another way. They are those of the split file in matbench 0.6.
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
        name: Matbench's name of one of the three classification tasks.

    Returns:
        Labels, shape (n_samples,), read-only.

    Raises:
        UnknownNameError: there is no such task.
        ConfigError: the task is a regression.
    """
    task = official_task(name)
    if task.kind is not Kind.BINARY:
        raise ConfigError(f"{name} is a {task.kind} task and has no labels.")
    file = importlib.resources.files("crystalbench.tasks.matbench") / "data" / "official_labels.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as bits:
        labels = np.unpackbits(bits[name], count=task.n_samples).astype(np.bool_)
    labels.flags.writeable = False
    return labels


@functools.cache
def official_folds(name: str) -> Folds:
    """Official test fold of each row of a Matbench task.

    Args:
        name: Matbench's name of the task, for instance ``matbench_phonons``.

    Returns:
        Folds 0 to 4, shape (n_samples,), in official order, read-only.

    Raises:
        UnknownNameError: there is no such task.
        DataError: the installed scikit-learn shuffles differently from the one that Matbench used.

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
            f"The folds computed for {name} are not the official ones: the installed scikit-learn or numpy shuffles "
            "differently. Please report this, with both versions."
        )
    folds.flags.writeable = False
    return folds


def _digest(folds: Folds) -> str:
    return hashlib.sha256(folds.astype(np.int8).tobytes()).hexdigest()[:12]
