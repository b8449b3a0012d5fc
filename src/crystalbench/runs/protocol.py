"""The protocol: how the training part of a fold is cut into inner folds, the same for every model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold, StratifiedKFold

from crystalbench.errors import ConfigError, DataError
from crystalbench.results.seeds import LARGEST, derived_seed
from crystalbench.results.spec import ProtocolSpec, TuningSpec
from crystalbench.targets import Kind
from crystalbench.tuning.objective import InnerSplit


def inner_splits(
    task: str, fold: int, targets: npt.NDArray[np.float64], kind: Kind, protocol: ProtocolSpec, purpose: str = ""
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
        purpose: what else the split is drawn for, to get another one.

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
    seed = derived_seed(f"{task}:{fold}{purpose}", below=LARGEST)
    stratify = kind is not Kind.REGRESSION and np.unique(targets, return_counts=True)[1].min() >= parts
    folds = (StratifiedKFold if stratify else KFold)(parts, shuffle=True, random_state=seed)
    return list(folds.split(np.zeros(len(targets)), targets if stratify else None))[: protocol.ensemble]


def tuning_splits(
    task: str, fold: int, targets: npt.NDArray[np.float64], kind: Kind, tuning: TuningSpec, protocol: ProtocolSpec
) -> list[InnerSplit]:
    """Rows to fit, to validate and to judge by in tuning: an inner fold judges, the rest is cut as for any run.

    As `inner_splits`, they are drawn from the names of task and fold alone.

    Args:
        task: name of the task.
        fold: outer fold.
        targets: (n,) targets of the fold's training part.
        kind: kind of the target.
        tuning: number of inner folds, and how many of them judge.
        protocol: number of inner folds of a run.

    Raises:
        ConfigError: fewer than two inner folds, or more that judge than there are.
        DataError: fewer rows than inner folds.
    """
    outer = ProtocolSpec(inner_folds=tuning.inner_folds, ensemble=tuning.splits)
    alone = protocol.model_copy(update={"ensemble": 1})
    splits = []
    for place, (rest, judged) in enumerate(inner_splits(task, fold, targets, kind, outer, ":tuning")):
        ((fit, valid),) = inner_splits(task, fold, targets[rest], kind, alone, f":tuning:{place}")
        splits.append(InnerSplit(rest[fit], rest[valid], judged))
    return splits
