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
from crystalbench.evaluation.across import average_ranks, normalised_scores
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
