"""The table of results: a CSV file that grows row by row, and its form on screen."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from rich import box
from rich.table import Table

from benchmarks.speed.rows import Result
from crystalbench.errors import DataError

HEADER = tuple(field.name for field in dataclasses.fields(Result))
FILE_NAME = "speed.csv"
Line = TypeVar("Line")


def read_results(file: Path) -> list[Result]:
    """The lines of a table; none where there is no file.

    Raises:
        DataError: the file is not such a table.
    """
    return read_lines(file, HEADER, _result)


def _result(line: list[str]) -> Result:
    name, ours, peer, unit, ratio, against, machine = line
    return Result(name, float(ours), float(peer), unit, float(ratio), against, machine)


def read_lines(file: Path, header: Sequence[str], parsed: Callable[[list[str]], Line]) -> list[Line]:
    """The lines of a CSV file below its header; none where there is no file.

    Args:
        file: the file.
        header: what its first line must be.
        parsed: from the cells of a line to what it says; raises a ValueError where it says nothing.

    Raises:
        DataError: the file has another header, or a line that cannot be read.
    """
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    if not lines or tuple(lines[0]) != tuple(header):
        raise DataError(f"{file}: its first line is not {','.join(header)}; move this file away and run again")
    found = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            found.append(parsed(line))
        except ValueError as error:
            raise DataError(f"{file}: line {number} cannot be read ({error}); correct or remove it") from error
    return found


def merged(old: Iterable[Result], new: Iterable[Result], order: Sequence[str]) -> list[Result]:
    """Old and new lines: a new one takes the place of the old one of its name.

    Args:
        old: lines known before.
        new: lines measured now.
        order: names in the order wanted; lines with other names come last, in the order they had.
    """
    lines = {result.name: result for result in (*old, *new)}
    places = {name: place for place, name in enumerate(order)}
    return sorted(lines.values(), key=lambda result: places.get(result.name, len(places)))


def write_results(file: Path, results: Iterable[Result]) -> None:
    """Write the table, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows([written(value) for value in dataclasses.astuple(result)] for result in results)
    write_text(file, text.getvalue())


def write_text(file: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        Path(scratch).chmod(0o644)
        Path(scratch).replace(file)
    finally:
        Path(scratch).unlink(missing_ok=True)


def update(directory: Path, new: Iterable[Result], order: Sequence[str]) -> list[Result]:
    """Bring new lines into the table of a folder, and return the whole table.

    Raises:
        DataError: the file that is there is not such a table.
    """
    file = directory / FILE_NAME
    results = merged(read_results(file), new, order)
    write_results(file, results)
    return results


def screen(results: Iterable[Result]) -> Table:
    """The table for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, caption="Medians; the ratio says how many times faster CrystalBench is.")
    for heading in ("name", "ours", "peer", "unit", "ratio"):
        table.add_column(heading, justify="right" if heading in ("ours", "peer", "ratio") else "left", no_wrap=True)
    for r in results:
        table.add_row(r.name, written(r.ours), written(r.peer), r.unit, f"{written(r.ratio)} ×")
    return table


def written(value: str | float) -> str:
    """A text as it is; a number with three significant digits, or four from 1000 on, never with an exponent."""
    if isinstance(value, str):
        return value
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{float(f'{value:.3g}'):.10f}".rstrip("0").rstrip(".")
