from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import record, tuned_record
from toy_boards import MINE, boards_of, only, partial
from toy_boards import folds_of_mine as folds

from crystalbench.errors import DataError, UnknownNameError
from crystalbench.evaluation.leaderboard import OURS, PUBLISHED, Board, Entry, leaderboard, leaderboards
from crystalbench.evaluation.published import published
from crystalbench.results.frames import scores_frame
from crystalbench.results.record import Timings
from crystalbench.results.spec import ProtocolSpec


def ours(board: Board) -> list[Entry]:
    return [entry for entry in board.entries if entry.source == OURS]


def test_mean_and_population_deviation_over_the_folds() -> None:
    (entry,) = only(folds(1.0, 2.0, 4.0, 5.0, 8.0)).entries
    assert entry.scores["mae"].mean == pytest.approx(4.0)
    assert entry.scores["mae"].std == pytest.approx(np.sqrt((9 + 4 + 0 + 1 + 16) / 5))
    assert (entry.folds, entry.seeds, entry.protocol, entry.view) == (5, (1, 1), "default", "full")


def test_seeds_are_averaged_before_folds() -> None:
    # Fold 0 has three seeds and fold 1 has one: each fold counts once.
    records = [*folds(1.0, 10.0), record(2.0, task=MINE, seed=1), record(6.0, task=MINE, seed=2)]
    (entry,) = only(records).entries
    assert entry.scores["mae"].mean == pytest.approx((3.0 + 10.0) / 2)
    assert entry.scores["mae"].std == pytest.approx(3.5)
    assert (entry.folds, entry.seeds) == (2, (1, 3))


def test_seconds_and_parameters() -> None:
    records = [
        record(1.0, task=MINE, fold=0, seconds=Timings(featurise=9, fit=1.0, predict=9), n_parameters=10),
        record(1.0, task=MINE, fold=1, seconds=Timings(featurise=9, fit=4.0, predict=9), n_parameters=30),
    ]
    (entry,) = only(records).entries
    assert (entry.fit_seconds, entry.parameters) == (2.5, 30)
    assert only(folds(1.0, n_parameters=None)).entries[0].parameters is None


def test_scores_that_are_not_defined_on_every_fold_are_left_out() -> None:
    records = folds(1.0, 2.0)
    records[1] = record(task=MINE, fold=1, scores={"mae": 2.0, "rmse": 2.0, "r2": None, "max_error": 3.0})
    (entry,) = only(records).entries
    assert set(entry.scores) == {"mae", "rmse", "max_error"}
    assert "mae" not in only(folds(1.0, None)).entries[0].scores


def test_the_best_comes_first_and_the_undefined_last() -> None:
    records = [*folds(3.0, label="c"), *folds(1.0, label="a", seed=1), *folds(None, label="b"), *folds(2.0, label="d")]
    records = [r.model_copy(update={"spec": r.spec.model_copy(update={"model": r.label})}) for r in records]
    board = only(records)
    assert [entry.model for entry in board.entries] == ["a", "d", "c", "b"]
    higher = [
        record(task=MINE, model=label, label=label, metric="rocauc_true", kind="binary", scores={"rocauc_true": value})
        for label, value in (("low", 0.6), ("high", 0.9))
    ]
    assert [entry.model for entry in only(higher).entries] == ["high", "low"]


def test_the_main_metric_is_the_first() -> None:
    names = [m.name for m in only(folds(1.0, metric="rmse")).metrics]
    assert names == ["rmse", "mae", "r2", "max_error"]


def test_published_entries_are_ranked_among_ours() -> None:
    table = published("matbench_phonons", "mae")
    better = float(table["mean"].iloc[0]) - 1
    board = only(
        [
            *folds(*[better] * 5, task="matbench_phonons"),
            *folds(1e4, task="matbench_phonons", seed=0, label="x", model="x"),
        ]
    )
    assert (board.entries[0].source, board.entries[-1].source) == (OURS, OURS)
    foreign = [entry for entry in board.entries if entry.source == PUBLISHED]
    assert len(foreign) >= 10
    assert {e.model for e in foreign} <= set(table["algorithm"])
    assert len({e.model.removesuffix(" [history]") for e in foreign}) == len(foreign)
    first = next(e for e in foreign if e.model == table["algorithm"].iloc[0])
    assert first.scores["mae"].mean == pytest.approx(table["mean"].iloc[0])
    assert first.scores["mae"].std == pytest.approx(table["std"].iloc[0])
    assert (first.fit_seconds, first.parameters, first.folds) == (None, None, 5)


