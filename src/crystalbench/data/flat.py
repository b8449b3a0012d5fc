"""Index arithmetic on flat (ragged) arrays: rows of different lengths stored one after another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.errors import DataError

IntArray = npt.NDArray[np.int64]


def offsets_of(counts: npt.ArrayLike) -> IntArray:
    """Offsets of consecutive segments of the given lengths: (n,) counts to (n + 1,) offsets."""
    counts = np.asarray(counts, dtype=np.int64)
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def segment_rows(offsets: npt.NDArray[Any], index: npt.NDArray[Any]) -> IntArray:
    """Flat row numbers of the chosen segments, in the order chosen; no loop over segments."""
    starts, counts = offsets[index], offsets[np.asarray(index) + 1] - offsets[index]
    new_starts = offsets_of(counts)
    shifts: IntArray = np.repeat(starts - new_starts[:-1], counts)
    return np.arange(new_starts[-1], dtype=np.int64) + shifts


def as_index(key: Any, length: int) -> IntArray:
    """A slice, boolean mask, integer array or list as an array of row numbers in [0, length).

    Raises:
        IndexError: a row number lies outside, or a mask has another length.
    """
    if isinstance(key, slice):
        return np.arange(*key.indices(length), dtype=np.int64)
    index = np.asarray(key)
    if index.dtype == bool:
        if index.shape != (length,):
            raise IndexError(f"a mask of shape {index.shape} cannot select from {length} rows")
        return np.flatnonzero(index).astype(np.int64)
    index = index.astype(np.int64).reshape(-1)
    if len(index) and (index.min() < -length or index.max() >= length):
        raise IndexError(f"row {index[(index < -length) | (index >= length)][0]} is outside [0, {length})")
    return np.asarray(np.where(index < 0, index + length, index))


def named(ids: Sequence[str] | npt.NDArray[np.str_] | None, n: int) -> npt.NDArray[np.str_]:
    """The ids as an array; row numbers where none are given.

    Raises:
        DataError: there are more or fewer ids than rows.
    """
    if ids is None:
        return np.arange(n).astype(np.str_)
    if len(ids) != n:
        raise DataError(f"{len(ids)} ids for {n} rows; give one id for each row")
    return np.asarray(ids, dtype=np.str_)


def digest_of(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256 over names, types, shapes and bytes of arrays, in name order."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
