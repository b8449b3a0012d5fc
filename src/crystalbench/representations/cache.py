"""A cache of representations on disk, keyed by content: the crystals, the recipe, the code's version."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from crystalbench._files import cache_dir
from crystalbench.data.crystals import Inputs
from crystalbench.data.storage import load_arrays, save_arrays
from crystalbench.errors import DataError
from crystalbench.representations.arrays import Arrays
from crystalbench.representations.processes import allowed_processes

if TYPE_CHECKING:
    from crystalbench.representations.representation import Representation

log = logging.getLogger(__name__)


def represent(representation: Representation, inputs: Inputs, processes: int = 1) -> tuple[Arrays, float]:
    """The arrays of all inputs, from the cache where it has them.

    Of several processes that need the same arrays at once, one computes and the others wait for it.

    Args:
        representation: what to compute.
        inputs: n crystals or compositions.
        processes: that may compute, this one included; the environment variable ``CRYSTALBENCH_PROCESSES`` comes first.

    Returns:
        The arrays (memory-mapped when cached) and the seconds that computing them took, also when they were read: the
        cost of a representation is the same number in every record.
    """
    path = cache_dir() / "representations" / f"{representation.key[:16]}-{inputs.digest[:16]}"
    if found := _read(path):
        return found
    with _alone(path.name):
        return _read(path, alone=True) or _compute(representation, inputs, processes, path)


def _read(path: Path, *, alone: bool = False) -> tuple[Arrays, float] | None:
    if not path.exists():
        return None
    try:
        stored, meta = load_arrays(path)
        log.debug("representation read from %s", path)
        return Arrays.from_storage(stored, meta), float(meta["seconds"])
    except (DataError, KeyError, TypeError, ValueError) as error:
        if alone:  # or it might be one that another process has written since
            log.warning("ignoring a damaged cache entry (%s); it is computed again", error)
            shutil.rmtree(path, ignore_errors=True)
        return None


def _compute(representation: Representation, inputs: Inputs, processes: int, path: Path) -> tuple[Arrays, float]:
    start = time.perf_counter()
    with allowed_processes(processes):
        arrays = representation(inputs)
    seconds = time.perf_counter() - start
    stored, meta = arrays.to_storage()
    try:
        save_arrays(path, stored, meta | {"seconds": seconds, "recipe": repr(representation.recipe)})
    except OSError as error:
        log.warning("the representation could not be cached in %s (%s); going on without", path, error)
    return arrays, seconds


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Alone among the processes that would compute the same; a killed process's lock is free.

    Where no lock can be had, as on some network file systems, all of them compute, and the first to write wins.
    """
    folder = cache_dir() / "locks"
    lock = FileLock(folder / f"{name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("waiting for another process that computes %s", name)
            lock.acquire()
    except (OSError, NotImplementedError) as error:  # which of both, depends on the version of filelock
        log.debug("no lock in %s (%s)", folder, error)
    try:
        yield
    finally:
        lock.release()
