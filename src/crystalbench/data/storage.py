"""Folders of flat arrays, memory-mapped when they are read."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.errors import DataError


def save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write a folder of ``name.npy`` files and ``meta.json``, atomically.

    If two processes write the same folder at once, the first one wins; the copy of the second is discarded.

    Args:
        path: the folder; its parents are created.
        arrays: arrays by name.
        meta: content of ``meta.json``.

    Raises:
        OSError: the folder cannot be written; nothing is left behind.
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
    """Read a folder that `save_arrays` wrote.

    Returns:
        The arrays, memory-mapped and read-only, and the content of ``meta.json``.

    Raises:
        DataError: `save_arrays` did not write this folder, or it is damaged.
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
