"""Index arithmetic on flat (ragged) arrays: segments of different lengths in one array."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def offsets_of(counts: npt.ArrayLike) -> IntArray:
    """Offsets of consecutive segments: (n,) lengths to (n + 1,) offsets."""
    counts = np.asarray(counts, dtype=np.int64)
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def segment_rows(offsets: npt.NDArray[Any], index: npt.NDArray[Any]) -> IntArray:
    """Flat row numbers of the segments at an index array, in its order; without a loop over segments."""
    starts, counts = offsets[index], offsets[np.asarray(index) + 1] - offsets[index]
    new_starts = offsets_of(counts)
    shifts: IntArray = np.repeat(starts - new_starts[:-1], counts)
    return np.arange(new_starts[-1], dtype=np.int64) + shifts


def as_index(key: Any, length: int) -> IntArray:
    """Convert a slice, boolean mask, integer array or list to row numbers in [0, length).

    Raises:
        IndexError: a row number is out of range or not an integer, or a mask has the wrong length.
    """
    if isinstance(key, slice):
        return np.arange(*key.indices(length), dtype=np.int64)
    index = np.asarray(key)
    if index.dtype == bool:
        if index.shape != (length,):
            raise IndexError(f"a mask of shape {index.shape} cannot select from {length} rows")
        return np.flatnonzero(index).astype(np.int64)
    if index.size and index.dtype.kind not in "iu":
        raise IndexError(f"rows are selected by integers or by a mask, not by {index.dtype}")
    index = index.astype(np.int64).reshape(-1)
    if len(index) and (index.min() < -length or index.max() >= length):
        raise IndexError(f"row {index[(index < -length) | (index >= length)][0]} is outside [0, {length})")
    return np.asarray(np.where(index < 0, index + length, index))


def digest_of(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256 of the names, types, shapes and bytes of arrays, in the order of the names."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
