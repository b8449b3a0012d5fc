"""Leaderboards as Markdown: tables, ranks, notes, and how scores are written."""

from __future__ import annotations

import dataclasses
import re

import pytest
from helpers import record
from toy_boards import boards_of, folds

from crystalbench.evaluation.leaderboard import Board, Entry, Score
from crystalbench.reports.boards import places
from crystalbench.reports.csv import to_csv
from crystalbench.reports.formatting import score_text
from crystalbench.reports.kinds import EXPLANATION
from crystalbench.reports.markdown import to_markdown
from crystalbench.reports.notes import notes
from crystalbench.reports.screen import screen_kinds
from crystalbench.targets import METRICS


def entry_with(**scores: Score) -> Entry:
    return Entry("m", "default", "full", scores, 5, (1, 1), 9, 9, None, None, "ours")


def test_the_markdown_tables_are_well_formed(boards: list[Board]) -> None:
    text = to_markdown(boards)
    assert text.startswith("# Leaderboard\n")
    headings = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert headings == [
        "matbench_mp_is_metal (106,113 rows)",
        "matbench_phonons (1,265 rows)",
        "matbench_phonons (60 of 1,265 rows)",
    ]
    tables = re.findall(r"(?:^\| #.*\n)(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert len(tables) == len(boards)
    for board, table in zip(boards, tables, strict=True):
        lines = table.splitlines()
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in lines}
        assert len(widths) == 1
        assert re.fullmatch(r"\|(---\|)+", lines[1])
        assert len(lines) == 2 + len(board.entries)
        before = text[: text.index(table)]
        assert before.endswith("\n\n")  # a table needs an empty line before it
    assert r"**a_model_with_quite_a_long_name_and_more (wide\|deep)**" in text
    assert text.count("**dummy**") == 6  # twice as the best of its kind
    assert "| MAE (cm⁻¹) |" in text


def test_the_best_of_each_kind_follows_the_ranking() -> None:
    records = [
        *folds(40.0, 41.0, 42.0, 43.0, 44.0, label="a|b", model="x", sees="composition"),
        *folds(30.0, label="short", model="y", sees="composition"),
        *folds(50.0, 51.0, 52.0, 53.0, 54.0, sees="nothing"),
        *folds(20.0, 21.0, 22.0, 23.0, 24.0, label="wide", model="z", sees="structure", view="anonymous"),
    ]
    (board,) = boards_of(records)
    lines = to_markdown([board]).partition(EXPLANATION)[2].splitlines()[2:]
    assert lines[0] == "| sees | best entry | MAE (cm⁻¹) | # | of this kind | source |"
    assert lines[2] == "| nothing | **dummy** | 52.00 ± 1.41 | 14 | 2 | ours |"
    assert lines[3] == "| composition | **a\\|b** | 42.00 ± 1.41 | 11 | 3 | ours |"  # with two published
    assert lines[4] == "| structure without chemistry | **wide (anonymous)** | 22.00 ± 1.41 | 1 | 1 | ours |"
    assert lines[5].startswith("| structure and chemistry | MegNet (kgcnn v2.1.0) | 28.76 ± 2.58 | 2 |")
    (row,) = [line for line in to_csv([board]).splitlines() if ",wide,default,anonymous,mae," in line]
    assert ",structure,,,,,official" in row
    table = screen_kinds(board)
    assert table is not None
    assert table.row_count == sum(line.startswith("| ") for line in lines[: lines.index("")]) - 1


def test_a_board_with_one_kind_has_no_table_of_kinds() -> None:
    (board,) = boards_of(folds(1.0, 2.0, 6.0, 7.0, 8.0, task="mine"))
    assert screen_kinds(board) is None
    assert EXPLANATION not in to_markdown([board])


def test_only_comparable_entries_are_ranked(boards: list[Board]) -> None:
    _, whole, part = boards
    complete = [entry.folds == 5 for entry in whole.entries]
    assert complete == sorted(complete, reverse=True)  # those that lack folds come last
    assert complete.count(False) == 2
    assert places(whole) == [*range(1, complete.count(True) + 1), None, None]
    assert places(part) == [1, *[None] * (len(part.entries) - 1)]
    (undefined,) = boards_of(folds(None, task="mine"))
    assert places(undefined) == [None]


