"""Read matminer's ``.json.gz`` files piece by piece: memory holds some hundred rows, never the complete file.

The format is pandas' "split" orientation: an object with ``index``, ``columns`` and ``data``, a list of rows.

orjson parses pieces of a megabyte, which are cut where one row seems to end and the next to begin. If a piece is valid
JSON from the beginning of a row to such a place, it consists of whole rows. If it is not, because the place is inside
of a row or there is a mistake, or if orjson does not accept it, `json` parses it. So messages about damaged files are
those of `json`, and so are ``NaN`` and ``Infinity``, which pymatgen and matminer write (for a missing magnetic moment,
for instance).

Why in pieces: measured on one core, with 20,000 rows of mp_gap in matminer's layout (594,173 sites, 118 MB of JSON),
without garbage collection, decompression included:

===========================================  ======  ===========
reader                                       time    peak memory
===========================================  ======  ===========
this module                                  1.9 s   15 MB
`json` row by row                            3.4 s   6 MB
orjson 3.13, ``loads`` of the complete text  2.1 s   1,081 MB
===========================================  ======  ===========

At this rate, ``loads`` needs more than 7 GB for the 132,752 rows of mp_e_form. ijson 3.6 (``yajl2_c``) is as slow as
`json` row by row, and does not read ``NaN`` either.
"""

from __future__ import annotations

import gc
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

import orjson

from crystalbench.errors import DataError

CHUNK = 1 << 20
_EDGE = 16
"""A JSON error within this many characters of the end of the text may only mean that more text follows."""

_ROW_ENDS = ("], [{", "],[{", '], ["', '],["')
"""What is between the rows if each begins with a structure or a formula, as written by `json` and by pandas."""

_DECODER = json.JSONDecoder()


def read_rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """Read some columns, row by row.

    Args:
        file: a gzip-compressed JSON file.
        columns: names of the columns.

    Yields:
        For each row, the values of these columns, in this order.

    Raises:
        DataError: the file is truncated, is not gzip or JSON, has another layout, or lacks a column.
    """
    try:
        with gzip.open(file, "rt", encoding="utf-8") as stream:
            yield from _rows(_Text(stream), columns)
    except _LayoutError as error:
        raise DataError(f"{file}: {error}") from error
    except (EOFError, json.JSONDecodeError) as error:
        raise DataError(f"{file}: is truncated or damaged ({error}); delete it and download it again") from error
    except (zlib.error, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file}: cannot be read as gzip-compressed JSON ({error}); delete it and download it again"
        ) from error


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pause Python's search for reference cycles: JSON has none, and the search takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _LayoutError(Exception):
    """The file is JSON, but not in matminer's layout."""


class _Text:
    """JSON text that is read piece by piece."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._text, self._at, self._chunk = stream, "", 0, CHUNK
        self._ended = False
        self._cuttable = True

    def peek(self) -> str:
        """The next character that is not white space; an empty string at the end."""
        while True:
            while self._at < len(self._text):
                if not self._text[self._at].isspace():
                    return self._text[self._at]
                self._at += 1
            if self._ended:
                return ""
            self._more()

    def take(self, expected: str) -> str:
        """Consume the next character, which must be one of those expected.

        Raises:
            JSONDecodeError: it is not.
        """
        char = self.peek()
        if not char or char not in expected:
            raise json.JSONDecodeError(f"Expecting {' or '.join(expected)!r}", self._text, self._at)
        self._at += 1
        return char

    def value(self) -> Any:
        """Consume the next JSON value.

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

    def rows(self) -> list[Any]:
        """Consume the whole rows in the text that was read; none if it is not clear where they end."""
        ends = (self._text.rfind(between, self._at) + 1 for between in _ROW_ENDS)
        end = next(filter(None, ends), 0) if self._cuttable else 0
        if not end:
            return []
        text = f"[{self._text[self._at : end]}]"
        try:
            rows: list[Any] = _loads(text)
        except ValueError:
            self._cuttable = False
            return []
        self._at = end
        return rows

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
    chosen = itemgetter(*places) if len(places) > 1 else lambda values: (values[places[0]],)
    row = 0
    while True:
        text.peek()
        for values in text.rows() or [text.value()]:
            if not isinstance(values, list) or len(values) != len(columns):
                raise _LayoutError(f"row {row} is not a list of {len(columns)} values")
            yield chosen(values)
            row += 1
        if text.take(",]") == "]":
            return


def _loads(text: str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: it is not valid.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
