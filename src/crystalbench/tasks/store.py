"""Decode once: a decoded task is stored as flat arrays, which are memory-mapped the next time.

A store is the folder ``tasks/<task>-<key>-v<version>`` of the cache folder (`crystalbench._files.cache_dir`). Its key
is a hash of the content of the source, so a changed source is decoded again. Nothing is ever written next to the
user's data. Stores may be deleted at any time: a damaged one is replaced, and if it cannot be written, the task is
decoded on every load.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from crystalbench._files import cache_dir, is_read_only
from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.flat import digest_of
from crystalbench.data.storage import load_arrays, save_arrays
from crystalbench.errors import DataError
from crystalbench.targets import Kind, Target
from crystalbench.tasks.task import Source, Task

STORE_VERSION = 4
"""Increase it when the same source would be decoded to something else."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decoded:
    """A task as decoded from its source, and remarks for the user (about skipped rows, for instance)."""

    task: Task
    remarks: tuple[str, ...] = ()


def file_sha256(file: Path) -> str:
    """SHA-256 of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error})") from error


def load_or_build(name: str, key: str, build: Callable[[], Decoded]) -> Task:
    """Load a task from its store, or else build and store it.

    Args:
        name: name of the task.
        key: SHA-256 of everything that determines the decoded task: the data file, and a task file if there is one.
        build: decodes the source.

    Returns:
        The task; if it comes from its store, its arrays are memory-mapped.

    Raises:
        DataError: raised by `build`.
    """
    label = f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}-{key[:16]}-v{STORE_VERSION}"
    place = store_dir() / label
    decoded = _read(place, name, key)
    if decoded is None:
        decoded = build()
        _write(place, decoded, key)
    return replace(decoded.task, remarks=decoded.remarks)


def store_dir() -> Path:
    """The folder of the stores, in the cache folder."""
    return cache_dir() / "tasks"


def _read(place: Path, name: str, key: str) -> Decoded | None:
    if not place.exists():
        return None
    try:
        return _open(place, name, key)
    except (DataError, LookupError, TypeError, ValueError) as error:
        _log.warning("%s: the stored copy is damaged and will be replaced (%s)", name, error)
        return None


def _open(place: Path, name: str, key: str) -> Decoded:
    arrays, meta = load_arrays(place)
    if meta["key"] != key or meta["digest"] != digest_of(arrays):
        raise DataError(f"{place}: its content has changed since it was written")
    targets, folds = arrays.pop("targets"), arrays.pop("folds")
    inputs: Inputs = (Crystals if meta["inputs"] == "crystals" else Compositions).from_arrays(arrays)
    target = meta["target"]
    task = Task(
        name=name,
        target=Target(target["name"], Kind(target["kind"]), target["unit"], tuple(target["classes"])),
        metric=meta["metric"],
        inputs=inputs,
        targets=targets,
        folds=folds,
        rows_total=int(meta["rows_total"]),
        source=Source(**meta["source"]),
    )
    return Decoded(task, tuple(meta["remarks"]))


def _write(place: Path, decoded: Decoded, key: str) -> None:
    """Store a task; if that fails, log a warning."""
    task = decoded.task
    arrays = {
        **task.inputs.to_arrays(),
        "targets": np.asarray(task.targets, np.float64),
        "folds": np.asarray(task.folds, np.int16),
    }
    target = task.target
    meta = {
        "key": key,
        "digest": digest_of(arrays),
        "inputs": "crystals" if task.has_structures else "compositions",
        "target": {"name": target.name, "kind": str(target.kind), "unit": target.unit, "classes": target.classes},
        "metric": task.metric,
        "rows_total": task.rows_total,
        "source": {"name": task.source.name, "sha256": task.source.sha256, "verified": task.source.verified},
        "remarks": decoded.remarks,
    }
    try:
        if place.parent.exists() and is_read_only(place.parent):
            raise OSError(f"{place.parent} is read-only")
        _remove_damaged(place, task.name, key)
        save_arrays(place, arrays, meta)
    except OSError as error:
        _log.warning("%s: the decoded data cannot be stored and will be decoded again next time (%s)", task.name, error)


def _remove_damaged(place: Path, name: str, key: str) -> None:
    """Remove a damaged store atomically; one that another process has replaced in the meantime is kept."""
    if not place.exists():
        return
    try:
        _open(place, name, key)
    except (DataError, LookupError, TypeError, ValueError):
        grave = Path(tempfile.mkdtemp(prefix=".damaged.", dir=place.parent))
        try:
            place.rename(grave / place.name)
        finally:
            shutil.rmtree(grave, ignore_errors=True)
