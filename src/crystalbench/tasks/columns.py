"""Columns of tables as arrays: structures stored as lists of numbers, one list per row."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crystalbench.data.checks import bad_rows, refuse
from crystalbench.data.crystals import Crystals
from crystalbench.data.flat import offsets_of
from crystalbench.errors import DataError

Ids = npt.NDArray[np.str_]
Ragged = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


def crystals_of_columns(lattice: Any, frac_coords: Any, numbers: Any, ids: Ids) -> Crystals:
    """Build crystals from three columns of lists.

    A column is an Arrow column, or a sequence of lists or of their JSON text.

    Args:
        lattice: 9 numbers per row, the lattice vectors a, b, c in Å; flat or as three lists.
        frac_coords: fractional coordinates x, y, z of each site; flat or as lists of three.
        numbers: atomic numbers of the sites.
        ids: (n,) ids of the rows.

    Returns:
        The n crystals.

    Raises:
        DataError: a list has the wrong length, or contains something other than finite numbers; names the ids.
    """
    cells, nine = ragged(lattice, ids, "lattice", inner=3)
    coords, triples = ragged(frac_coords, ids, "frac_coords", inner=3)
    species, counts = ragged(numbers, ids, "numbers")
    refuse(ids, nine != 9, "its lattice must have 9 numbers")
    refuse(ids, triples != 3 * counts, "its frac_coords must have 3 numbers for each of its atomic numbers")
    rounded = np.rint(species)
    refuse(np.repeat(ids, counts), rounded != species, "an atomic number is not an integer")
    return Crystals.from_flat(cells, coords, rounded.astype(np.int64), counts, ids)


def ragged(column: Any, ids: Ids, what: str, inner: int | None = None) -> Ragged:
    """Flatten a column of lists of numbers.

    Args:
        column: as in `crystals_of_columns`.
        ids: (n,) ids of the rows, for messages.
        what: name of the column, for messages.
        inner: length of the inner lists where lists are nested; None if they must not be nested.

    Returns:
        All numbers, and the (n,) lengths of the lists.

    Raises:
        DataError: a row is missing or is not a list of finite numbers; names the ids.
    """
    if isinstance(column, pa.ChunkedArray):
        return _ragged_arrow(column, ids, what, inner)
    values: list[npt.NDArray[np.float64]] = []
    problems: list[tuple[str, str]] = []
    for name, entry in zip(ids, column, strict=True):
        try:
            values.append(_numbers_of(json.loads(entry) if isinstance(entry, str) else entry, inner))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            problems.append((str(name), f"its {what} is not a list of numbers ({error})"))
    if problems:
        raise bad_rows(problems)
    counts = np.array([len(v) for v in values], np.int64)
    flat = np.concatenate(values) if values else np.zeros(0)
    refuse(np.repeat(ids, counts), ~np.isfinite(flat), f"its {what} contains a number that is missing or not finite")
    return flat, counts


def _numbers_of(entry: Any, inner: int | None) -> npt.NDArray[np.float64]:
    """The numbers of a list, flat or nested; NaN for None.

    Raises:
        ValueError: it is no list or contains anything else, e.g. text or booleans, or inner lists have another length.
        OverflowError: an integer is too large.
    """
    array = np.asarray(entry, dtype=object)  # else, NumPy reads a boolean among numbers as 1 or 0
    if not array.ndim:
        raise ValueError(f"it is {entry!r}")
    if array.ndim > 1 and array.shape[1:] != (inner,):
        raise ValueError(f"its inner lists must have {inner or 'no'} numbers")
    values = array.reshape(-1).tolist()
    if others := [v for v in values if isinstance(v, bool) or not isinstance(v, int | float | np.number | None)]:
        raise ValueError(f"it contains {others[0]!r}")
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _ragged_arrow(column: pa.ChunkedArray, ids: Ids, what: str, inner: int | None) -> Ragged:
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if not _is_list(array.type):
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            return ragged(array.to_pylist(), ids, what, inner)
        raise DataError(f"the column of {what} must hold lists of numbers, not {array.type}")
    refuse(ids, np.asarray(array.is_null()), f"has no {what}")
    counts = np.asarray(pc.list_value_length(array), dtype=np.int64)
    values = array.flatten()
    while _is_list(values.type):
        lengths = np.asarray(pc.fill_null(pc.list_value_length(values), 0), dtype=np.int64)
        refuse(
            np.repeat(ids, counts), lengths != inner, f"the inner lists of its {what} must have {inner or 'no'} numbers"
        )
        counts = np.diff(offsets_of(lengths)[offsets_of(counts)])
        values = values.flatten()
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise DataError(f"the column of {what} must hold lists of numbers, not of {values.type}")
    flat = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    refuse(np.repeat(ids, counts), ~np.isfinite(flat), f"its {what} contains a number that is missing or not finite")
    return flat, counts


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
