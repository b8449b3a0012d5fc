"""The official tasks of Matbench v0.1: look up their facts, and convert between rows and official ids.

Matbench is described in Dunn et al., npj Comput. Mater. 6, 138 (2020), doi:10.1038/s41524-020-00406-3.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from crystalbench.data.checks import first_ids
from crystalbench.errors import DataError, UnknownNameError
from crystalbench.tasks.matbench.fingerprint import content_fingerprint
from crystalbench.tasks.matbench.official_table import OFFICIAL, OfficialTask

__all__ = ["OFFICIAL", "OfficialTask", "content_fingerprint", "official_ids", "official_task", "rows_of_ids"]


def official_task(name: str) -> OfficialTask:
    """Look up the facts of an official task.

    Args:
        name: Matbench's name, for instance ``matbench_phonons``.

    Returns:
        The facts of the task.

    Raises:
        UnknownNameError: there is no such task.
    """
    try:
        return OFFICIAL[name]
    except KeyError:
        raise UnknownNameError("official task", name, OFFICIAL) from None


@functools.cache
def official_ids(name: str) -> NDArray[np.str_]:
    """Ids of all rows of an official task, in official order.

    Row k, counted from 0, has the number k + 1, padded with zeros to the width of the number of rows.

    Args:
        name: Matbench's name of the task.

    Returns:
        Ids, shape (n_samples,), read-only.

    Raises:
        UnknownNameError: there is no such task.

    Examples:
        >>> official_ids("matbench_phonons")[:2].tolist()
        ['mb-phonons-0001', 'mb-phonons-0002']
    """
    task = official_task(name)
    ids = np.array([f"{task.id_prefix}{row:0{task.id_width}d}" for row in range(1, task.n_samples + 1)])
    ids.flags.writeable = False
    return ids


def rows_of_ids(name: str, ids: Iterable[str]) -> NDArray[np.intp]:
    """Official rows of ids, the inverse of `official_ids`.

    Args:
        name: Matbench's name of the task.
        ids: m distinct ids in any order.

    Returns:
        Rows, counted from 0, shape (m,).

    Raises:
        UnknownNameError: there is no such task.
        DataError: an id does not belong to the task or occurs more than once; lists all of them.

    Examples:
        >>> rows_of_ids("matbench_phonons", ["mb-phonons-0010", "mb-phonons-0001"]).tolist()
        [9, 0]
    """
    official = official_ids(name)
    given = np.asarray(list(ids), dtype=np.str_)
    rows = np.searchsorted(official, given)  # zero-padded ids are in alphabetical order
    wrong = np.flatnonzero(official[np.minimum(rows, len(official) - 1)] != given)
    if len(wrong):
        first = int(wrong[0])
        raise DataError(
            f"{len(wrong):,} of {len(given):,} ids are not of {name}, the first in row {first}: "
            f"{first_ids([repr(str(given[row])) for row in wrong])}. They must be {official[0]} to {official[-1]}."
        )
    counts = np.bincount(rows, minlength=len(official))
    if len(rows) and counts.max() > 1:
        repeated = np.flatnonzero(counts > 1)
        row_numbers = first_ids([str(row) for row in np.flatnonzero(rows == repeated[0])])
        raise DataError(
            f"ids must be unique, but these occur more than once: {first_ids(official[repeated])}; "
            f"{official[repeated[0]]} is in rows {row_numbers}"
        )
    return rows.astype(np.intp)
