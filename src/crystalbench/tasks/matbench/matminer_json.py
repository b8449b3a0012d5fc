"""Read matminer's ``.json.gz`` files row by row: memory holds one row and a piece of text, never the whole file.

The format is pandas' "split" orientation: an object with ``index``, ``columns`` and ``data``, a list of rows.
"""

from __future__ import annotations

import gc
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from crystalbench.errors import DataError

CHUNK = 1 << 20
_EDGE = 16
"""A JSON error so many characters before the end of the text may only say that the text goes on."""

_DECODER = json.JSONDecoder()


def read_rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """Values of some columns, row by row.

    Args:
        file: a gzip-compressed JSON file.
        columns: names of the columns.

    Yields:
        For every row the values of these columns, in their order.

    Raises:
        DataError: the file is cut off, not gzip or JSON, has another layout, or lacks a column.
    """
    try:
        with gzip.open(file, "rt", encoding="utf-8") as stream:
            yield from _rows(_Text(stream), columns)
    except _LayoutError as error:
        raise DataError(f"{file}: {error}") from error
    except (EOFError, json.JSONDecodeError) as error:
        raise DataError(f"{file}: is cut off or damaged ({error}); delete it and get it again") from error
    except (zlib.error, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file}: cannot be read as gzip-compressed JSON ({error}); delete it and get it again"
        ) from error


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pause Python's search for reference cycles, which JSON has none of and which takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _LayoutError(Exception):
    """JSON, but not in matminer's layout."""


class _Text:
    """JSON text of which a part is at hand."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._text, self._at, self._chunk = stream, "", 0, CHUNK
        self._ended = False

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if not self._text[self._at].isspace():
                    return self._text[self._at]
                self._at += 1
            if self._ended:
                return ""
            self._more()

    def take(self, expected: str) -> str:
        """The next character, one of those expected.

        Raises:
            JSONDecodeError: it is another one.
        """
        char = self.peek()
        if not char or char not in expected:
            raise json.JSONDecodeError(f"Expecting {' or '.join(expected)!r}", self._text, self._at)
        self._at += 1
        return char

    def value(self) -> Any:
        """The next value.

        Raises:
            JSONDecodeError: there is none.
        """
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self._text) - _EDGE or error.msg.startswith("Unterminated string")
                if self._ended or not cut:
                    raise
            else:
                if end < len(self._text) or self._ended:
                    self._at, self._chunk = end, CHUNK
                    return value
            self._more()

    def _more(self) -> None:
        piece = self._stream.read(self._chunk)
        self._ended = not piece
        self._text, self._at = self._text[self._at :] + piece, 0
        self._chunk *= 2


def _rows(text: _Text, wanted: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    columns: list[str] | None = None
    seen = False
    text.take("{")
    while True:
        key = text.value()
        text.take(":")
        if key == "columns":
            columns = text.value()
        elif key == "data":
            yield from _data(text, columns, wanted)
            seen = True
        else:
            text.value()
        if text.take(",}") == "}":
            break
    if text.peek():
        raise json.JSONDecodeError("Extra data", "", 0)
    if not seen:
        raise _LayoutError("has no 'data'; it must be an object with 'index', 'columns' and 'data' (pandas' split)")


def _data(text: _Text, columns: list[str] | None, wanted: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    if not isinstance(columns, list):
        raise _LayoutError("must list its 'columns' before its 'data'")
    if absent := [name for name in wanted if name not in columns]:
        raise _LayoutError(f"has no column {absent[0]!r}; its columns are {', '.join(map(str, columns))}")
    places = [columns.index(name) for name in wanted]
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    row = 0
    while True:
        values = text.value()
        if not isinstance(values, list) or len(values) != len(columns):
            raise _LayoutError(f"row {row} is not a list of {len(columns)} values")
        yield tuple(values[place] for place in places)
        row += 1
        if text.take(",]") == "]":
            return
