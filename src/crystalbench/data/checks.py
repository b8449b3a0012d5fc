"""Errors that name the rows they are about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from crystalbench.errors import DataError

MOST_IDS = 10
"""Largest number of ids that a message lists; it only counts the others."""


def first_ids(ids: Sequence[str] | npt.NDArray[np.str_], most: int = MOST_IDS) -> str:
    """Ids as text: the first few, and the number of the others.

    Examples:
        >>> first_ids(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    names = [str(name) for name in ids]
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def id_range(ids: npt.NDArray[np.str_]) -> str:
    """The first and the last id, for a short ``repr``; empty if there are no ids."""
    return f", ids {str(ids[0])!r} to {str(ids[-1])!r}" if len(ids) else ""


def refuse(ids: npt.NDArray[np.str_], bad: npt.ArrayLike, problem: str) -> None:
    """Raise an error if any row is bad.

    Args:
        ids: (n,) id of each row; an id may occur several times (once per atom, for instance).
        bad: (n,) whether the row is bad.
        problem: what is wrong with a bad row, e.g. ``has no atoms``.

    Raises:
        DataError: some rows are bad; names the first, and lists the others.
    """
    bad = np.asarray(bad, dtype=np.bool_)
    if not bad.any():
        return
    raise bad_rows([(name, problem) for name in dict.fromkeys(ids[bad].tolist())])


def bad_rows(problems: Sequence[tuple[str, str]]) -> DataError:
    """An error about some rows: the problem of the first one in full, and the ids of the others.

    Args:
        problems: id and problem of each bad row, at least one.
    """
    (first, problem), *others = problems
    more = f" (also {first_ids([name for name, _ in others])})" if others else ""
    return DataError(f"{first}: {problem}{more}")


def checked_ids(ids: Sequence[str] | npt.NDArray[np.str_] | None, n: int) -> npt.NDArray[np.str_]:
    """The ids as an (n,) array; row numbers if there are none.

    Raises:
        DataError: the number of ids is not n.
    """
    if ids is None:
        return np.arange(n).astype(np.str_)
    if len(ids) != n:
        raise DataError(f"{len(ids)} ids for {n} rows; give one id per row")
    return np.asarray(ids, dtype=np.str_)
