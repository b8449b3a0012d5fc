"""Decode once: a task that was read is kept as flat arrays and mapped into memory the next time.

The folder ``.crystalbench/<task>-<key>-v<version>`` stands beside the source file, or in the cache folder where the
source is read-only. Its key comes from the content of the source, so a changed source is read anew. A store is only a
convenience: one that is damaged is made again, and one that cannot be written is done without.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
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

STORE_VERSION = 1
"""Raised whenever the same source would be decoded to something else."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decoded:
    """A task as decoded from its source, with remarks for the user (rows left out, for instance)."""

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


def load_or_build(name: str, file: Path, key: str, build: Callable[[], Decoded]) -> Task:
    """The task from its store, or else built and stored.

    Args:
        name: name of the task.
        file: the source, beside which the store is kept.
        key: SHA-256 of all that the task is made from.
        build: decodes the source.

    Returns:
        The task; its arrays are mapped from the store where there is one.

    Raises:
        DataError: whatever `build` raises.
    """
    label = f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}-{key[:16]}-v{STORE_VERSION}"
    places = [folder / label for folder in _folders(file)]
    for place in places:
        if (decoded := _read(place, name, key)) is not None:
            break
    else:
        decoded = build()
        _write(places, decoded, key)
    for remark in decoded.remarks:
        _log.info("%s: %s", name, remark)
    return decoded.task


def _folders(file: Path) -> list[Path]:
    """Where the store may be: beside the source, and in the cache folder."""
    return [file.resolve().parent / ".crystalbench", cache_dir() / "tasks"]


def _read(place: Path, name: str, key: str) -> Decoded | None:
    if not place.exists():
        return None
    try:
        return _open(place, name, key)
    except (DataError, LookupError, TypeError, ValueError) as error:
        _log.warning("%s: the stored copy is damaged and is made again (%s)", name, error)
        return None


def _open(place: Path, name: str, key: str) -> Decoded:
    arrays, meta = load_arrays(place)
    if meta["key"] != key or meta["digest"] != digest_of(arrays):
        raise DataError(f"{place}: its content is not what was written")
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


def _write(places: list[Path], decoded: Decoded, key: str) -> None:
    """Keep the task in the first place that takes it."""
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
    reasons = []
    for place in places:
        try:
            if place.parent.exists() and is_read_only(place.parent):
                raise OSError(f"{place.parent} is read-only")
            if place.parent.name == ".crystalbench" and is_read_only(place.parent.parent):
                continue  # the expected case of a read-only source; not worth a word
            _remove_damaged(place, task.name, key)
            save_arrays(place, arrays, meta)
            return
        except OSError as error:
            reasons.append(str(error))
    _log.warning(
        "%s: the decoded data cannot be kept and is decoded again next time (%s)", task.name, "; ".join(reasons)
    )


def _remove_damaged(place: Path, name: str, key: str) -> None:
    """Take a damaged store away in one step; one that another process has meanwhile made again stays."""
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
