"""Index arithmetic on flat (ragged) arrays: rows of different lengths stored one after another."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
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


def save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write a folder of ``name.npy`` files and ``meta.json``; it appears whole or not at all.

    Of two processes that write the same folder at once, the first wins and the second's copy is dropped.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        for name, array in arrays.items():
            np.save(scratch / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
        (scratch / "meta.json").write_text(json.dumps(dict(meta), indent=1, sort_keys=True) + "\n", encoding="utf-8")
        scratch.chmod(0o755)
        try:
            scratch.rename(path)
        except OSError:
            if not (path / "meta.json").exists():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def load_arrays(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Read what `save_arrays` wrote, memory-mapped read-only.

    Raises:
        DataError: the folder is not one that `save_arrays` wrote, or it is damaged.
    """
    try:
        meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        arrays = {file.stem: _map(file) for file in sorted(path.glob("*.npy"))}
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: cannot be read as stored arrays ({error}); delete this folder and run again"
        ) from error
    return arrays, meta


def _map(file: Path) -> npt.NDArray[Any]:
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except ValueError:  # an empty array cannot be mapped
        return np.load(file, allow_pickle=False)  # type: ignore[no-any-return]
