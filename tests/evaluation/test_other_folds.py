"""Boards of runs on other folds than the official ones: scores are pooled over samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import record
from toy_boards import folds_of_mine as folds

from crystalbench.errors import ConfigError, DataError
from crystalbench.evaluation.comparison import compare
from crystalbench.evaluation.leaderboard import OURS, PUBLISHED, leaderboard, leaderboards
from crystalbench.evaluation.metrics import score
from crystalbench.results import Results
from crystalbench.results.frames import predictions_frame, scores_frame
from crystalbench.results.record import Record, RecordedPredictions, RowCounts, scores_for_json
from crystalbench.results.spec import FoldSchemeSpec

OXYGEN = FoldSchemeSpec(name="by_group", parameters={"k": 2})


def on_other_folds(fold: int, errors: list[float], **changes: Any) -> Record:
    """A record on a fold of other folds, with one test sample for each error."""
    ids = [f"{fold}-{i}" for i in range(len(errors))]
    made = RecordedPredictions(ids=ids, targets=list(map(float, range(len(errors)))), values=[
        i + error for i, error in enumerate(errors)
    ])  # fmt: skip
    scores = score("regression", made.targets, made.values)
    return record(
        fold=fold, fold_scheme=OXYGEN, data="o" * 64, predictions=made, scores=scores_for_json(scores),
        rows=RowCounts(train=80, valid=9, test=len(errors), task=100, task_total=100, task_folds=2),
        **{"task": "matbench_phonons", **changes},
    )  # fmt: skip


def test_scores_on_unequal_folds_are_pooled_over_samples() -> None:
    results = Results([on_other_folds(0, [1.0, 1.0, 1.0]), on_other_folds(1, [5.0])])
    (board,) = leaderboards(results.scores, results.predictions_on_other_folds)
    (entry,) = board.entries  # nothing published
    assert board.fold_scheme == "by_group:2"
    assert entry.scores["mae"].mean == pytest.approx(2.0)  # the mean over the folds is 3
    assert entry.scores["rmse"].mean == pytest.approx(np.sqrt(28 / 4))
    assert entry.scores["max_error"].mean == 5.0
    assert np.isnan(entry.scores["mae"].std)
    assert entry.scores["mae"].folds == {0: 1.0, 1: 5.0}
    pooled = score("regression", [0, 1, 2, 0], [1, 2, 3, 5])
    assert entry.scores["r2"].mean == pytest.approx(pooled["r2"])  # undefined on fold 1 alone
    assert not entry.undefined


def test_seeds_are_averaged_after_pooling_and_those_that_lack_folds_are_left_out() -> None:
    records = [
        *(on_other_folds(0, [a], seed=seed) for seed, a in enumerate((1.0, 2.0, 9.0))),
        *(on_other_folds(1, [a], seed=seed) for seed, a in enumerate((3.0, 4.0))),
    ]
    (board,) = leaderboards(scores_frame(records), predictions_frame(records))
    assert board.entries[0].scores["mae"].mean == pytest.approx((2.0 + 3.0) / 2)


def test_other_folds_never_share_a_board_with_the_official_ones() -> None:
    records = [*folds(1.0, 2.0, task="matbench_phonons"), on_other_folds(0, [1.0]), on_other_folds(1, [2.0])]
    official, other = leaderboards(scores_frame(records), predictions_frame(records))
    assert (official.is_official, other.is_official) == (True, False)
    assert (official.is_only, other.is_only) == (True, True)
    assert PUBLISHED in {entry.source for entry in official.entries}
    assert [entry.source for entry in other.entries] == [OURS]
    frame = leaderboard(scores_frame(records), predictions=predictions_frame(records))
    assert frame.groupby("fold_scheme")["source"].nunique().to_dict() == {"by_group:2": 1, "official": 2}
    with pytest.raises(DataError, match=r"on the folds by_group:2 are pooled over samples, and its predictions are"):
        leaderboards(scores_frame(records))


def test_differences_of_pooled_scores_are_those_of_the_same_folds() -> None:
    changes: dict[str, Any] = {"model": "mine", "label": "mine"}
    records = [on_other_folds(0, [4.0, 4.0, 4.0]), on_other_folds(1, [8.0])]
    mine = [on_other_folds(0, [1.0, 1.0, 1.0], **changes), on_other_folds(1, [5.0], **changes)]
    (board,) = leaderboards(scores_frame([*records, *mine]), predictions_frame([*records, *mine]))
    difference = board.minus_dummy(next(e for e in board.entries if e.model == "mine"))
    assert difference is not None
    assert difference.mean == pytest.approx(2.0 - 5.0)
    (board,) = leaderboards(scores_frame([*records, *mine[:1]]), predictions_frame([*records, *mine[:1]]))
    assert board.minus_dummy(next(e for e in board.entries if e.model == "mine")) is None


def test_a_comparison_takes_the_official_folds_only() -> None:
    records = [*folds(1.0, 2.0, task="matbench_phonons"), on_other_folds(0, [1.0])]
    both = compare(predictions_frame(records), "dummy", "dummy", "matbench_phonons")
    assert both.table["rows"].tolist() == [2, 2]  # those of the official folds
    with pytest.raises(ConfigError, match=r"official folds, which are random .* on the folds by_group:2"):
        compare(predictions_frame(records[2:]), "dummy", "dummy", "matbench_phonons")
