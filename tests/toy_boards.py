"""Boards made of records with given scores."""

from __future__ import annotations

from typing import Any

from helpers import record

from crystalbench.evaluation.leaderboard import Board, Entry, leaderboards
from crystalbench.results.frames import scores_frame
from crystalbench.results.record import Record, RowCounts

MINE = "my_task"
"""A task without published entries."""


def folds(*maes: float | None, **changes: Any) -> list[Record]:
    """Records of one configuration, one for each fold."""
    return [record(mae, fold=fold, **changes) for fold, mae in enumerate(maes)]


def folds_of_mine(*maes: float | None, **changes: Any) -> list[Record]:
    """Records of one configuration on the task `MINE`, unless another is named."""
    return folds(*maes, **{"task": MINE, **changes})


def partial(rows: int, total: int = 1265) -> RowCounts:
    """The numbers of rows of a run on a part of a task."""
    return RowCounts(train=rows // 2, valid=rows // 4, test=rows // 4, task=rows, task_total=total, task_folds=5)


def boards_of(records: list[Record]) -> list[Board]:
    """The boards of records."""
    return leaderboards(scores_frame(records))


def only(records: list[Record]) -> Board:
    """The only board of records."""
    (board,) = boards_of(records)
    return board


def entry_of(board: Board, name: str) -> Entry:
    """The entry with a name."""
    return next(entry for entry in board.entries if entry.model == name)
