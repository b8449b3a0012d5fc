"""The benchmark of the report: its records make a leaderboard."""

from __future__ import annotations

from benchmarks.speed.records import generated
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.results import Results


def test_generated_records_are_of_several_models_tasks_folds_and_seeds() -> None:
    results = Results(list(generated(100, rows=25)))
    assert len(results) == 100
    boards = leaderboards(results.scores)
    assert [board.task for board in boards] == ["generated_0", "generated_1"]
    for board in boards:
        assert [entry.model for entry in board.entries] == ["model_1", "dummy"]
        assert {entry.seeds for entry in board.entries} == {(5, 5)}
        assert all(board.is_ranked(entry) for entry in board.entries)
        assert board.has_tiers
