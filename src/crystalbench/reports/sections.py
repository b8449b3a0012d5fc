"""Sections: a heading, a table of texts, and sentences, for the screen and for pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crystalbench.reports.formatting import markdown_table


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        heading: one line.
        titles: titles of the columns; no table if there are none. The first column holds names, the others numbers.
        rows: cells of each row.
        lines: sentences below the table.
    """

    heading: str
    titles: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    lines: Sequence[str] = ()

    def to_markdown(self, level: int = 2) -> str:
        """The section as Markdown, with a heading of a level."""
        rule = ["---", *["---:"] * (len(self.titles) - 1)]
        table = [*markdown_table(self.titles, self.rows, rule), ""] if self.titles else []
        lines = [text for line in self.lines for text in (line, "")]
        return "\n".join([f"{'#' * level} {self.heading}", "", *table, *lines])
