"""Tables and sentences in one form for the screen, Markdown and pages."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from crystalbench.reports.sections import Cell, Section, estimate, with_views


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (estimate(0.9, 0.85, 0.95), "0.90 [0.85, 0.95]"),
        (estimate(-0.001, -0.1, 0.1), "0.00 [−0.10, 0.10]"),
        (estimate(0.5, math.nan, math.nan), "0.50"),
        (estimate(math.nan, 0.1, 0.2), "–"),
        (estimate(-20.0, -30.0, -10.0, ".1f", " %"), "−20.0 % [−30.0, −10.0]"),
        (estimate(0.25, 0.1, 0.4, "+.1f"), "+0.2 [+0.1, +0.4]"),
    ],
)
def test_numbers_have_their_interval(cell: str | Cell, text: str) -> None:
    assert str(cell) == text


@pytest.mark.parametrize(("value", "shade"), [(-3.0, 0), (0.0, 0), (0.19, 0), (0.2, 1), (0.81, 4), (1.0, 4)])
def test_shades_are_fifths(value: float, shade: int) -> None:
    cell = estimate(value, 0, 1, shaded=True)
    assert isinstance(cell, Cell) and cell.shade == shade
    assert estimate(value, 0, 1) == Cell(cell.text, cell.note)


def test_a_frame_becomes_rows_and_columns_in_its_order() -> None:
    table = pd.DataFrame({"view": ["b", "a", "b"], "model": ["y", "y", "x"], "skill": [1.0, 2.0, 3.0]})
    section = Section.crossed("skill", table, "view", "model", lambda row: f"{row['skill']:.0f}", ["So it is."])
    assert section.titles == ["view", "y", "x"]
    assert section.rows == [["b", "1", "3"], ["a", "2", "–"]]
    ordered = Section.crossed("skill", table, "view", "model", lambda row: f"{row['skill']:.0f}", order=["x", "y"])
    assert ordered.rows == [["b", "3", "1"], ["a", "–", "2"]]


def test_markdown_has_the_notes_of_cells() -> None:
    section = Section("Skill", ["view", "x|y"], [["full", Cell("0.9", "[0.8, 1.0]", 4)]], ["So it is."])
    lines = ["### Skill", "", "| view | x\\|y |", "| --- | ---: |", "| full | 0.9 [0.8, 1.0] |", "", "So it is.", ""]
    assert section.to_markdown(3).split("\n") == lines


def test_views_are_in_names_except_for_the_full_crystal() -> None:
    table = pd.DataFrame({"model": ["x", "x"], "view": ["full", "anonymous"]})
    assert with_views(table)["model"].tolist() == ["x", "x (anonymous)"]
    assert table["model"].tolist() == ["x", "x"]