def test_notes_of_a_board(boards: list[Board]) -> None:
    metal, whole, part = boards
    assert any("balanced accuracy" in note for note in notes(metal))
    assert any("60 of 1,265 rows" in note for note in notes(part))
    assert not any("rows" in note and "Only" in note for note in notes(whole))
    (incomplete,) = (note for note in notes(whole) if note.startswith("Not all folds done"))
    assert "wide|deep" in incomplete
    two = folds(1.0, view="full") + folds(1.0, view="unit_density")
    (incomplete,) = (note for note in notes(boards_of(two[:1] + two[-1:])[0]) if note.startswith("Not all"))
    assert incomplete.count("unit_density") == 1
    assert any("CGCNN v2019" in note for note in notes(metal))


@pytest.mark.parametrize(
    ("mean", "std", "shown"),
    [
        (29.3, 1.25, "29.30 ± 1.25"),
        (0.0, 0.0, "0.0000 ± 0.0000"),
        (0.04216, 0.0011, "0.0422 ± 0.0011"),
        (1234.56, 7.89, "1235 ± 8"),
        (123456.7, 10.0, "123457 ± 10"),
        (-0.5, 0.25, "-0.5000 ± 0.2500"),
        (0.99996, 0.0, "1.0000 ± 0.0000"),
        (9.99999, 0.5, "10.000 ± 0.500"),
        (0.00874, 0.00032, "0.00874 ± 0.00032"),
        (0.0099996, 0.0, "0.01000 ± 0.00000"),
        (0.000874, 0.0012, "0.000874 ± 0.001200"),
        (0.0001, 0.0, "0.000100 ± 0.000000"),
        (3.2e-5, 1.1e-5, "3.20e-05 ± 1.10e-05"),
        (-1e-9, 0.0, "-1.00e-09 ± 0.00e+00"),
    ],
)
def test_scores_have_four_digits_and_small_ones_three(mean: float, std: float, shown: str) -> None:
    entry = entry_with(mae=Score(mean, std))
    assert score_text(entry, METRICS["mae"]) == shown
    assert score_text(entry, METRICS["rmse"]) == ""
    single = dataclasses.replace(entry, folds=1)
    assert score_text(single, METRICS["mae"]) == shown.split(" ")[0]  # one fold has no spread


def test_scores_with_best_value_one_always_have_four_decimals() -> None:
    entry = entry_with(r2=Score(-0.00237, 0.00162), f1=Score(3.2e-5, 1.1e-5), log_loss=Score(3.2e-5, 1.1e-5))
    assert score_text(entry, METRICS["r2"]) == "-0.0024 ± 0.0016"
    assert score_text(entry, METRICS["f1"]) == "0.0000 ± 0.0000"
    assert score_text(entry, METRICS["log_loss"]) == "3.20e-05 ± 1.10e-05"


@pytest.mark.parametrize(
    ("repetitions", "shown"),
    [
        ([(0, 0), (1, 0)], "2 (0,1)"),
        ([(3, 0), (1, 5)], "2 (1,3)"),  # other seeds, but one for each fold
        ([(0, 0), (0, 1), (1, 0), (1, 1)], "2 × 2 seeds (0,1)"),
        ([(0, 0), (0, 1), (1, 0)], "2 × 1–2 seeds (0,1)"),
        ([(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 0), (2, 7)], "3 × 2–3 seeds (0,1,2)"),
        ([(fold, 0) for fold in range(5)], "5"),
    ],
)
def test_the_folds_cell_lists_the_number_of_seeds_and_the_folds_unless_all_are_done(
    repetitions: list[tuple[int, int]], shown: str
) -> None:
    (board,) = boards_of([record(fold=fold, seed=seed, task="mine") for fold, seed in repetitions])
    assert f"| full | {shown} |" in to_markdown([board])
