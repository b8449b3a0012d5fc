"""Means over groups of rows, with intervals from a bootstrap over clusters of rows such as formulas."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

DRAWS = 1000
LEVEL = 0.95

_AT_ONCE = 4_000_000  # resampled counts held in memory

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.intp]
Key = TypeVar("Key", bound=Hashable)


class GroupMeans(NamedTuple):
    """Means over G groups of rows.

    Attributes:
        rows: (G,) number of rows that have a value.
        mean: (G,) their means.
        low: (G,) lower end of the 95 % interval; NaN for groups of a single cluster.
        high: (G,) upper end.
    """

    rows: npt.NDArray[np.int64]
    mean: Floats
    low: Floats
    high: Floats


def group_means(
    values: Mapping[Key, Floats], members: sparse.csr_array, clusters: Codes, draws: int = DRAWS
) -> dict[Key, GroupMeans]:
    """Means of several quantities over groups of rows, with the central 95 % of their bootstrap draws.

    Clusters are drawn with replacement, all their rows together; the draws are the same for all quantities.

    Args:
        values: for each quantity, (n,) values; NaN for rows without one.
        members: (n, G) whether a row is in a group.
        clusters: (n,) number of the cluster of each row.
        draws: number of bootstrap samples.
    """
    n, c = len(clusters), int(clusters.max()) + 1
    by_cluster = sparse.csr_array((np.ones(n), (clusters, np.arange(n))), shape=(c, n))
    counted: dict[bytes, sparse.csr_array] = {}  # quantities usually have the same rows
    sums, sizes = {}, {}
    for name, of_rows in values.items():
        there = np.isfinite(of_rows)
        key = there.tobytes()
        if key not in counted:
            counted[key] = _per_cluster(by_cluster, there.astype(np.float64), members)
            counted[key].eliminate_zeros()
        sums[name], sizes[name] = _per_cluster(by_cluster, np.where(there, of_rows, 0.0), members), key
    resampled = _resampled([*sums.values(), *counted.values()], c, draws)
    totals = dict(zip(sums, resampled[: len(sums)], strict=True))
    rows = dict(zip(counted, resampled[len(sums) :], strict=True))
    found = {}
    for name, key in sizes.items():
        size = np.asarray(counted[key].sum(axis=1))
        several = np.diff(counted[key].indptr) > 1
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.asarray(sums[name].sum(axis=1)) / size
            means = totals[name] / rows[key]
        low, high = np.full(len(size), np.nan), np.full(len(size), np.nan)
        tail = 100 * (1 - LEVEL) / 2
        if several.any():  # in a draw without any row of a group, its mean is undefined
            low[several], high[several] = np.nanpercentile(means[several], (tail, 100 - tail), axis=1)
        found[name] = GroupMeans(size.astype(np.int64), mean, low, high)
    return found


def _per_cluster(by_cluster: sparse.csr_array, values: Floats, members: sparse.csr_array) -> sparse.csr_array:
    """(groups, clusters) sums of values (n,)."""
    return sparse.csr_array((by_cluster @ sparse.diags_array(values) @ members).T)


def _resampled(parts: list[sparse.csr_array], clusters: int, draws: int) -> list[Floats]:
    """(groups, draws) sums of each part over resampled clusters; the same draws for all."""
    rng = np.random.default_rng(0)
    found: list[list[Floats]] = [[] for _ in parts]
    step = max(1, _AT_ONCE // clusters)
    for start in range(0, draws, step):
        k = min(step, draws - start)
        drawn = rng.integers(0, clusters, (k, clusters)) + clusters * np.arange(k)[:, None]
        times = np.bincount(drawn.ravel(), minlength=k * clusters).reshape(k, clusters).T.astype(np.float64)
        for sums, part in zip(found, parts, strict=True):
            sums.append(part @ times)
    return [np.concatenate(sums, axis=1) for sums in found]
