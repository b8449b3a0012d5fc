from __future__ import annotations

import math
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from crystalbench.evaluation.board import Board, Entry
from crystalbench.reports.boards import cells, header
from crystalbench.reports.formatting import (
    axis_title,
    markdown_table,
    metric_title,
    number_text,
    percent_text,
    score_text,
)
from crystalbench.reports.notes import notes
from crystalbench.targets import METRICS


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (0.41664, "0.4166"),
        (-5.8781, "-5.878"),
        (35.386, "35.39"),
        (14587.4, "14,587"),
        (1234567.0, "1,234,567"),
        (1.5e-5, "0.00001500"),
    ],
)
def test_numbers_have_four_significant_digits_without_exponent(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("scores", "text"),
    [
        ((4.3e18, 4.7e18, 5.6e18), "4.87e18 ± 5.4e17"),
        ((4.38e-32, 4.38e-32), "4.38e-32 ± 0.00e+00"),
        ((1234567.0, 1234569.0), "1234568 ± 1"),
        ((35.1, 35.3), "35.20 ± 0.10"),
    ],
)
def test_scores_of_any_size_have_the_digits_that_mean_something(scores: tuple[float, ...], text: str) -> None:
    entry = SimpleNamespace(
        scores={"mae": SimpleNamespace(mean=float(np.mean(scores)), std=float(np.std(scores)))},
        folds=len(scores),
        source="ours",
        undefined={},
    )
    assert score_text(cast(Entry, entry), METRICS["mae"]) == text


def test_percentages_have_their_interval() -> None:
    assert percent_text(0.5, 0.4, 0.61) == "50.0 % (40.0 to 61.0)"
    assert percent_text(0.5, math.nan, math.nan) == "50.0 % (no interval)"


def test_only_metrics_and_axes_with_a_unit_show_it() -> None:
    assert metric_title(METRICS["mae"], "eV/atom") == "MAE (eV/atom)"
    assert metric_title(METRICS["mae"], "") == "MAE"
    assert metric_title(METRICS["r2"], "eV") == "R²"
    assert axis_title("target", "eV") == "target (eV)"
    assert axis_title("target", "") == "target"


def test_bars_within_cells_of_markdown_tables_are_escaped() -> None:
    assert markdown_table(["a", "b|c"], [["1", "2"], ["x|y", ""]]) == [
        "| a | b\\|c |",
        "|---|---|",
        "| 1 | 2 |",
        "| x\\|y |  |",
    ]
    assert markdown_table(["a", "b"], [], ["---", "---:"])[1] == "| --- | ---: |"


def test_a_board_says_why_an_entry_has_no_score() -> None:
    undefined = {"rocauc_true": (2,), "rocauc": (2, 4)}
    ours = Entry("m", "default", "full", {}, 5, (1, 1), 40, 40, 0.1, 1, "ours", undefined=undefined, concurrent=1)
    board = Board("roc", "d" * 64, True, "rocauc_true", "binary", "", 40, 40, 5, [ours])
    (note,) = notes(board)
    assert "ROC-AUC is undefined on at least one fold, so not ranked: m." in note
    assert score_text(ours, METRICS["rocauc_true"]) == "undefined (one class in fold 2)"
    assert score_text(ours, METRICS["rocauc"]) == "undefined (one class in folds 2, 4)"
    assert score_text(ours, METRICS["f1"]) == ""  # not known, as in published entries
    shown = cells(board, ours, None)
    assert [shown[header(board).index(name)] for name in ("ROC-AUC", "ROC-AUC (Matbench, of labels)")] == [
        "undefined (one class in fold 2)",
        "undefined",
    ]
