from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import record, tuned_record

from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.evaluation.comparison import compare
from crystalbench.evaluation.leaderboard import OURS, PUBLISHED, Board, Entry, leaderboard, leaderboards
from crystalbench.evaluation.metrics import score
from crystalbench.evaluation.published import published
from crystalbench.results import Results
from crystalbench.results.frames import predictions_frame, scores_frame
from crystalbench.results.record import Record, RecordedPredictions, RowCounts, Timings, scores_for_json
from crystalbench.results.spec import FoldSchemeSpec, ProtocolSpec

MINE = "my_task"


def folds(*maes: float | None, task: str = MINE, **changes: Any) -> list[Record]:
    """Records of one configuration, one for each fold."""
    return [record(mae, task=task, fold=fold, **changes) for fold, mae in enumerate(maes)]


def boards_of(records: list[Record]) -> list[Board]:
    return leaderboards(scores_frame(records))


def only(records: list[Record]) -> Board:
    (board,) = boards_of(records)
    return board


def ours(board: Board) -> list[Entry]:
    return [entry for entry in board.entries if entry.source == OURS]


def partial(rows: int, total: int = 1265) -> RowCounts:
    return RowCounts(train=rows // 2, valid=rows // 4, test=rows // 4, task=rows, task_total=total, task_folds=5)


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


# ---------------------------------------------------------------------- tuned runs


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


# ---------------------------------------------------------------------- folds that both have


def named(name: str, *maes: float | None, first: int = 0, **changes: Any) -> list[Record]:
    """Records of a model with this registered name, from a fold on."""
    return [
        record(mae, task=MINE, model=name, label=name, fold=fold, **changes) for fold, mae in enumerate(maes, first)
    ]


def entry_of(board: Board, name: str) -> Entry:
    return next(entry for entry in board.entries if entry.model == name)


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


# ---------------------------------------------------------------------- other folds

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


def test_runs_on_a_fraction_of_the_training_part_are_on_no_board() -> None:
    records = [*folds(3.0, 3.0), *folds(1.0, 1.0, train_fraction=0.5)]
    (entry,) = only(records).entries
    assert entry.scores["mae"].mean == 3.0
