"""Store chunks of a long computation, so that it goes on after an interruption."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crystalbench._files import cache_dir
from crystalbench.data.crystals import Crystals
from crystalbench.data.storage import load_arrays, save_arrays
from crystalbench.errors import DataError

log = logging.getLogger(__name__)

Rows = tuple[npt.NDArray[np.float64], list[tuple[int, str]]]
"""Columns of crystals, and the rows that failed with the reasons."""


def folder_of(key: str, crystals: Crystals) -> Path:
    """Where the chunks of a computation are stored.

    Other crystals have another folder, so that one computation does not remove the chunks of another that is running.

    Args:
        key: of everything that determines the rows, except the crystals.
        crystals: all crystals of the computation.
    """
    return cache_dir() / "unfinished" / f"{key[:16]}-{crystals.digest[:16]}"


def resumed(folder: Path, chunk: Crystals, compute: Callable[[Crystals], Rows]) -> Rows:
    """The rows of a chunk of crystals, read if they were stored before, or else computed and stored.

    Args:
        folder: that of the computation, as of `folder_of`.
        chunk: the crystals.
        compute: gives their rows.
    """
    path = folder / chunk.digest[:32]
    if path.exists():
        try:
            arrays, meta = load_arrays(path)
            return np.array(arrays["values"]), [(int(row), str(why)) for row, why in meta["failures"]]
        except (DataError, KeyError, TypeError, ValueError) as error:
            log.warning("ignoring a damaged chunk of stored columns (%s); it is recomputed", error)
            shutil.rmtree(path, ignore_errors=True)
    values, failures = compute(chunk)
    try:
        save_arrays(path, {"values": values}, {"failures": [list(failure) for failure in failures]})
    except OSError as error:
        log.warning("computed columns could not be stored in %s (%s); an interruption would lose them", path, error)
    return values, failures


def discard(folder: Path) -> None:
    """Remove the stored chunks of a computation that is complete."""
    shutil.rmtree(folder, ignore_errors=True)
