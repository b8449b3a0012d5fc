"""The protocol: how the training part of a fold is cut into inner folds, the same for every model."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold, StratifiedKFold

from crystalbench.errors import ConfigError, DataError
from crystalbench.records import Protocol
from crystalbench.samples import Kind


def inner_splits(
    task: str, fold: int, targets: npt.NDArray[np.float64], kind: Kind, protocol: Protocol
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Inner training and validation rows for each member of the ensemble.

    The split is drawn from the names of task and fold alone, so that every model, seed and tuning trial gets the same.
    Classes are stratified where each has enough rows.

    Args:
        task: name of the task.
        fold: outer fold.
        targets: (n,) targets of the fold's training part.
        kind: kind of the target.
        protocol: number of inner folds and members.

    Returns:
        For each member: row numbers within the training part, ascending.

    Raises:
        ConfigError: fewer than two inner folds, or more members than inner folds.
        DataError: fewer rows than inner folds.
    """
    parts = protocol.inner_folds
    if parts < 2 or not 1 <= protocol.ensemble <= parts:
        raise ConfigError(
            f"inner_folds = {parts} and ensemble = {protocol.ensemble}: there must be at least two inner folds, and "
            "between one member and as many as inner folds"
        )
    if len(targets) < parts:
        raise DataError(f"{task}: fold {fold} has {len(targets)} training rows, too few for {parts} inner folds")
    seed = int.from_bytes(hashlib.sha256(f"{task}:{fold}".encode()).digest()[:4], "big")
    stratify = kind is not Kind.REGRESSION and np.unique(targets, return_counts=True)[1].min() >= parts
    folds = (StratifiedKFold if stratify else KFold)(parts, shuffle=True, random_state=seed)
    return list(folds.split(np.zeros(len(targets)), targets if stratify else None))[: protocol.ensemble]
