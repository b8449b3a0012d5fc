"""The protocol: how the training part of a fold is used and split into inner folds, the same for every model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold, StratifiedKFold

from crystalbench._words import counted
from crystalbench.errors import ConfigError, DataError
from crystalbench.results.seeds import LARGEST, derived_seed
from crystalbench.results.spec import ProtocolSpec, RunSpec, TuningSpec
from crystalbench.targets import Kind
from crystalbench.tasks.task import Task
from crystalbench.tuning.objective import InnerSplit


def training_rows(task: Task, spec: RunSpec) -> npt.NDArray[np.int64]:
    """Rows of the training part of a fold that a run may learn from.

    A fraction of the training part is the start of a shuffled order of its rows, which depends on task, fold and seed
    only: every model gets the same rows, and smaller fractions are contained in larger ones. Every start has the
    classes of the training part in nearly equal proportions. Rows are drawn, not groups of a fold scheme: no group of
    the test part is in the training part in any case.

    Args:
        task: the task, with the folds of the run.
        spec: the run.

    Returns:
        Row numbers, ascending.
    """
    rows, _ = task.split(spec.fold)
    if spec.train_fraction is None:
        return rows
    seed = derived_seed(f"{task.name}:{spec.fold}:train_fraction:{spec.seed}", below=LARGEST)
    shuffled = np.random.RandomState(seed).permutation(len(rows))  # unlike default_rng's, its stream never changes
    if task.target.kind is not Kind.REGRESSION:
        labels = task.targets[rows][shuffled]
        place = np.empty(len(rows))  # of a row in its class, from 0 to 1
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            place[members] = (np.arange(len(members)) + 0.5) / len(members)
        shuffled = shuffled[np.argsort(place, kind="stable")]
    return np.sort(rows[shuffled[: max(1, round(spec.train_fraction * len(rows)))]])


def inner_splits(
    task: str, fold: int, targets: npt.NDArray[np.float64], kind: Kind, protocol: ProtocolSpec, purpose: str = ""
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Inner training and validation rows for each member of the ensemble.

    The seed of the split is derived from task and fold only, so every model, seed and tuning trial gets the same split.
    Classes are stratified if each of them has enough rows.

    Args:
        task: name of the task.
        fold: outer fold.
        targets: (n,) targets of the fold's training part.
        kind: kind of the target.
        protocol: number of inner folds and members.
        purpose: a name that leads to another split.

    Returns:
        For each member: row numbers within the training part, ascending.

    Raises:
        ConfigError: fewer than two inner folds, or more members than inner folds.
        DataError: fewer rows than inner folds.
    """
    parts = protocol.inner_folds
    if parts < 2 or not 1 <= protocol.ensemble <= parts:
        raise ConfigError(
            f"inner_folds = {parts} and ensemble = {protocol.ensemble}: inner_folds must be at least 2, and ensemble "
            "between 1 and inner_folds"
        )
    if len(targets) < parts:
        where = f"{task}, fold {fold}" if fold >= 0 else task  # a final model has no fold
        raise DataError(
            f"{where}: {counted(len(targets), 'training row')}, too few for {parts} inner folds; lower inner_folds "
            "(--inner-folds), or use more rows"
        )
    seed = derived_seed(f"{task}:{fold}{purpose}", below=LARGEST)
    stratify = kind is not Kind.REGRESSION and np.unique(targets, return_counts=True)[1].min() >= parts
    folds = (StratifiedKFold if stratify else KFold)(parts, shuffle=True, random_state=seed)
    return list(folds.split(np.zeros(len(targets)), targets if stratify else None))[: protocol.ensemble]


def tuning_splits(
    task: str, fold: int, targets: npt.NDArray[np.float64], kind: Kind, tuning: TuningSpec, protocol: ProtocolSpec
) -> list[InnerSplit]:
    """Rows to fit, to validate and to score in tuning. One inner fold scores; the rest is split as for any run.

    As in `inner_splits`, the seed is derived from task and fold only.

    Args:
        task: name of the task.
        fold: outer fold.
        targets: (n,) targets of the fold's training part.
        kind: kind of the target.
        tuning: number of inner folds, and how many of them score.
        protocol: number of inner folds of a run.

    Raises:
        ConfigError: fewer than two inner folds, or more folds that score than inner folds.
        DataError: fewer rows than inner folds.
    """
    outer = ProtocolSpec(inner_folds=tuning.inner_folds, ensemble=tuning.splits)
    alone = protocol.model_copy(update={"ensemble": 1})
    splits = []
    for place, (rest, scored) in enumerate(inner_splits(task, fold, targets, kind, outer, ":tuning")):
        ((fit, valid),) = inner_splits(task, fold, targets[rest], kind, alone, f":tuning:{place}")
        splits.append(InnerSplit(rest[fit], rest[valid], scored))
    return splits
