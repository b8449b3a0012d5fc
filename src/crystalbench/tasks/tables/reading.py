"""Read the columns of a Parquet, CSV or JSON table."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.tasks.tables.text import is_missing, visible

Column = pa.ChunkedArray | list[Any]
TABLE_SUFFIXES = (".parquet", ".csv", ".csv.gz", ".json", ".json.gz")


@dataclass(frozen=True, eq=False)
class Table:
    """Some columns of a file.

    Attributes:
        file: the file.
        rows: number of rows.
        columns: Arrow columns (Parquet), or lists (of text for CSV, of any objects for JSON); None is a missing value.
    """

    file: Path
    rows: int
    columns: dict[str, Any]

    def values(self, name: str) -> list[Any]:
        """A column as Python objects; missing values, NaN included, are None."""
        column = self.columns[name]
        values = column.to_pylist() if isinstance(column, pa.ChunkedArray) else column
        return [None if isinstance(value, float) and value != value else value for value in values]

    def present(self, name: str) -> npt.NDArray[np.bool_]:
        """(rows,) whether each row has a value in a column; texts such as ``NA`` are none."""
        column = self.columns[name]
        if isinstance(column, pa.ChunkedArray) and pa.types.is_nested(column.type):
            return np.asarray(column.is_valid().to_numpy(), dtype=np.bool_)
        return np.array([not is_missing(value) for value in self.values(name)], dtype=np.bool_)

    def taken(self, index: npt.NDArray[np.int64]) -> Table:
        """The rows at an index array, in that order."""
        columns = {
            name: column.take(pa.array(index)) if isinstance(column, pa.ChunkedArray) else [column[i] for i in index]
            for name, column in self.columns.items()
        }
        return Table(self.file, len(index), columns)


def read_table(file: Path, columns: Sequence[str], if_there: Sequence[str] = ()) -> Table:
    """Read columns of a table; its format is that of the ending of its name.

    Args:
        file: the table.
        columns: names of columns.
        if_there: names of further columns, which are read if the table has them.

    Raises:
        DataError: the file is missing or cannot be read.
        ConfigError: the ending is unknown.
        UnknownNameError: the table lacks a column.
    """
    if not file.is_file():
        raise DataError(f"{file}: there is no such file")
    if not file.name.endswith(TABLE_SUFFIXES):
        raise ConfigError(f"{file}: the name of a table must end in {', '.join(TABLE_SUFFIXES)}")
    try:
        if file.suffix == ".parquet":
            _require_distinct(pq.read_schema(file).names)
            _check_columns(file, pq.read_schema(file).names, columns)
            columns = _with_those(columns, if_there, pq.read_schema(file).names)
            table = pq.read_table(file, columns=list(columns))
            return Table(file, len(table), {name: _plain(table[name]) for name in columns})
        found = _read_csv(file) if file.name.endswith((".csv", ".csv.gz")) else _read_json(file)
    except (OSError, EOFError, zlib.error, pa.ArrowException, ValueError) as error:
        raise _unreadable(file, error) from error
    _check_columns(file, list(found), columns)
    columns = _with_those(columns, if_there, found)
    lengths = {len(values) for values in found.values()}
    if len(lengths) > 1:
        raise DataError(f"{file}: its columns have different lengths, from {min(lengths)} to {max(lengths)}")
    return Table(file, lengths.pop() if lengths else 0, {name: found[name] for name in columns})


def _with_those(columns: Sequence[str], if_there: Sequence[str], found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*columns, *(name for name in if_there if name in set(found))]))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of text without the type of views, from which pyarrow takes no rows; bytes as text.

    Raises:
        pa.ArrowException: bytes are not text in UTF-8.
    """
    is_view = getattr(pa.types, "is_string_view", None)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return column.cast(pa.large_string())
    return column.cast(pa.large_string()) if is_view is not None and is_view(column.type) else column


