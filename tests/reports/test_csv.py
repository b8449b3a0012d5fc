"""The files of leaderboards: the content of the CSV file, and that all of them are written."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from toy_boards import boards_of, folds

from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.leaderboard import Board
from crystalbench.reports.csv import COLUMNS, across_to_csv, pairs_to_csv, to_csv
from crystalbench.reports.files import write_leaderboards
from crystalbench.reports.markdown import to_markdown


def test_the_columns_of_the_csv_file() -> None:
    header = "task,model,protocol,view,metric,mean,std,folds,rows,rows_total,fit_seconds,parameters,source"
    header += ",trials,tuning_seconds,tuned_minus_default,tuned_minus_default_std,tuned_minus_default_by_fold"
    header += ",default_kept_on_folds,data,fold_numbers,minus_dummy,concurrent,hardware,defaults_chosen_here"
    header += ",tier,rank_low,rank_high,sees,pretrained_on,refused,flagged,note,fold_scheme"
    header += ",featurise_seconds,predict_seconds,memory_mb,device,pareto"
    assert to_csv([]) == header + "\n"


def test_a_row_of_the_csv_file() -> None:
    (board,) = boards_of(folds(1.0, 2.0, 6.0, task="mine"))
    lines = to_csv([board]).splitlines()
    start = "mine,dummy,default,full,mae,3,2.1602469,3,1265,1265,2.00,1,ours,,,,,,"
    assert lines[1] == f'{start},{"d" * 64},0 1 2,,1,"Z80, 1 thread",false,,,,nothing,,,,,official,0.50,0.10,100,cpu,'
    assert [line.split(",")[4] for line in lines[1:]] == ["mae", "rmse", "r2", "max_error"]


def test_every_defined_score_is_in_the_csv_file_and_no_other(boards: list[Board]) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(boards))))
    expected = [
        (board.task, str(board.rows if entry.source == "ours" else board.rows_total), entry.model, metric.name)
        for board in boards
        for entry in board.entries
        for metric in board.metrics
        if metric.name in entry.scores
    ]
    assert [(r["task"], r["rows"], r["model"], r["metric"]) for r in rows] == expected
    for row in rows:
        may_be_empty = ("fit_seconds", "parameters", *COLUMNS[COLUMNS.index("source") + 1 :])
        assert all(row[name] for name in row if name not in may_be_empty)
        assert (row["fit_seconds"] == "") == (row["source"] == "published")
        float(row["mean"]), float(row["std"])


def test_files_are_written_atomically_and_replaced(tmp_path: Path, boards: list[Board]) -> None:
    folder = tmp_path / "new" / "folder"
    for made in (boards, boards[:1]):
        paths = write_leaderboards(made, folder)
        names = ["leaderboard.csv", "leaderboard.md", "pairs.csv", "across.csv"]
        assert [path.name for path in paths] == names
        assert paths[0].read_text(encoding="utf-8") == to_csv(made)
        assert paths[1].read_text(encoding="utf-8") == to_markdown(made)
        assert paths[2].read_text(encoding="utf-8") == pairs_to_csv(made)
        assert paths[3].read_text(encoding="utf-8") == across_to_csv(made)
        assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(CrystalBenchError, match="the leaderboard cannot be written"):
        write_leaderboards([], tmp_path / "results")
