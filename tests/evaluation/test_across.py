"""Across tasks: normalised scores, and average ranks against values computed by hand and by scipy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import record
from scipy import stats

from crystalbench.errors import DataError
from crystalbench.evaluation.across import COLUMNS, across_frame, average_ranks, groups_across, normalised_scores
from crystalbench.evaluation.board import Board
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.results.frames import scores_frame
from crystalbench.results.record import Record


def runs(task: str, label: str, *scores: float, metric: str = "mae", kind: str = "regression") -> list[Record]:
    return [
        record(scores={metric: value}, metric=metric, kind=kind, task=task, label=label, model=label, fold=fold)
        for fold, value in enumerate(scores)
    ]


def boards_of(*records: list[Record]) -> list[Board]:
    return leaderboards(scores_frame([r for part in records for r in part]))


def test_scores_are_shares_of_the_error_of_the_dummy() -> None:
    area: dict[str, Any] = {"metric": "rocauc_true", "kind": "binary"}
    boards = boards_of(
        runs("lengths", "dummy", 4, 4, 4, 4, 4),
        runs("lengths", "new", 1, 1, 1, 1, 6),
        runs("lengths", "part", 1, 1),
        runs("metals", "dummy", *[0.5] * 5, **area),
        runs("metals", "new", *[0.8] * 5, **area),
    )
    found = normalised_scores(boards)
    assert found.index.tolist() == ["lengths", "metals"]
    assert found["new"].tolist() == pytest.approx([0.5, 1 - (2 * 0.8 - 1)])
    assert found["dummy"].tolist() == [1, 1]
    assert "part" not in found  # it lacks folds


def test_the_error_of_the_dummy_is_the_mean_absolute_deviation() -> None:
    """The published dummy of matbench_phonons predicts the training mean; the targets' deviation is 323.787 cm⁻¹."""
    (board,) = boards_of(runs("matbench_phonons", "new", *[32.3787] * 5))
    assert normalised_scores([board])["new"].iloc[0] == pytest.approx(0.1, rel=1e-3)


def test_boards_that_cannot_be_normalised_are_refused() -> None:
    (board,) = boards_of(runs("lengths", "new", 1, 1, 1, 1, 1))
    with pytest.raises(DataError, match=r"lengths: has no dummy.*run the model dummy first"):
        normalised_scores([board])
    with pytest.raises(DataError, match="lengths: there are several boards"):
        normalised_scores([board, board])
    (board,) = boards_of(runs("lengths", "dummy", *[0.0] * 5))
    with pytest.raises(DataError, match="lengths: the dummy has no error"):
        normalised_scores([board])


def test_average_ranks_and_the_critical_difference() -> None:
    """Demšar (2006), table 5: q = 2.569 for four entries at the 5 % level; ties share the mean of their ranks."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal([0, 0.5, 1, 1.5], size=(14, 4)), columns=list("abcd")).assign(
        e=[np.nan, *[0.0] * 13]
    )
    found = average_ranks(frame)
    assert found.critical_difference == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 14)), abs=1e-3)
    assert sorted(found.ranks.index) == list("abcd")  # e has no score on one task
    assert found.ranks.is_monotonic_increasing
    assert found.ranks.mean() == 2.5
    assert found.p == pytest.approx(stats.friedmanchisquare(*(frame[name] for name in "abcd")).pvalue)
    tied = average_ranks(pd.DataFrame({"a": [1.0, 1.0], "b": [1.0, 2.0]}))
    assert tied.ranks.to_dict() == {"a": 1.25, "b": 1.75}
    assert math.isnan(tied.p)
    with pytest.raises(DataError, match=r"need two tasks and two entries .* there are 1 and 2"):
        average_ranks(pd.DataFrame({"a": [1.0], "b": [1.0]}))


def several(task: str, **scores: float) -> list[Record]:
    return [r for label, score in scores.items() for r in runs(task, label, *(score + 0.01 * i for i in range(5)))]


def test_entries_are_ranked_on_the_tasks_that_all_of_them_have() -> None:
    boards = boards_of(
        several("x", dummy=10, a=1, b=2, c=3),
        several("y", dummy=10, a=1, b=2, c=0.5),
        several("z", dummy=10, a=2, b=1, once=3),
        several("lone", b=1),  # without a dummy
        runs("x", "part", 0.1, 0.1),  # it lacks folds
    )
    groups, left_out = groups_across(boards)
    assert [group.tasks for group in groups] == [["x", "y", "z"], ["x", "y"]]
    everywhere, two = groups
    assert everywhere.ranks is not None
    assert everywhere.ranks.ranks.to_dict() == pytest.approx({"a": 4 / 3, "b": 5 / 3})
    assert set(two.scores.index) == {"a", "b", "c", "dummy"}  # entries with more tasks as well
    assert two.ranks is not None
    assert "dummy" not in two.ranks.ranks
    assert two.scores.index[-1] == "dummy"
    assert "has no dummy" in left_out.pop("lone")
    assert left_out == {"once": "is ranked on one task only"}


def test_the_frame_has_a_row_for_each_group_and_entry() -> None:
    boards = boards_of(several("x", dummy=10, a=1, b=2), several("y", dummy=20, a=4, b=4.001))
    frame = across_frame(groups_across(boards)[0]).set_index("model")
    assert tuple(frame.reset_index().columns[:1]) == ("model",)
    assert set(COLUMNS) == {"model", *frame.columns}
    assert frame["normalised"].tolist() == pytest.approx([(1.02 / 10.02 + 4.02 / 20.02) / 2, 0.2, 1.0], abs=2e-3)
    assert frame["average_rank"].tolist()[:2] == [1, 2]
    assert math.isnan(frame.loc["dummy", "average_rank"])
    assert frame["tasks"].tolist() == [2, 2, 2]
    assert frame["top_tier"].to_dict() == {"a": 2, "b": 0, "dummy": 0}  # the differences do not vary between folds
    assert frame["tested"].tolist() == [2, 2, 2]
    assert frame["task_names"].unique().tolist() == ["x y"]
    assert across_frame([]).columns.tolist() == list(COLUMNS)


def test_refused_entries_and_boards_of_other_folds_are_left_out() -> None:
    boards = boards_of(
        several("x", dummy=10, a=1, b=2),
        several("y", dummy=10, a=1, b=2),
        runs("matbench_log_kvrh", "dummy", *[0.3] * 5),
        [r.model_copy(update={"pretrained_on": ["logK_MP_2019"]}) for r in runs("matbench_log_kvrh", "a", *[0.1] * 5)],
    )
    assert any(entry.refused for board in boards for entry in board.entries if entry.model == "a")
    (group,), _ = groups_across(boards)
    assert group.tasks == ["x", "y"]
