"""A cache of representations on disk, keyed by content: the crystals, the recipe, the code's version."""

from __future__ import annotations

import logging
import shutil
import time
from typing import TYPE_CHECKING

from crystalbench._flat import load_arrays, save_arrays
from crystalbench._folders import cache_dir
from crystalbench.crystals import Inputs
from crystalbench.errors import DataError
from crystalbench.representations._processes import allowed_processes
from crystalbench.representations.arrays import Arrays

if TYPE_CHECKING:
    from crystalbench.representations.representation import Representation

log = logging.getLogger(__name__)


def represent(representation: Representation, inputs: Inputs, processes: int = 1) -> tuple[Arrays, float]:
    """The arrays of all inputs, from the cache where it has them.

    Args:
        representation: what to compute.
        inputs: n crystals or compositions.
        processes: that may compute, this one included; the environment variable ``CRYSTALBENCH_PROCESSES`` comes first.

    Returns:
        The arrays (memory-mapped when cached) and the seconds that computing them took, also when they were read: the
        cost of a representation is the same number in every record.
    """
    path = cache_dir() / "representations" / f"{representation.key[:16]}-{inputs.digest[:16]}"
    if path.exists():
        try:
            stored, meta = load_arrays(path)
            log.debug("representation read from %s", path)
            return Arrays.from_storage(stored, meta), float(meta["seconds"])
        except (DataError, KeyError, TypeError, ValueError) as error:
            log.warning("ignoring a damaged cache entry (%s); it is computed again", error)
            shutil.rmtree(path, ignore_errors=True)
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
