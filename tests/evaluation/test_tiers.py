"""Tiers, intervals of ranks and pairs of hand-made boards, and of the published scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import record

from crystalbench.evaluation.board import Board
from crystalbench.evaluation.board_frames import PAIR_COLUMNS, pairs_frame
from crystalbench.evaluation.leaderboard import leaderboard, leaderboards
from crystalbench.evaluation.significance import corrected_t_test, holm
from crystalbench.evaluation.tiers import Standing, _tiers
from crystalbench.results.frames import scores_frame
from crystalbench.results.record import Record, RowCounts

ROWS = RowCounts(train=800, valid=200, test=250, task=1250, task_total=1250, task_folds=5)
NOISE = np.array([0.1, -0.1, 0.2, 0.0, -0.2])


def runs(label: str, scores: Any, **changes: Any) -> list[Record]:
    """One run per fold."""
    plain = {"task": "mine", "label": label, "model": label, "rows": ROWS}
    return [record(float(mae), fold=fold, **{**plain, **changes}) for fold, mae in enumerate(scores)]


def board_of(*records: list[Record]) -> Board:
    (board,) = leaderboards(scores_frame([r for part in records for r in part]))
    return board


# Scores by fold that are known to be told apart or not: a difference of 5 with a deviation of about .2 is resolved,
# one of .05 is not.
BEST = runs("best", 10 + NOISE)
ALIKE = runs("alike", 10.05 - NOISE)
WORSE = runs("worse", 15 + NOISE[::-1])
WORST = runs("worst", 20 - NOISE[::-1])


def test_entries_that_cannot_be_told_apart_share_a_tier() -> None:
    board = board_of(WORST, ALIKE, BEST, WORSE)
    assert [entry.model for entry in board.entries] == ["best", "alike", "worse", "worst"]
    assert board.standings == [Standing(1, 1, 2), Standing(1, 1, 2), Standing(2, 3, 3), Standing(3, 4, 4)]


def test_pairs_are_corrected_t_tests_with_holm_over_the_board() -> None:
    found = board_of(WORST, ALIKE, BEST, WORSE).pairs
    scores = np.array([10 + NOISE, 10.05 - NOISE, 15 + NOISE[::-1], 20 - NOISE[::-1]])
    expected = [corrected_t_test(scores[i] - scores[j], 0.25) for i in range(4) for j in range(i + 1, 4)]
    assert found.test.mean == pytest.approx([float(test.mean) for test in expected])
    assert found.test.p == pytest.approx([float(test.p) for test in expected])
    assert found.p_holm == pytest.approx(holm([float(test.p) for test in expected]))
    assert list(zip(found.a.tolist(), found.b.tolist(), strict=True)) == [
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 2),
        (1, 3),
        (2, 3),
    ]


@pytest.mark.parametrize(
    ("worse", "tiers"),
    [
        ([(0, 2), (1, 2)], [1, 1, 2]),
        ([], [1, 1, 1]),
        ([(0, 1), (0, 2), (1, 2)], [1, 2, 3]),
        ([(0, 2)], [1, 1, 2]),  # the second cannot be told from the third either, but is compared with the best first
        ([(0, 1)], [1, 2, 1]),  # the third varies more: it cannot be told from the best
        ([(0, 1), (0, 2), (0, 3), (1, 3)], [1, 2, 2, 3]),
    ],
)
def test_tiers_of_relations_that_need_not_be_transitive(worse: list[tuple[int, int]], tiers: list[int]) -> None:
    n = len(tiers)
    p = np.ones((n, n))
    for better, other in worse:
        p[better, other] = p[other, better] = 1e-6
    assert _tiers(p) == tiers


def test_tiers_are_corrected_for_the_comparisons_with_the_best() -> None:
    p = np.array([[1.0, 0.9, 0.02, 0.02], [0.9, 1.0, 1.0, 1.0], [0.02, 1.0, 1.0, 1.0], [0.02, 1.0, 1.0, 1.0]])
    assert _tiers(p) == [1, 1, 1, 1]  # 0.02 times three comparisons
    assert _tiers(p / 2) == [1, 1, 2, 2]  # 0.01 times three, and twice the next


def test_higher_scores_come_first_where_they_are_better() -> None:
    def areas(label: str, values: Any) -> list[Record]:
        return [
            record(
                scores={"rocauc_true": float(v)}, kind="binary", metric="rocauc_true", task="mine", label=label, fold=f
            )
            for f, v in enumerate(values)
        ]

    board = board_of(areas("low", 0.5 + NOISE / 100), areas("high", 0.9 - NOISE / 100))
    assert [entry.model for entry in board.entries] == ["high", "low"]
    assert [standing.tier for standing in board.standings if standing] == [1, 2]


def test_entries_that_lack_folds_take_part_in_pairs_but_have_no_tier() -> None:
    board = board_of(BEST, WORSE, runs("part", [10.0, 10.2]), runs("one", [9.0]))
    assert dict(zip([e.model for e in board.entries], board.standings, strict=True)) == {
        "best": Standing(1, 1, 1),
        "worse": Standing(2, 2, 2),
        "part": None,
        "one": None,
    }
    frame = pairs_frame([board]).set_index(["a", "b"])
    assert frame.index.tolist() == [
        ("best", "worse"),
        ("best", "part"),
        ("worse", "part"),
    ]  # one common fold is not enough
    assert frame["folds"].tolist() == [5, 2, 2]
    assert frame["rows"].tolist() == [1250, 500, 500]


def test_seeds_are_counted_and_widen_the_interval() -> None:
    steady = board_of(BEST, runs("new", 11 + NOISE), runs("new", 11 + NOISE, seed=1))
    varied = board_of(BEST, runs("new", 9 + NOISE), runs("new", 13 + NOISE, seed=1))
    widths = []
    for board in (steady, varied):
        (row,) = pairs_frame([board]).to_dict("records")
        assert (row["seeds"], row["difference"]) == (1, pytest.approx(-1))
        widths.append(row["high"] - row["low"])
    assert widths[0] < 1e-12 < 1 < widths[1]


def test_the_columns_of_pairs() -> None:
    frame = pairs_frame([board_of(BEST, WORSE, runs("worse", 15.0 + NOISE, view="no_chemistry", tuning={"trials": 3}))])
    assert tuple(frame) == PAIR_COLUMNS == tuple(pairs_frame([]))
    assert frame["b"].tolist() == ["worse", "worse (tuned, no_chemistry)", "worse (tuned, no_chemistry)"]
    assert frame["resolved"].tolist() == [True, True, False]
    assert pairs_frame([board_of(BEST)]).empty


def test_tiers_are_columns_of_the_main_metric() -> None:
    frame = leaderboard(scores_frame([*BEST, *WORSE]), "mine")
    main = frame["metric"] == "mae"
    assert frame.loc[main, ["tier", "rank_low", "rank_high"]].to_numpy().tolist() == [[1, 1, 1], [2, 2, 2]]
    assert frame.loc[~main, ["tier", "rank_low", "rank_high"]].isna().all(axis=None)


def test_published_entries_are_tested_on_complete_boards_only() -> None:
    complete = board_of(runs("ours", 100 + NOISE, task="matbench_phonons", rows=record().rows))
    frame = pairs_frame([complete]).set_index(["a", "b"])
    row = frame.loc[("coNGN", "ALIGNN")]
    assert row["p_corrected"] == pytest.approx(0.79, abs=0.005)
    assert row["difference"] == pytest.approx(-0.651, abs=1e-3)
    assert not row["resolved"]
    assert frame.loc[("ours", "Dummy"), "resolved"]
    part = RowCounts(train=400, valid=100, test=125, task=625, task_total=1265, task_folds=5)
    partial = board_of(runs("ours", 100 + NOISE, task="matbench_phonons", rows=part))
    assert pairs_frame([partial]).empty
    assert [s for s in partial.standings if s] == [Standing(1, 1, 1)]
