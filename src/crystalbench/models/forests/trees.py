"""A fitted ensemble of decision trees as plain arrays, which can be saved without pickling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.flat import offsets_of
from crystalbench.errors import SavingError

_AT_ONCE = 1 << 20  # rows times trees, to bound memory
_NAMES = ("starts", "left", "right", "feature", "threshold", "value")


@dataclass(frozen=True, eq=False)
class Trees:
    """Decision trees of scikit-learn, their nodes concatenated; predictions are identical.

    Attributes:
        starts: (trees + 1,) int64; tree t has the nodes ``starts[t]:starts[t + 1]``, its root first.
        left: (nodes,) int32, the child for feature ≤ threshold, counted from the tree's root; −1 in leaves.
        right: (nodes,) int32, the other child.
        feature: (nodes,) int32, the feature to compare; negative in leaves.
        threshold: (nodes,) float64.
        value: (nodes, d) float64: the mean target, or the frequencies of the classes.
    """

    starts: npt.NDArray[np.int64]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]

    @classmethod
    def from_sklearn(cls, forest: Any) -> Trees:
        """Read the trees of a fitted scikit-learn forest with one output."""
        trees = [estimator.tree_ for estimator in forest.estimators_]
        return cls(
            starts=offsets_of([tree.node_count for tree in trees]),
            left=np.concatenate([tree.children_left for tree in trees]).astype(np.int32),
            right=np.concatenate([tree.children_right for tree in trees]).astype(np.int32),
            feature=np.concatenate([tree.feature for tree in trees]).astype(np.int32),
            threshold=np.concatenate([tree.threshold for tree in trees]),
            value=np.concatenate([tree.value[:, 0] for tree in trees]),
        )

    def __len__(self) -> int:
        """Number of trees."""
        return len(self.starts) - 1

    def leaves(self, x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """The leaves (trees, n) that rows (n, features) reach; features are compared in single precision."""
        single = x.astype(np.float32)
        leaves = np.repeat(self.starts[:-1, None], len(x), axis=1)
        rows = max(1, _AT_ONCE // max(1, len(self)))
        for first in range(0, len(x), rows):
            part = slice(first, first + rows)
            leaves[:, part] = self._descend(single[part], leaves[:, part])
        return leaves

    def _descend(self, x: npt.NDArray[np.float32], roots: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Leaves (trees, n) of rows (n, features), from roots (trees, n)."""
        root = roots.ravel()
        node = root.copy()
        row = np.tile(np.arange(len(x)), len(self))
        active = np.flatnonzero(self.feature[node] >= 0)
        while len(active):
            at = node[active]
            to_left = x[row[active], self.feature[at]] <= self.threshold[at]
            at = root[active] + np.where(to_left, self.left[at], self.right[at])
            node[active] = at
            active = active[self.feature[at] >= 0]
        return node.reshape(roots.shape)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays to save."""
        return {f"trees.{name}": getattr(self, name) for name in _NAMES}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Trees:
        """Inverse of `to_arrays`.

        Raises:
            KeyError: an array is missing.
            SavingError: the arrays do not describe trees.
        """
        trees = cls(**{name: arrays[f"trees.{name}"] for name in _NAMES})
        trees._check()
        return trees

    def _check(self) -> None:
        nodes = len(self.feature)
        same = {len(self.left), len(self.right), len(self.threshold), len(self.value)} == {nodes}
        counts = np.diff(self.starts)
        if not same or len(self.starts) < 2 or self.starts[0] != 0 or self.starts[-1] != nodes or (counts < 1).any():
            raise SavingError("the arrays of the saved trees do not fit together")
        inner = self.feature >= 0
        own = (np.arange(nodes) - np.repeat(self.starts[:-1], counts))[inner]
        last = np.repeat(counts, counts)[inner]
        # A child comes after its parent in the same tree, so that no path is a cycle.
        for child in (self.left[inner], self.right[inner]):
            if ((child <= own) | (child >= last)).any():
                raise SavingError("the saved trees have children outside the tree, or cycles")
