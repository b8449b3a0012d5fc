"""Boards with tuned runs, in every form."""

from __future__ import annotations

import csv
import dataclasses
import io

import pytest
from helpers import tuned_record
from rich.console import Console
from toy_boards import boards_of, folds

from crystalbench.evaluation.leaderboard import Board
from crystalbench.reports.csv import COLUMNS, to_csv
from crystalbench.reports.markdown import to_markdown
from crystalbench.reports.screen import screen_table


@pytest.fixture
def tuned_board() -> Board:
    """One model with defaults, tuned on each fold, and tuned on the first fold."""
    (board,) = boards_of(
        [
            *folds(1.0, 2.0, 3.0, task="mine"),
            *[tuned_record(mae, fold=f, task="mine", best=0 if f else 3) for f, mae in enumerate((0.5, 2.25))],
            *[tuned_record(1.5, fold=f, task="mine", scheme="first_fold") for f in (0, 1)],
        ]
    )
    return board


def test_default_and_tuned_runs_are_separate_rows_with_their_tuning_costs(tuned_board: Board) -> None:
    lines = to_markdown([tuned_board]).splitlines()
    (header,) = [line for line in lines if line.startswith("| #")]
    assert "| folds | trials | tuning (s) | fit (s) |" in header
    rows = {line.split("|")[2].strip(): [c.strip() for c in line.split("|")] for line in lines if "| **" in line}
    assert list(rows) == ["**dummy (tuned)**", "**dummy (tuned on fold 0)**", "**dummy**"]
    spent = [header.split("|").index(f" {name} ") for name in ("folds", "trials", "tuning (s)")]
    assert [rows["**dummy (tuned)**"][i] for i in spent] == ["2 (0,1)", "40", "21"]
    assert [rows["**dummy (tuned on fold 0)**"][i] for i in spent] == [
        "2 (0,1)",
        "20",
        "10",
    ]  # one study for both folds
    assert [rows["**dummy**"][i] for i in spent] == ["3 (0,1,2)", "", ""]
    failed = "Trials that failed: dummy (tuned): 2 of 40; dummy (tuned on fold 0): 1 of 20."
    assert any(line.startswith(failed) for line in lines)
    assert any("has seen, in the search alone, the test rows of the other folds" in line for line in lines)


def test_the_change_through_tuning_is_listed_fold_by_fold(tuned_board: Board) -> None:
    text = to_markdown([tuned_board])
    assert "Tuned minus default, MAE (cm⁻¹), fold by fold; negative is better. Where the default" in text
    assert "| dummy (tuned) | full | -0.125 ± 0.38 | -0.5 | +0.25 (kept) |" in text
    assert "| dummy (tuned on fold 0) | full | +0 ± 0.5 | +0.5 | -0.5 |" in text


def test_what_tuning_found_on_the_inner_folds_is_listed(tuned_board: Board) -> None:
    text = to_markdown([tuned_board])
    assert "The default is kept unless the gain exceeds the standard error." in text
    assert "| dummy (tuned) | full | +0.4 ± 0.25 | +0.4 ± 0.5 (kept) |" in text
    untuned = [e for e in tuned_board.entries if e.protocol == "default"]
    assert "What tuning found" not in to_markdown([dataclasses.replace(tuned_board, entries=untuned)])


def test_the_change_through_tuning_is_in_the_csv_file(tuned_board: Board) -> None:
    rows = [r for r in csv.DictReader(io.StringIO(to_csv([tuned_board]))) if r["metric"] == "mae"]
    names = COLUMNS[COLUMNS.index("source") + 1 : COLUMNS.index("data")]
    assert [row["protocol"] for row in rows] == ["tuned", "tuned on fold 0", "default"]
    assert [rows[0][name] for name in names] == ["40", "21.00", "-0.125", "0.375", "0:-0.5 1:0.25", "1"]
    assert [rows[2][name] for name in names] == [""] * 6


def test_a_board_without_tuned_runs_has_no_columns_for_them(boards: list[Board]) -> None:
    assert "tuning" not in to_markdown(boards)
    assert "trials" not in to_markdown(boards)


def test_the_screen_table_lists_the_trials_of_tuned_entries(tuned_board: Board) -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(screen_table(tuned_board, 120))
    (line,) = [line for line in console.export_text().splitlines() if "dummy (tuned) " in line]
    assert "40" in line.split()
