"""A cache of representations on disk, keyed by content.

The key of an entry is made of the digest of the crystals and the recipe of the representation: its class, version and
options, and the versions of the packages it uses. Entries are written atomically, and damaged ones are recomputed.
"""

from __future__ import annotations

import contextlib
import errno
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
from crystalbench.representations.processes import Report, allowed_processes, reported_to

if TYPE_CHECKING:
    from crystalbench.representations.representation import Representation

log = logging.getLogger(__name__)

_SHORT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of a process with too many open or mapped files, of which each array is one; the entry is not damaged."""


def represent(
    representation: Representation, inputs: Inputs, processes: int | None = None, report: Report | None = None
) -> tuple[Arrays, float]:
    """The arrays of all inputs, read from the cache or computed and stored there.

    If several processes need the same arrays at the same time, one computes them and the others wait.

    Args:
        representation: the representation to compute.
        inputs: n crystals or compositions.
        processes: number of processes that may compute, this one included; None for all usable cores. The environment
            variable ``CRYSTALBENCH_PROCESSES`` overrides it.
        report: called with the number of crystals done and their total while they are computed.

    Returns:
        The arrays (memory-mapped if they come from the cache) and the time in seconds that computing them took. Arrays
        that were read come with the time of their computation, so the cost of a representation is the same in every
        record.

    Raises:
        DataError: a crystal cannot be represented; names its id.
        ConfigError: ``CRYSTALBENCH_PROCESSES`` is not a number of processes.

    Example:
        >>> from crystalbench.representations import CrystalGraph, represent
        >>> from crystalbench.testing.crystals import known_structures
        >>> arrays, seconds = represent(CrystalGraph(neighbors=6), known_structures(), processes=1)
        >>> arrays.values["distances"].shape
        (58, 6)
    """
    path = cache_dir() / "representations" / f"{representation.key[:16]}-{inputs.digest[:16]}"
    if found := _read(path):
        return found
    with _locked(path.name):
        return _read(path, locked=True) or _compute(representation, inputs, processes, path, report)


def _read(path: Path, *, locked: bool = False) -> tuple[Arrays, float] | None:
    if not path.exists():
        return None
    try:
        stored, meta = load_arrays(path)
        log.debug("representation read from %s", path)
        return Arrays.from_storage(stored, meta), float(meta["seconds"])
    except (DataError, KeyError, TypeError, ValueError) as error:
        if getattr(error.__cause__, "errno", None) in _SHORT_OF:
            log.debug("the cache entry %s cannot be mapped now (%s)", path, error.__cause__)
        elif locked:  # else another process may have replaced it in the meantime
            log.warning("ignoring a damaged cache entry (%s); it is recomputed", error)
            shutil.rmtree(path, ignore_errors=True)
        return None


def _compute(
    representation: Representation, inputs: Inputs, processes: int | None, path: Path, report: Report | None
) -> tuple[Arrays, float]:
    start = time.perf_counter()
    with allowed_processes(processes), reported_to(report):
        arrays = representation(inputs)
    seconds = time.perf_counter() - start
    stored, meta = arrays.to_storage()
    try:
        save_arrays(path, stored, meta | {"seconds": seconds, "recipe": repr(representation.recipe)})
    except OSError as error:
        log.warning("the representation could not be cached in %s (%s); continuing without the cache", path, error)
        return arrays, seconds
    return _read(path) or (arrays, seconds)  # mapped from the file, all processes share the memory


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    """Hold the lock of an entry, so that one process computes it. The lock of a killed process is released.

    If the file system has no locks, as some network file systems, every process computes and the first to write wins.
    """
    folder = cache_dir() / "locks"
    lock = FileLock(folder / f"{name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("waiting for another process, which computes %s", name)
            lock.acquire()
    except (OSError, NotImplementedError) as error:  # depends on the version of filelock
        log.debug("no locks in %s (%s)", folder, error)
    try:
        yield
    finally:
        lock.release()