def test_partial_rows_have_a_separate_board_without_ranks_for_published_entries() -> None:
    whole = folds(1e4, task="matbench_phonons")
    part = folds(1e5, task="matbench_phonons", rows=partial(60), data="p" * 64)
    boards = boards_of([*part, *whole])
    assert [(b.rows, b.is_partial) for b in boards] == [(1265, False), (60, True)]
    assert [e.source for e in boards[1].entries[:2]] == [OURS, PUBLISHED]  # ours first, although it is the worst
    assert boards[0].entries[-1].source == OURS
    assert [len(ours(b)) for b in boards] == [1, 1]


def test_different_rows_of_the_same_number_have_a_separate_board() -> None:
    boards = boards_of([*folds(1.0, data="a" * 64), *folds(1.0, data="b" * 64)])
    assert len(boards) == 2


def test_boards_are_sorted_by_task() -> None:
    assert [b.task for b in boards_of([*folds(1.0, task="b"), *folds(1.0, task="a")])] == ["a", "b"]
    assert boards_of([]) == []


def test_configurations_with_the_same_label_get_distinct_names() -> None:
    records = [
        *folds(1.0, 1.0, parameters={"width": 64, "layers": 3}),
        *folds(2.0, 2.0, parameters={"width": 64, "layers": 2}),
        *folds(3.0, 3.0, parameters={"width": 32, "layers": 2}),
        *folds(4.0, parameters={"width": 64, "layers": 3}, protocol=ProtocolSpec(inner_folds=7)),
    ]
    names = [entry.model for entry in only(records).entries]
    assert len(set(names)) == 4
    assert names[1] == "dummy (inner_folds=5, width=64, layers=2)"
    assert names[3] == "dummy (inner_folds=7, width=64, layers=3)"


def test_versions_and_models_with_the_same_label_get_distinct_names() -> None:
    records = [
        *folds(1.0, model="a.py:Net"),
        *folds(2.0, model="b.py:Net"),
        *folds(3.0, model="b.py:Net", model_version=2),
    ]
    names = [entry.model for entry in only(records).entries]
    assert names == [
        "dummy (model=a.py:Net, version=1)",
        "dummy (model=b.py:Net, version=1)",
        "dummy (model=b.py:Net, version=2)",
    ]


def test_every_entry_has_a_unique_name() -> None:
    # A model in a file was edited, and run with two widths: width alone does not tell the first two apart.
    records = [
        *folds(1.0, model_code="1" * 64, parameters={"width": 1}),
        *folds(2.0, model_code="2" * 64, parameters={"width": 1}),
        *folds(3.0, model_code="2" * 64, parameters={"width": 2}),
        *folds(4.0, model_code="2" * 64, parameters={"width": 2}, view_version=2),
    ]
    names = [entry.model for entry in only(records).entries]
    assert len(set(names)) == 4


def test_views_and_tuned_runs_are_separate_entries_with_the_same_name() -> None:
    records = [
        *folds(1.0),
        *folds(2.0, view="anonymous"),
        *folds(3.0, tuning={"trials": 10}),
    ]
    lines = [(e.model, e.view, e.protocol) for e in only(records).entries]
    assert lines == [("dummy", "full", "default"), ("dummy", "anonymous", "default"), ("dummy", "full", "tuned")]


def test_the_board_does_not_depend_on_the_order_of_the_records() -> None:
    records = [
        *folds(1.0, 2.0, 3.0),
        *folds(2.0, 2.0, label="other", model="other"),
        *folds(1.5, parameters={"width": 1}),
        *folds(9.0, rows=partial(60), data="p" * 64),
    ]
    expected = boards_of(records)
    rng = np.random.default_rng(0)
    for _ in range(5):
        assert boards_of([records[i] for i in rng.permutation(len(records))]) == expected