def column_names(file: Path) -> list[str]:
    """Names of the columns of a table.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        if file.suffix == ".parquet":
            return list(pq.read_schema(file).names)
        return list(_read_csv(file) if file.name.endswith((".csv", ".csv.gz")) else _read_json(file))
    except (OSError, EOFError, zlib.error, pa.ArrowException, ValueError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> DataError:
    remedy = "; save it as text in UTF-8" if isinstance(error, UnicodeDecodeError) else ""
    if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
        remedy = "; is it one object per line? Write a list of them"
    return DataError(f"{file}: cannot be read ({error}){remedy}")


def rows_of_table(file: Path) -> int | None:
    """The number of rows of a Parquet table; None for other formats, and if it cannot be read."""
    try:
        return int(pq.read_metadata(file).num_rows) if file.suffix == ".parquet" else None
    except (OSError, pa.ArrowException):
        return None


def _require_distinct(names: Sequence[str], what: str = "columns") -> None:
    """Refuse a table in which two columns have the same name, since only one of them could be read."""
    stripped = [visible(name) for name in names]
    repeated = sorted({name for name in stripped if stripped.count(name) > 1})
    if repeated:
        raise ValueError(f"several {what} are named {repeated[0]!r}; rename or remove all but one")


def _check_columns(file: Path, found: Sequence[str], wanted: Sequence[str]) -> None:
    for name in wanted:
        if name not in found:
            raise UnknownNameError(f"column of {file.name}", name, found)


def _read_csv(file: Path) -> dict[str, list[Any]]:
    """All columns as text: whether ``NaN`` is a missing number or a formula depends on the column."""
    require_plain_text(file)
    header = pd.read_csv(file, dtype=str, keep_default_na=False, header=None, nrows=1)
    names = [str(name) for name in header.iloc[0]]
    if len(names) == 1 and (other := next((mark for mark in (";", "\t") if mark in names[0]), None)):
        raise ValueError(f"its columns must be separated by commas, not by {other!r}")
    _require_distinct(names)
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("rows have more values than the header has names")
    return {str(name): [value or None for value in frame[name].tolist()] for name in frame.columns}


def require_plain_text(file: Path) -> None:
    """Refuse zero bytes, at which pandas ends a value without a word; UTF-16 has many.

    Raises:
        ValueError: the file has some.
    """
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            if b"\0" in piece:
                raise ValueError("it contains zero bytes; save it as text in UTF-8")


def distinct_keys(pairs: list[tuple[str, Any]], what: str = "columns") -> dict[str, Any]:
    """An object of JSON as a dictionary, for the option ``object_pairs_hook`` of `json.load`.

    Args:
        pairs: keys and values.
        what: what the keys are, for the message.

    Raises:
        ValueError: a key occurs twice, so that one of its values would be lost.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        _require_distinct([key for key, _ in pairs], what)
    return found


def _distinct_columns(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    _require_distinct(list(columns))
    return columns


def _read_json(file: Path) -> dict[str, list[Any]]:
    """Rows as objects, columns as lists or objects, or pandas' ``split`` form, which is matminer's."""
    encoding = "utf-8-sig"  # skips a byte order mark
    with gzip.open(file, "rt", encoding=encoding) if file.suffix == ".gz" else file.open(encoding=encoding) as stream:
        try:
            content = json.load(stream, object_pairs_hook=distinct_keys)
        except RecursionError:
            raise ValueError("the JSON is nested too deeply") from None
    if isinstance(content, dict) and {"lattice", "sites"} <= content.keys():
        raise ValueError("it is one structure; write it as CIF, or make a table with it in a column structure")
    if isinstance(content, list) and all(isinstance(row, dict) for row in content):
        names = list(dict.fromkeys(name for row in content for name in row))
        return _distinct_columns({name: [row.get(name) for row in content] for name in names})
    if isinstance(content, dict) and isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
        rows = content["data"]
        _require_distinct([str(name) for name in content["columns"]])
        if any(not isinstance(row, list) or len(row) != len(content["columns"]) for row in rows):
            raise ValueError("a row of 'data' has more or fewer values than there are 'columns'")
        return {str(name): [row[place] for row in rows] for place, name in enumerate(content["columns"])}
    if isinstance(content, dict) and all(isinstance(column, list) for column in content.values()):
        return _distinct_columns(content)
    if isinstance(content, dict) and all(isinstance(column, dict) for column in content.values()):
        keys = {tuple(column) for column in content.values()}
        if len(keys) <= 1:
            return _distinct_columns({name: list(column.values()) for name, column in content.items()})
    raise ValueError("the JSON must be a list of rows (objects), an object of columns, or have 'columns' and 'data'")
