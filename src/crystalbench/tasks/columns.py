"""Columns of tables as arrays: structures stored as lists of numbers, one list per row."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crystalbench.data.checks import refuse
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
    cells, nine = ragged(lattice, ids, "lattice")
    coords, triples = ragged(frac_coords, ids, "frac_coords")
    species, counts = ragged(numbers, ids, "numbers")
    refuse(ids, nine != 9, "its lattice must have 9 numbers")
    refuse(ids, triples != 3 * counts, "its frac_coords must have 3 numbers for each of its atomic numbers")
    rounded = np.rint(species)
    refuse(np.repeat(ids, counts), rounded != species, "an atomic number is not an integer")
    return Crystals.from_flat(cells, coords, rounded.astype(np.int64), counts, ids)


def ragged(column: Any, ids: Ids, what: str) -> Ragged:
    """Flatten a column of lists of numbers.

    Args:
        column: as in `crystals_of_columns`.
        ids: (n,) ids of the rows, for messages.
        what: name of the column, for messages.

    Returns:
        All numbers, and the (n,) lengths of the lists.

    Raises:
        DataError: a row is missing or is not a list of finite numbers; names the ids.
    """
    if isinstance(column, pa.ChunkedArray):
        return _ragged_arrow(column, ids, what)
    values: list[npt.NDArray[np.float64]] = []
    for name, entry in zip(ids, column, strict=True):
        try:
            parsed = json.loads(entry) if isinstance(entry, str) else entry
            values.append(np.asarray(parsed, dtype=np.float64).reshape(-1))
        except (TypeError, ValueError) as error:
            raise DataError(f"{name}: its {what} is not a list of numbers ({error})") from error
    counts = np.array([len(v) for v in values], np.int64)
    flat = np.concatenate(values) if values else np.zeros(0)
    refuse(np.repeat(ids, counts), ~np.isfinite(flat), f"its {what} contains a number that is missing or not finite")
    return flat, counts


def _ragged_arrow(column: pa.ChunkedArray, ids: Ids, what: str) -> Ragged:
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if not _is_list(array.type):
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            return ragged(array.to_pylist(), ids, what)
        raise DataError(f"the column of {what} must hold lists of numbers, not {array.type}")
    refuse(ids, np.asarray(array.is_null()), f"has no {what}")
    counts = np.asarray(pc.list_value_length(array), dtype=np.int64)
    values = array.flatten()
    while _is_list(values.type):
        inner = offsets_of(np.asarray(pc.fill_null(pc.list_value_length(values), 0), dtype=np.int64))
        counts = np.diff(inner[offsets_of(counts)])
        values = values.flatten()
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise DataError(f"the column of {what} must hold lists of numbers, not of {values.type}")
    flat = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    refuse(np.repeat(ids, counts), ~np.isfinite(flat), f"its {what} contains a number that is missing or not finite")
    return flat, counts


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
