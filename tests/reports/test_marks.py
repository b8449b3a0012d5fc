"""What boards say beyond scores: marks, notes, comparisons on common folds, the data that they are of."""

from __future__ import annotations

import csv
import io

from helpers import record, tuned_record
from rich.console import Console
from toy_boards import boards_of, folds

from crystalbench.evaluation.leaderboard import Board
from crystalbench.reports.csv import to_csv
from crystalbench.reports.markdown import to_markdown
from crystalbench.reports.notes import notes
from crystalbench.reports.screen import screen_differences, screen_table
from crystalbench.results.record import Record


def rendered(board: Board, width: int) -> list[str]:
    output = io.StringIO()
    Console(width=width, file=output, force_terminal=False).print(screen_table(board, width))
    return output.getvalue().splitlines()


def models(**maes: list[float]) -> list[Record]:
    """Records of models by registered name, with the scores of the first folds."""
    return [r for name, values in maes.items() for r in folds(*values, task="mine", model=name, label=name)]


def test_a_board_says_which_entries_are_not_better_than_the_dummy() -> None:
    (board,) = boards_of(models(dummy=[4.0, 6.0, 5.0, 5.0, 5.0], sen=[3.0] * 5, cgcnn=[4.5, 6.0], hybrid=[9.0] * 5))
    text = to_markdown([board])
    assert "| **cgcnn**‡ |" in text
    assert "| **sen** |" in text
    assert (
        "‡ not better than dummy, which ignores its inputs; MAE (cm⁻¹) minus that of dummy, mean over the folds that "
        "both have: hybrid (+4.000, all folds); cgcnn (+0.250, folds 0, 1)." in notes(board)
    )
    assert any("cgcnn‡" in line for line in rendered(board, 100))
    row = next(r for r in csv.DictReader(io.StringIO(to_csv([board]))) if (r["model"], r["metric"]) == ("cgcnn", "mae"))
    assert (row["minus_dummy"], row["fold_numbers"]) == ("0.25", "0 1")


def test_entries_that_lack_folds_are_compared_on_the_folds_they_have() -> None:
    (board,) = boards_of(
        [
            *folds(*[330.0] * 5, model="dummy"),
            *folds(*[30.0] * 5, model="sen", label="sen"),
            record(50.0, fold=1, model="cgcnn", label="cgcnn"),
        ]
    )
    text = to_markdown([board])
    assert (
        "Entries that lack folds: MAE (cm⁻¹) minus that of others, mean over the folds that both have; negative" in text
    )
    titles = (
        "| model | folds | MAE (cm⁻¹) | minus dummy | minus sen | minus MegNet (kgcnn v2.1.0) | minus counterpart |"
    )
    assert titles in text
    (row,) = [line for line in text.splitlines() if line.startswith("| cgcnn | fold 1 ")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    published = [e for e in board.entries if e.model in ("MegNet (kgcnn v2.1.0)", "CGCNN v2019")]
    megnet, cgcnn = (f"{50 - e.scores['mae'].folds[1]:+.2f}" for e in published)
    assert cells[2:] == ["50.00", "−280.00", "+20.00", megnet, f"{cgcnn} (CGCNN v2019)"]
    shown = screen_differences(board)
    assert shown is not None
    assert [str(cell) for column in shown.columns for cell in column.cells] == cells
    assert screen_differences(boards_of(folds(*[1.0] * 5, task="mine"))[0]) is None


def test_boards_of_one_size_on_different_data_are_told_apart() -> None:
    boards = boards_of([*folds(1.0, task="mine", data="a1" * 32), *folds(2.0, task="mine", data="b2" * 32)])
    text = to_markdown(boards)
    assert "## mine (1,265 rows, data a1a1a1a1)" in text
    assert "## mine (1,265 rows, data b2b2b2b2)" in text
    assert any("Data a1a1a1a1 is that of this table" in note for note in notes(boards[0]))
    assert "mine (1,265 rows, data b2b2b2b2)" in rendered(boards[1], 100)[0]
    assert [r["data"] for r in csv.DictReader(io.StringIO(to_csv(boards)))] == ["a1" * 32] * 4 + ["b2" * 32] * 4


def test_an_undefined_score_is_explained_on_screen() -> None:
    roc = {"metric": "rocauc_true", "kind": "binary", "task": "mine", "unit": ""}
    (board,) = boards_of([record(fold=f, scores={"rocauc_true": s}, **roc) for f, s in ((0, 0.5), (3, None))])
    assert any("undefined (one class in fold 3)" in line for line in rendered(board, 80))
    text = to_markdown([board])
    assert "| undefined (one class in fold 3) |" in text
    assert "| dummy | undefined | 0.5 | 2.0 |" in text.partition("Costs of our entries")[2]


def test_seconds_that_are_not_comparable_are_marked() -> None:
    (alone,) = boards_of(models(dummy=[4.0] * 5, sen=[3.0] * 5))
    assert "≈" not in to_markdown([alone])
    records = [*models(dummy=[4.0] * 5), *folds(3.0, task="mine", model="sen", label="sen", concurrent=4)]
    records += folds(2.0, task="mine", model="cgcnn", label="cgcnn", concurrent=None)
    records += folds(1.0, task="mine", model="far", label="far", environment={"processor": "6502"})
    (board,) = boards_of(records)
    text = to_markdown([board])
    ranking, _, costs = text.partition("Costs of our entries")
    rows = {line.split("|")[2].strip(): line for line in ranking.splitlines() if line.startswith("| ")}
    assert {name for name, line in rows.items() if "| ≈2.0 |" in line} == {"**sen**", "**cgcnn**", "**far**"}
    costs = costs.partition("Entries that lack folds")[0]
    rows = {line.split("|")[1].strip(): line for line in costs.splitlines() if line.startswith("| ")}
    assert {name for name, line in rows.items() if "| ≈2.0 |" in line} == {"sen", "cgcnn", "far"}
    found = [note for note in notes(board) if note.startswith("≈")]
    assert found == [
        "≈ measured while up to 4 processes computed runs, which take longer than alone: sen.",
        "≈ whether other runs were computed at the same time is not recorded: cgcnn.",
        "≈ seconds on different hardware are not comparable. Z80, 1 thread: dummy, cgcnn, sen; 6502, 1 thread: far.",
    ]


def test_defaults_chosen_on_the_task_are_flagged_tuned_or_not() -> None:
    chosen = {"task": "mine", "defaults_chosen_on": ["mine"]}
    (board,) = boards_of([*folds(1.0, **chosen), tuned_record(2.0, **chosen), *folds(3.0, label="x", task="mine")])
    text = to_markdown([board])
    assert "| **dummy**† |" in text
    assert "| **dummy (tuned)**† |" in text
    assert "| **x** |" in text
    assert any(
        note.startswith("† rows of this task were used in choosing the model's defaults") for note in notes(board)
    )
    assert any("dummy†" in line for line in rendered(board, 100))
    rows = csv.DictReader(io.StringIO(to_csv([board])))
    assert {(r["model"], r["defaults_chosen_here"]) for r in rows} == {("dummy", "true"), ("x", "false")}
