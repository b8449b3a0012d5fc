"""The table of results: a CSV file that is updated by rows, and its form on screen."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from rich import box
from rich.table import Table

from benchmarks.speed.rows import Result
from crystalbench._files import write_text
from crystalbench.errors import DataError

HEADER = tuple(field.name for field in dataclasses.fields(Result))
FILE_NAME = "speed.csv"
Line = TypeVar("Line")


def read_results(file: Path) -> list[Result]:
    """Read a table; empty if there is no file.

    Raises:
        DataError: the file is not such a table.
    """
    return read_lines(file, HEADER, _result)


def _result(line: list[str]) -> Result:
    name, ours, peer, unit, ratio, against, machine = line
    return Result(name, float(ours), float(peer), unit, float(ratio), against, machine)


def read_lines(file: Path, header: Sequence[str], parsed: Callable[[list[str]], Line]) -> list[Line]:
    """Read the lines of a CSV file below its header; empty if there is no file.

    Args:
        file: the file.
        header: cells of its first line.
        parsed: converts the cells of a line; raises a ValueError if they are invalid.

    Raises:
        DataError: the file has another header, or an invalid line.
    """
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    if not lines or tuple(lines[0]) != tuple(header):
        raise DataError(
            f"{file}: its first line is not {','.join(header)}; move this file away and run the command again"
        )
    found = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            found.append(parsed(line))
        except ValueError as error:
            raise DataError(f"{file}: line {number} cannot be read ({error}); correct or remove it") from error
    return found


def merged(old: Iterable[Result], new: Iterable[Result], order: Sequence[str]) -> list[Result]:
    """Merge lines: a new line replaces the old one with its name.

    Args:
        old: old lines.
        new: new lines.
        order: names in the desired order; lines with other names come last, in their present order.
    """
    lines = {result.name: result for result in (*old, *new)}
    places = {name: place for place, name in enumerate(order)}
    return sorted(lines.values(), key=lambda result: places.get(result.name, len(places)))


def write_results(file: Path, results: Iterable[Result]) -> None:
    """Write a table atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows([written(value) for value in dataclasses.astuple(result)] for result in results)
    write_text(file, text.getvalue())


def update(directory: Path, new: Iterable[Result], order: Sequence[str]) -> list[Result]:
    """Update the table in a folder with new lines, and return all its lines.

    Raises:
        DataError: the file in the folder is not such a table.
    """
    file = directory / FILE_NAME
    results = merged(read_results(file), new, order)
    write_results(file, results)
    return results


def screen(results: Iterable[Result]) -> Table:
    """The table for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, caption="Medians; the ratio is the factor by which CrystalBench is faster.")
    for heading in ("name", "ours", "peer", "unit", "ratio"):
        table.add_column(heading, justify="right" if heading in ("ours", "peer", "ratio") else "left", no_wrap=True)
    for r in results:
        table.add_row(r.name, written(r.ours), written(r.peer), r.unit, f"{written(r.ratio)} ×")
    return table


def written(value: str | float) -> str:
    """A number with three significant digits, all digits of its integer part, and no exponent; a text unchanged."""
    if isinstance(value, str):
        return value
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{float(f'{value:.3g}'):.10f}".rstrip("0").rstrip(".")
