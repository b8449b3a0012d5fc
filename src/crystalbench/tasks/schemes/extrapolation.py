"""Schemes whose test parts lie outside of the training part: an element, a cluster of compositions, extreme targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from crystalbench.data.elements import SYMBOLS
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.representations.composition import MagpieFeatures
from crystalbench.targets import Kind
from crystalbench.tasks.folds import Folds
from crystalbench.tasks.schemes.scheme import FoldScheme, compositions_of, in_order_of_ids
from crystalbench.tasks.task import NEVER_TESTED, Task

MOST_TIES = 2.0
"""A tail that equal targets make larger than this multiple of its share is refused."""


@dataclass(frozen=True)
class ElementFolds(FoldScheme):
    """One fold, whose test part are the rows that contain an element.

    Attributes:
        symbol: symbol of the element.
    """

    name: ClassVar[str] = "element"
    description: ClassVar[str] = "the rows with an element are the only test part: a new element"
    symbol: str

    def __post_init__(self) -> None:
        if self.symbol not in SYMBOLS[1:]:
            raise UnknownNameError("element", self.symbol, SYMBOLS[1:])

    def assign(self, task: Task) -> Folds:
        """Fold 0 for rows with the element, -1 for the others.

        Raises:
            ConfigError: no row contains the element, or all do.
        """
        compositions = compositions_of(task)
        has = np.zeros(len(task), dtype=np.bool_)
        has[compositions.owners[compositions.numbers == SYMBOLS.index(self.symbol)]] = True
        if has.all() or not has.any():
            raise ConfigError(f"{'all' if has.all() else 'none'} of the {len(task):,} rows contain {self.symbol}")
        return np.where(has, 0, NEVER_TESTED).astype(np.int16)


@dataclass(frozen=True)
class ClusterFolds(FoldScheme):
    """Leave one cluster of compositions out: k-means in standardised Magpie features.

    Fold 0 is the largest cluster. Rows with equal composition are in one cluster. The clusters are those of
    scikit-learn's ``KMeans`` (Lloyd's algorithm, k-means++, best of ten starts), computed with one thread over the rows
    in the order of their ids.

    Attributes:
        k: number of clusters.
        seed: seed of the starts.
    """

    name: ClassVar[str] = "cluster"
    description: ClassVar[str] = (
        "one cluster of similar compositions at a time is the test part: a new kind of compound"
    )
    k: int = 5
    seed: int = 0

    def assign(self, task: Task) -> Folds:
        """The clusters, numbered by decreasing size.

        Raises:
            ConfigError: there are fewer than two clusters, or fewer distinct compositions than clusters.
        """
        if self.k < 2:
            raise ConfigError(f"k = {self.k}: there must be at least two clusters")
        features = MagpieFeatures()(compositions_of(task)).values["features"]
        distinct = len(np.unique(np.round(features, 9), axis=0))
        if distinct < self.k:
            raise ConfigError(f"{distinct} distinct compositions cannot form {self.k} clusters; give a smaller k")
        return in_order_of_ids(task, lambda order: _clusters(features[order], self.k, self.seed))


def _clusters(features: np.ndarray[tuple[int, ...], np.dtype[np.float64]], k: int, seed: int) -> Folds:
    from sklearn.cluster import KMeans  # here: scikit-learn takes a second to import
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        scaled = StandardScaler().fit_transform(features)
        labels = KMeans(k, n_init=10, random_state=seed, algorithm="lloyd").fit_predict(scaled)
    sizes = np.bincount(labels, minlength=k)
    first = np.array([np.flatnonzero(labels == label)[0] for label in range(k)])
    rank = np.empty(k, dtype=np.int16)
    rank[np.lexsort((first, -sizes))] = np.arange(k)
    return np.asarray(rank[labels])


@dataclass(frozen=True)
class TargetTailFolds(FoldScheme):
    """Two folds, whose test parts are the rows with the smallest and with the largest targets.

    Rows whose target equals that at the cut belong to the tail, so that no test target is a training target.

    Attributes:
        share: share of the rows in each tail, below 0.5.
    """

    name: ClassVar[str] = "target_tail"
    description: ClassVar[str] = "the lowest (fold 0) and the highest targets (fold 1) are the test parts: extremes"
    share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.share < 0.5:
            raise ConfigError(f"target_tail: share = {self.share:g}: it must be above 0 and below 0.5")

    def assign(self, task: Task) -> Folds:
        """Fold 0 for the lower tail, 1 for the upper one, -1 for the rows between.

        Raises:
            ConfigError: the target is a class, or too many targets equal that at a cut.
        """
        if task.target.kind is not Kind.REGRESSION:
            raise ConfigError(f"it needs a numerical target, and this one is {task.target.kind}")
        n, targets = len(task), task.targets
        size = max(1, round(self.share * n))
        ordered = np.sort(targets)
        low, high = targets <= ordered[size - 1], targets >= ordered[n - size]
        for tail, cut in ((low, ordered[size - 1]), (high, ordered[n - size])):
            if tail.sum() > MOST_TIES * size or (low & high).any():
                raise ConfigError(
                    f"{int((targets == cut).sum()):,} of {n:,} targets are {cut:g}, so the tail of {size:,} rows would "
                    f"have {int(tail.sum()):,}; choose another scheme or share"
                )
        return np.where(low, 0, np.where(high, 1, NEVER_TESTED)).astype(np.int16)
