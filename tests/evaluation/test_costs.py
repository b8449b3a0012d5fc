"""Costs of entries and Pareto-optimal entries against small cases decided by hand."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from helpers import record

from crystalbench.evaluation.board import Board
from crystalbench.evaluation.costs import COLUMNS, costs_frame, is_comparable, pareto_optimal
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.reports.timing import timing_notes
from crystalbench.results.frames import scores_frame
from crystalbench.results.record import Record, Timings


def runs(label: str, mae: float, fit: float, folds: int = 5, **changes: Any) -> list[Record]:
    return [
        record(
            mae,
            task=changes.get("task", "mine"),
            label=label,
            model=label,
            fold=fold,
            seconds=Timings(featurise=7.0, fit=fit + fold - 2, predict=0.1 * (fold + 1)),
            **{name: value for name, value in changes.items() if name != "task"},
        )
        for fold in range(folds)
    ]


def board_of(*records: list[Record]) -> Board:
    (board,) = leaderboards(scores_frame([r for part in records for r in part]))
    return board


def test_costs_are_means_over_the_runs_and_the_largest_memory() -> None:
    made = runs("slow", 1.0, 100.0, peak_memory_mb=250.0, n_parameters=12)
    made[3] = made[3].model_copy(update={"peak_memory_mb": 900.0})
    frame = costs_frame(board_of(made, runs("fast", 2.0, 10.0, device="cuda", concurrent=2)))
    assert list(frame.columns) == list(COLUMNS)
    assert frame["model"].tolist() == ["slow", "fast"]  # as on the board
    slow = frame.iloc[0]
    assert slow[["featurise_seconds", "fit_seconds", "memory_mb"]].tolist() == [7, 100, 900]
    assert slow["predict_seconds"] == pytest.approx(0.3)
    assert slow[["parameters", "device", "hardware", "concurrent"]].tolist() == [12, "cpu", "Z80, 1 thread", 1]
    assert frame["comparable"].tolist() == [True, False]


def test_published_entries_have_no_costs() -> None:
    board = board_of(runs("new", 30.0, 5.0, task="matbench_phonons"))
    assert costs_frame(board)["model"].tolist() == ["new"]
    known = {entry.model: optimal for entry, optimal in zip(board.entries, pareto_optimal(board), strict=True)}
    assert known["new"] is True
    assert known["coNGN"] is None


def test_no_other_entry_is_better_in_both_than_a_pareto_optimal_one() -> None:
    board = board_of(
        runs("best", 1.0, 50.0),
        runs("dominated", 2.0, 60.0),
        runs("cheap", 3.0, 10.0),
        runs("as good but slower", 3.0, 20.0),
        runs("part", 0.5, 5.0, folds=2),
        runs("dummy", 9.0, 2.0),
    )
    found = {entry.model: optimal for entry, optimal in zip(board.entries, pareto_optimal(board), strict=True)}
    assert found == {
        "best": True,
        "dominated": False,
        "cheap": True,
        "as good but slower": False,
        "part": None,  # it is not ranked
        "dummy": False,
    }


def test_higher_scores_are_better_where_the_metric_says_so() -> None:
    area: dict[str, Any] = {"metric": "rocauc_true", "kind": "binary"}
    board = board_of(
        runs("good", 0.0, 20.0, scores={"rocauc_true": 0.9}, **area),
        runs("worse", 0.0, 30.0, scores={"rocauc_true": 0.8}, **area),
    )
    assert pareto_optimal(board) == [True, False]


def test_seconds_on_other_hardware_are_not_comparable() -> None:
    other = runs("other", 1.0, 5.0, environment={"processor": "6502"})
    board = board_of(runs("a", 2.0, 5.0), runs("b", 3.0, 5.0), other)
    assert {e.model: is_comparable(board, e) for e in board.entries} == {"other": False, "a": True, "b": True}


def test_seconds_of_fits_that_waited_for_a_processor_are_not_comparable() -> None:
    made = {"a": None, "b": 0.2, "c": 4.0}
    timings = {name: Timings(featurise=0.5, fit=5.0, predict=0.1, fit_waited=waited) for name, waited in made.items()}
    board = board_of(
        [record(1.0, task="mine", label=name, model=name, seconds=times) for name, times in timings.items()]
    )
    assert {e.model: is_comparable(board, e) for e in board.entries if e.costs} == {"a": True, "b": True, "c": False}
    assert {e.model: e.costs.waited for e in board.entries if e.costs} == {"a": None, "b": 0.04, "c": 0.8}
    assert any("80% of a fit was spent waiting for a processor" in note for note in timing_notes(board))


def test_equal_entries_are_both_pareto_optimal() -> None:
    frame = costs_frame(board_of(runs("a", 1.0, 5.0), runs("b", 1.0, 5.0)))
    assert frame["pareto"].tolist() == [True, True]
    assert isinstance(frame["pareto"].dtype, pd.BooleanDtype)
