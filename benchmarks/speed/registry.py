"""All rows of the speed table by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from benchmarks.speed import cgcnn, descriptors, diffraction, graphs, loading, nested, sen
from benchmarks.speed.rows import Row
from crystalbench.errors import UnknownNameError


def by_name(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows by name, in the given order.

    Raises:
        ValueError: two rows have the same name.
    """
    found: dict[str, Row] = {}
    for row in rows:
        if row.name in found:
            raise ValueError(f"two rows are named {row.name!r}")
        found[row.name] = row
    return found


ROWS = by_name(
    (*loading.ROWS, *graphs.ROWS, *diffraction.ROWS, *descriptors.ROWS, *cgcnn.ROWS, *sen.ROWS, *nested.ROWS)
)


def chosen(patterns: Sequence[str], rows: Mapping[str, Row] = ROWS) -> list[Row]:
    """Select rows.

    Args:
        patterns: names of rows, or patterns such as ``cgcnn_*``; all rows if empty.
        rows: all rows by name.

    Raises:
        UnknownNameError: a pattern matches no row.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in rows):
            raise UnknownNameError("speed row", pattern, rows)
    return [row for name, row in rows.items() if not patterns or any(fnmatchcase(name, p) for p in patterns)]