def test_evaluation_and_reports_do_not_import_torch() -> None:
    program = (
        "import sys, crystalbench.evaluation.comparison, crystalbench.evaluation.leaderboard\n"
        "import crystalbench.evaluation.paired, crystalbench.results.loading\n"
        "import crystalbench.reports.files, crystalbench.reports.plots, crystalbench.reports.screen\n"
        "print([name for name in ('torch', 'lightgbm', 'matminer.featurizers') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"


# ---------------------------------------------------------------------- frames


def test_a_leaderboard_is_a_frame_with_a_row_per_entry_and_metric() -> None:
    records = [*folds(1.0, 2.0, n_parameters=None), *(tuned_record(f + 0.5, fold=f, task=MINE, best=0) for f in (0, 1))]
    frame = leaderboard(scores_frame([*records, *folds(1.0, task="other")]), MINE)
    assert set(frame["task"]) == {MINE}
    errors = frame[frame["metric"] == "mae"].set_index("protocol")
    assert errors["mean"].to_dict() == {"tuned": 1.0, "default": 1.5}
    assert errors.loc["tuned", "tuned_minus_default"] == -0.5
    assert errors.loc["tuned", "tuned_minus_default_by_fold"] == {0: -0.5, 1: -0.5}
    assert errors.loc["tuned", ["trials", "default_kept_on_folds"]].tolist() == [40, (0, 1)]
    assert errors.loc["default", ["trials", "parameters", "tuned_minus_default"]].isna().all()
    assert len(leaderboard(scores_frame([*records, *folds(1.0, task="other")]))) == len(frame) + 4
    assert leaderboard(scores_frame([])).empty


def test_a_frame_without_a_column_and_an_unknown_task_are_refused() -> None:
    scores = scores_frame(folds(1.0))
    with pytest.raises(DataError, match="the scores frame has no column view, fold; pass the frame `scores`"):
        leaderboards(scores.drop(columns=["view", "fold"]))
    with pytest.raises(UnknownNameError, match="Did you mean 'my_task'"):
        leaderboard(scores, "my_tusk")


def test_a_run_that_occurs_twice_counts_once() -> None:
    scores = scores_frame(folds(1.0, 2.0))
    assert leaderboards(pd.concat([scores, scores[:4], scores])) == leaderboards(scores)


# ---------------------------------------------------------------------- what entries say


def test_folds_on_which_a_metric_is_undefined_are_listed() -> None:
    records = [record(s, task=MINE, fold=f, seed=seed) for f, seed, s in ((0, 0, 1.0), (2, 0, None), (2, 1, 1.0))]
    (entry,) = only(records).entries
    assert entry.undefined == {"mae": (2,)}
    assert "mae" not in entry.scores


def test_runs_on_different_data_are_never_on_one_board() -> None:
    first, other = boards_of([*folds(1.0, data="a" * 64), *folds(2.0, data="b" * 64)])
    assert [(board.data[0], board.is_only) for board in (first, other)] == [("a", False), ("b", False)]
    assert [entry.scores["mae"].mean for board in (first, other) for entry in board.entries] == [1.0, 2.0]
    frame = leaderboard(scores_frame([*folds(1.0, data="a" * 64), *folds(2.0, data="b" * 64)]), MINE)
    assert frame[frame["metric"] == "mae"].groupby("data")["mean"].first().to_dict() == {"a" * 64: 1.0, "b" * 64: 2.0}
    assert [b.is_only for b in boards_of([*folds(1.0, data="a" * 64), *folds(2.0, rows=partial(60), data="b" * 64)])]


def test_how_the_seconds_were_measured() -> None:
    old = {"concurrent": None, "environment": {"python": "3.11"}}
    records = [*folds(1.0), *folds(2.0, label="b", model="b", concurrent=4), *folds(3.0, label="c", model="c", **old)]
    gpu = {"processor": "Z80", "gpu": "Voodoo"}
    records += folds(4.0, label="d", model="d", environment=gpu, threads=2)
    found = {e.model: (e.concurrent, set(e.hardware)) for e in only(records).entries}
    assert found == {
        "dummy": (1, {"Z80, 1 thread"}),
        "b": (4, {"Z80, 1 thread"}),
        "c": (None, set()),
        "d": (1, {"Voodoo, 2 threads"}),
    }


def test_entries_whose_defaults_were_chosen_on_the_task_are_marked() -> None:
    records = [*folds(1.0), *folds(2.0, label="b", model="b", defaults_chosen_on=[MINE, "other"])]
    records += [tuned_record(3.0, task=MINE, label="c", model="c", defaults_chosen_on=[MINE])]
    assert {e.model: e.defaults_chosen_here for e in only(records).entries} == {"dummy": False, "b": True, "c": True}


def test_runs_on_a_fraction_of_the_training_part_are_on_no_board() -> None:
    records = [*folds(3.0, 3.0), *folds(1.0, 1.0, train_fraction=0.5)]
    (entry,) = only(records).entries
    assert entry.scores["mae"].mean == 3.0
