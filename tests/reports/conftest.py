"""Boards to report."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import record
from toy_boards import boards_of, folds

from crystalbench.evaluation.leaderboard import Board
from crystalbench.results.record import Record, RowCounts
from crystalbench.targets import METRICS

PART = RowCounts(train=30, valid=10, test=20, task=60, task_total=1265, task_folds=1)


def classification(task: str = "matbench_mp_is_metal", **changes: Any) -> list[Record]:
    scores = {name: 0.9 for name, metric in METRICS.items() if "binary" in metric.kinds}
    rows = RowCounts(train=60000, valid=24000, test=22113, task=106113, task_total=106113, task_folds=5)
    plain = {"metric": "rocauc", "kind": "binary", "unit": "", "rows": rows, "scores": scores}
    return [record(task=task, fold=fold, **{**plain, **changes}) for fold in range(5)]


@pytest.fixture
def boards() -> list[Board]:
    """A complete board, a partial one, a classification, and names that need care."""
    long_name = "a_model_with_quite_a_long_name_and_more (wide|deep)"
    return boards_of(
        [
            *folds(28.5, 30.25, 29.0, 31.0, 27.75),
            *folds(40.0, 41.0, model="x", label=long_name),
            *folds(35.0, view="anonymous"),
            *folds(33.0, rows=PART, data="p" * 64),
            *classification(),
        ]
    )
