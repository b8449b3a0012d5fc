"""Sections: a heading, a table and sentences, the one form in which probes are shown on screen and on pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from crystalbench.data.views import FULL
from crystalbench.reports.formatting import MISSING, markdown_table


@dataclass(frozen=True)
class Cell:
    """A number in a table.

    Attributes:
        text: the number.
        note: what follows it, such as its interval; on pages below it and smaller.
        shade: how strongly pages colour it: 1 to 4 for what is good, −1 to −4 for what is bad.
    """

    text: str
    note: str = ""
    shade: int = 0

    def __str__(self) -> str:
        """The number and its note."""
        return f"{self.text} {self.note}".rstrip()


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        heading: one line.
        titles: titles of the columns; no table if there are none. The first column holds names, the others numbers.
        rows: texts and `Cell` objects of each row.
        lines: sentences below the table.
        detail: whether pages show it only when it is opened.
        hints: what pages say below the names of rows.
    """

    heading: str
    titles: Sequence[str] = ()
    rows: Sequence[Sequence[str | Cell]] = ()
    lines: Sequence[str] = ()
    detail: bool = False
    hints: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def crossed(
        cls,
        heading: str,
        table: pd.DataFrame,
        rows: str,
        columns: str,
        cell: Callable[[Mapping[Any, Any]], str | Cell],
        lines: Sequence[str] = (),
        order: Sequence[str] | None = None,
    ) -> Section:
        """A section with a row for each value of one column of a frame, and a column for each value of another.

        Args:
            heading: one line.
            table: the frame.
            rows: name of the column whose values are the rows, in the order of the frame.
            columns: name of the column whose values are the columns.
            cell: makes a cell of a row of the frame.
            lines: sentences below the table.
            order: the columns in another order than that of the frame.
        """
        cells = {(row[rows], row[columns]): cell(row) for row in table.to_dict("records")}
        titles = list(dict.fromkeys(table[columns])) if order is None else order
        texts = [
            [str(name), *(cells.get((name, title), MISSING) for title in titles)] for name in dict.fromkeys(table[rows])
        ]
        return cls(heading, [rows, *map(str, titles)], texts, lines)

    def to_markdown(self, level: int = 2) -> str:
        """The section as Markdown, with a heading of a level."""
        rule = ["---", *["---:"] * (len(self.titles) - 1)]
        rows = [[str(cell) for cell in row] for row in self.rows]
        table = [*markdown_table(self.titles, rows, rule), ""] if self.titles else []
        lines = [text for line in self.lines for text in (line, "")]
        return "\n".join([f"{'#' * level} {self.heading}", "", *table, *lines])


def estimate(
    value: float, low: float, high: float, spec: str = "z.2f", unit: str = "", *, shaded: bool = False
) -> str | Cell:
    """A cell with a number and its interval: ``0.90 [0.85, 0.95]``.

    Args:
        value: the number; – if it is NaN.
        low: lower end of its interval; none if it is NaN.
        high: upper end.
        spec: format specification of all three.
        unit: follows the number.
        shaded: whether pages colour it, by fifths of the way from 0 to 1.
    """
    if math.isnan(value):
        return MISSING
    interval = "" if math.isnan(low) else f"[{low:{spec}}, {high:{spec}}]"
    shade = min(max(int(5 * value), 0), 4) if shaded else 0
    return Cell(f"{value:{spec}}{unit}".replace("-", "−"), interval.replace("-", "−"), shade)


def with_views(table: pd.DataFrame) -> pd.DataFrame:
    """The frame with views in the names of models, ``cgcnn (anonymous)``, except for the full crystal."""
    return table.assign(model=table["model"] + (" (" + table["view"] + ")").where(table["view"] != FULL, ""))
