"""Differences between entries: on common folds, from the dummy, and of tuned runs from those without tuning."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import record, tuned_record
from toy_boards import MINE, boards_of, entry_of, only, partial
from toy_boards import folds_of_mine as folds

from crystalbench.evaluation.leaderboard import PUBLISHED
from crystalbench.results.record import Record


def named(name: str, *maes: float | None, first: int = 0, **changes: Any) -> list[Record]:
    """Records of a model with this registered name, from a fold on."""
    return [
        record(mae, task=MINE, model=name, label=name, fold=fold, **changes) for fold, mae in enumerate(maes, first)
    ]


def test_an_entry_that_lacks_folds_is_compared_on_those_that_both_have() -> None:
    board = only([*named("dummy", 1.0, 2.0, 3.0, 9.0, 10.0), *named("cgcnn", 2.5, 3.5, first=1)])
    difference = board.minus_dummy(entry_of(board, "cgcnn"))
    assert difference is not None
    assert difference.folds == {1: 0.5, 2: 0.5}
    assert not board.is_better(difference)  # although its mean, 3.0, is below the dummy's of five folds, 5.0
    assert board.minus_dummy(entry_of(board, "dummy")) is None
    assert entry_of(board, "cgcnn").fold_numbers == (1, 2)


def test_no_entry_is_the_best_if_one_with_fewer_folds_is_better_on_its_folds() -> None:
    complete = [*named("dummy", *[9.0] * 5), *named("sen", 1.0, 2.0, 3.0, 4.0, 5.0)]
    board = only([*complete, *named("cgcnn", 1.5)])
    assert board.best(board.entries) is entry_of(board, "sen")
    board = only([*complete, *named("cgcnn", 4.5, first=4)])
    assert board.best(board.entries) is None
    assert only(named("cgcnn", 1.0)).best([]) is None


@pytest.mark.parametrize(("score", "better"), [(0.7, True), (0.5, False), (0.4, False)])
def test_higher_is_better_for_some_metrics(score: float, better: bool) -> None:
    kind = {"task": MINE, "metric": "rocauc_true", "kind": "binary"}
    board = only(
        [record(model=m, label=m, scores={"rocauc_true": s}, **kind) for m, s in (("dummy", 0.5), ("cgcnn", score))]
    )
    difference = board.minus_dummy(entry_of(board, "cgcnn"))
    assert difference is not None
    assert board.is_better(difference) is better


def test_the_published_dummy_stands_in_for_ours_on_boards_with_all_rows() -> None:
    whole = only(folds(400.0, task="matbench_phonons", model="cgcnn", label="cgcnn"))
    assert whole.dummy is not None
    assert (whole.dummy.model, whole.dummy.source) == ("Dummy", PUBLISHED)
    difference = whole.minus_dummy(entry_of(whole, "cgcnn"))
    assert difference is not None
    assert difference.folds == pytest.approx({0: 400 - 337.1003})
    assert entry_of(whole, "cgcnn").counterpart == "CGCNN v2019"
    part = only(folds(400.0, task="matbench_phonons", model="cgcnn", label="cgcnn", rows=partial(60)))
    assert part.dummy is None


def test_tuned_runs_are_compared_with_the_same_runs_without_tuning() -> None:
    default = [record(float(f), fold=f, seed=s) for f in (0, 1, 2) for s in (0, 1)]
    others = [record(99.0, fold=0, parameters={"width": 3}, label="dummy"), record(98.0, view="anonymous")]
    tuned = [tuned_record(f + 0.5 * s, fold=f, seed=s) for f in (1, 2, 3) for s in (0, 1)]
    (board,) = boards_of([*default, *others, *tuned])
    (entry,) = [e for e in board.entries if e.protocol == "tuned"]
    assert entry.gain["mae"].folds == {1: 0.25, 2: 0.25}
    assert (entry.gain["mae"].mean, entry.gain["mae"].std) == (0.25, 0.0)
    assert entry.gain["rmse"].folds == {1: 0.0, 2: 0.0}
    assert (entry.trials, entry.tuning_seconds) == (60, 36.0)  # the seeds of a fold share its study
    assert all(e.gain == {} for e in board.entries if e.protocol == "default")


def test_folds_on_which_tuning_kept_the_default_are_listed() -> None:
    tuned = [tuned_record(1.0, fold=f, best=0 if f in (0, 2) else 5) for f in range(3)]
    (board,) = boards_of([*(record(fold=f) for f in range(3)), *tuned])
    by_protocol = {e.protocol: e.kept for e in board.entries if e.source == "ours"}
    assert by_protocol == {"default": frozenset(), "tuned": {0, 2}}


def test_different_tuning_budgets_are_different_entries() -> None:
    (board,) = boards_of([record(), tuned_record(trials=10), tuned_record(trials=20)])
    names = {(e.model, e.protocol) for e in board.entries if e.source == "ours"}
    assert names == {("dummy", "default"), ("dummy (tuning_trials=10)", "tuned"), ("dummy (tuning_trials=20)", "tuned")}
