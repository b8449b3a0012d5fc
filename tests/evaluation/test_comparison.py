"""Comparisons: the test is the published one, rows are paired by id, and nothing that cannot be compared passes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, record

from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.evaluation.comparison import Comparison, compare, compare_on_board
from crystalbench.evaluation.leaderboard import leaderboard, leaderboards
from crystalbench.results import load_results
from crystalbench.results.frames import predictions_frame, scores_frame
from crystalbench.results.record import Record, RecordedPredictions, RowCounts

TASK = "lengths"
ROWS = RowCounts(train=6, valid=2, test=2, task=10, task_total=10, task_folds=5)


def run(label: str, fold: int, error: float, ids: tuple[str, ...] = ("a", "b"), **changes: Any) -> Record:
    """A run whose predictions of one fold are all off by this error."""
    names = [f"{fold}{i}" for i in ids]
    targets = [10.0 * fold + ord(i) for i in ids]
    made = RecordedPredictions(ids=names, targets=targets, values=[y + error for y in targets])
    plain = {"task": TASK, "label": label, "model": label, "rows": ROWS, "unit": "m", "predictions": made}
    return record(fold=fold, **{**plain, **changes})


def runs(label: str, *errors: float, **changes: Any) -> list[Record]:
    return [run(label, fold, error, **changes) for fold, error in enumerate(errors)]


def compared(records: list[Record], a: str = "new", b: str = "old", **options: Any) -> Comparison:
    return compare(predictions_frame(records), a, b, TASK, **options)


OLD = runs("old", 10.0, 10.0, 10.0, 10.0, 10.0)
NEW = runs("new", 11.0, 12.0, 13.0, 14.0, 15.0)


# ---------------------------------------------------------------------- the test


def test_a_comparison_computed_by_hand() -> None:
    # d = 1 ... 5: mean 3, sample variance 5/2. Each fold tests 2 of 10 rows: n_test / n_train = 1/4. So the squared
    # error of the mean is (1/5 + 1/4) 5/2 = 9/8, and t = 3 / sqrt(9/8) = sqrt(8). With 4 degrees of freedom,
    # P(|T| < t) = sin(h) (1 + cos(h)^2 / 2) with tan(h) = t / 2: here cos(h)^2 = 1/3, so P = sqrt(2/3) 7/6.
    found = compared([*OLD, *NEW])
    assert found.mean == pytest.approx(3)
    assert found.p == pytest.approx(1 - math.sqrt(2 / 3) * 7 / 6)
    assert (found.low, found.high) == pytest.approx(
        (3 - 2.7764451 * math.sqrt(9 / 8), 3 + 2.7764451 * math.sqrt(9 / 8))
    )
    assert found.resolved
    assert found.better == "old"
    assert found.table["difference"].tolist() == pytest.approx([1, 2, 3, 4, 5])
    assert found.table[["rows", "seeds_a", "seeds_b"]].to_numpy().tolist() == [[2, 1, 1]] * 5
    assert found.table.index.tolist() == [0, 1, 2, 3, 4]
    assert str(found) == (
        "new − old on lengths: +3.00 m MAE [0.1, 5.9], corrected paired t-test over 5 folds × 1 seed, p = 0.047: "
        "resolved, old is better"
    )


def test_the_difference_changes_its_sign_with_the_order() -> None:
    one, other = compared([*OLD, *NEW]), compared([*OLD, *NEW], "old", "new")
    assert (other.mean, other.low, other.high, other.p) == pytest.approx((-one.mean, -one.high, -one.low, one.p))
    assert other.better == one.better
    assert "old − new on lengths: −3.00 m MAE [−5.9, −0.1]" in str(other)


def test_identical_entries_do_not_differ() -> None:
    for found in (compared(OLD, "old", "old"), compared([*OLD, *runs("new", *[10.0] * 5)])):
        assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)
        assert not found.resolved
        assert found.better is None
        assert str(found).endswith("p = 1: not resolved")


# ---------------------------------------------------------------------- rows, folds, seeds


def test_seeds_are_averaged_within_a_fold_first() -> None:
    more = [run("new", 0, 21.0, seed=1), run("new", 0, 31.0, seed=2)]  # fold 0: 11, 21, 31
    found = compared([*OLD, *NEW, *more])
    assert found.table["a"].tolist() == pytest.approx([21, 12, 13, 14, 15])
    assert found.table["seeds_a"].tolist() == [3, 1, 1, 1, 1]
    assert "5 folds × 1–3 and 1 seeds" in str(found)
    twice = [*runs("new", *range(5), seed=1), *runs("old", *range(5), seed=1)]
    assert "5 folds × 2 seeds" in str(compared([*OLD, *NEW, *twice]))


def test_only_common_folds_and_ids_count() -> None:
    part = [run("new", 1, 1.0, ids=("b", "a", "x")), run("new", 3, 2.0, ids=("b",)), run("new", 4, 5.0, ids=("z",))]
    found = compared([*OLD, *part])
    assert found.table.index.tolist() == [1, 3]  # of fold 4, no row is common
    assert found.table["rows"].tolist() == [2, 1]
    assert found.table["difference"].tolist() == pytest.approx([-9, -8])


def test_rows_are_paired_by_id_not_by_position() -> None:
    turned = [run("new", fold, 1.0, ids=("b", "a")) for fold in range(5)]
    assert compared([*OLD, *turned]).mean == pytest.approx(-9)


@pytest.mark.parametrize(("folds", "having"), [((), "none"), ((3,), "fold 3")])
def test_fewer_than_two_common_folds_are_refused(folds: tuple[int, ...], having: str) -> None:
    others = [run("new", fold, 1.0) for fold in folds] or [run("new", 7, 1.0)]
    with pytest.raises(DataError, match=rf"new and old on lengths: .* at least two folds .* there is {having}"):
        compared([*OLD, *others])


def test_other_targets_or_folds_of_a_row_are_refused_with_its_id() -> None:
    frame = predictions_frame([*OLD, *NEW])
    mine = (frame["model"] == "new") & (frame["id"] == "2b")
    with pytest.raises(DataError, match="the target of 2b is 0 in one and 118 in the other"):
        compare(frame.assign(target=frame["target"].where(~mine, 0.0)), "new", "old", TASK)
    with pytest.raises(DataError, match="the fold of 2b is 4 in one and 2 in the other"):
        compare(frame.assign(fold=frame["fold"].where(~mine, 4)), "new", "old", TASK)


def test_the_same_record_twice_is_refused() -> None:
    frame = predictions_frame([*OLD, *NEW])
    with pytest.raises(DataError, match="0a is predicted twice"):
        compare(pd.concat([frame, frame]), "new", "old", TASK)


# ---------------------------------------------------------------------- names and metrics


def test_entries_are_named_as_in_tables_or_by_their_configuration() -> None:
    others = [
        *runs("old", *range(5), tuning={"trials": 3}),
        *runs("old", *range(1, 6), view="anonymous"),
        *runs("old", *range(2, 7), view="anonymous", tuning={"trials": 3}),
    ]
    for name, first in (("old (tuned)", 0), ("old (anonymous)", 1), ("old (tuned, anonymous)", 2), ("old", 10)):
        found = compared([*OLD, *NEW, *others], "new", name)
        assert (found.b, found.table["b"].iloc[0]) == (name, pytest.approx(first))
    configuration = predictions_frame(others)["configuration"].iloc[0]
    assert compared([*OLD, *NEW, *others], "new", configuration[:10]).b == "old (tuned)"


def test_a_name_of_several_configurations_is_refused_with_their_configurations() -> None:
    records = [*OLD, *NEW, *runs("old", *range(5), parameters={"width": 1})]
    frame = predictions_frame(records)
    known = frame.loc[frame["model"] == "old", "configuration"].str[:8].unique()
    with pytest.raises(ConfigError, match=f"'old' has 2 configurations .*: {', '.join(known)}"):
        compare(frame, "new", "old", TASK)
    assert compare(frame, "new", f"old {known[1]}", TASK).table["b"].tolist() == pytest.approx([0, 1, 2, 3, 4])


def test_errors_about_unknown_names_list_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'new'"):
        compared([*OLD, *NEW], "newt")
    with pytest.raises(UnknownNameError, match="Did you mean 'lengths'"):
        compare(predictions_frame(OLD), "old", "old", "length")
    with pytest.raises(UnknownNameError, match="Unknown metric 'mea'"):
        compared([*OLD, *NEW], metric="mea")
    with pytest.raises(ConfigError, match="f1 is not a metric of regression targets, which have mae, rmse"):
        compared([*OLD, *NEW], metric="f1")
    with pytest.raises(DataError, match="the predictions frame has no column configuration, main_metric; pass"):
        compare(predictions_frame(OLD).drop(columns=["configuration", "main_metric"]), "old", "old", TASK)


def test_other_metrics_and_kinds_of_target() -> None:
    assert compared([*OLD, *NEW], metric="rmse").metric.label == "RMSE"
    with pytest.raises(DataError, match="r2 is undefined on fold 3; choose another metric"):
        compared(
            [*OLD, *[run("new", fold, 1.0, ids=("a",) if fold == 3 else ("a", "b")) for fold in range(5)]], metric="r2"
        )

    def classes(label: str, values: list[Any], kind: str, metric: str) -> list[Record]:
        made = [RecordedPredictions(ids=[f"{f}a", f"{f}b"], targets=[0, 1], values=values) for f in range(3)]
        return [
            record(
                task=TASK, label=label, model=label, kind=kind, metric=metric, unit="", fold=f, rows=ROWS, predictions=p
            )
            for f, p in enumerate(made)
        ]

    binary = [*classes("new", [0.1, 0.9], "binary", "accuracy"), *classes("old", [0.9, 0.9], "binary", "accuracy")]
    found = compared(binary)
    assert (found.mean, found.better) == (0.5, "new")
    assert "+0.500" in str(found)
    three = [
        *classes("new", [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2]], "multiclass", "accuracy"),
        *classes("old", [[0.2, 0.6, 0.2], [0.2, 0.6, 0.2]], "multiclass", "accuracy"),
    ]
    assert compared(three).table["difference"].tolist() == [0.5, 0.5, 0.5]


def test_scores_of_the_committed_records_are_those_of_the_leaderboard() -> None:
    results = load_results(ROOT / "results").select(task="matbench_jdft2d", protocol="default")
    board = leaderboard(results.scores)
    means = board[board["metric"] == "mae"].set_index("model")["mean"]
    found = compare(results.predictions, "hybrid", "cgcnn", "matbench_jdft2d")
    assert found.table[["a", "b"]].mean().tolist() == pytest.approx([means["hybrid"], means["cgcnn"]])
    assert found.mean == pytest.approx(means["hybrid"] - means["cgcnn"])
    assert found.low < found.mean < found.high
    assert len(found.table) == 5


def test_the_same_rows_of_different_data_are_not_compared() -> None:
    changed = runs("new", *[1.0] * 5, data="e" * 64)
    with pytest.raises(
        DataError, match=r"new and old on lengths: they predicted the same rows of different data \(eee"
    ):
        compared([*OLD, *changed])
    fewer = [r for fold in range(5) for r in [run("new", fold, 1.0, ids=("a",), data="e" * 64)]]
    assert compared([*OLD, *fewer]).table["rows"].tolist() == [1] * 5  # a partial task is compared on common rows


def test_configurations_on_different_data_are_told_apart_by_it() -> None:
    both = [*OLD, *runs("new", *[1.0] * 5), *runs("new", *[1.0] * 5, data="e" * 64)]
    with pytest.raises(ConfigError, match=r"'new' has 2 configurations here.* \(data dddddddd\).* \(data eeeeeeee\)"):
        compared(both)


# ---------------------------------------------------------------------- seeds, practical equivalence, rows


def test_the_variance_between_seeds_is_reported_and_used() -> None:
    # Fold means 11 ... 15 of two seeds that are 2 apart: s_seed = sqrt(2), one half of which is in a mean of two.
    found = compared([*OLD, *runs("new", *range(10, 15)), *runs("new", *range(12, 17), seed=1)])
    assert found.mean == pytest.approx(3)
    assert found.seed_std_a == pytest.approx(math.sqrt(2))
    assert math.isnan(found.seed_std_b)
    assert found.error == pytest.approx(math.sqrt((1 / 5 + 1 / 4) * 5 / 2))  # the folds vary more than seeds explain
    steady = compared([*OLD, *runs("new", *[10.0] * 5), *runs("new", *[12.0] * 5, seed=1)])
    assert steady.table["difference"].tolist() == pytest.approx([1] * 5)
    assert steady.error == pytest.approx(math.sqrt((1 / 5 + 1 / 4) * 1))


def test_probabilities_of_practical_equivalence() -> None:
    found = compared([*OLD, *NEW])
    assert found.rope == pytest.approx(0.1)  # 1 % of the better error, 10
    better, equal, worse = found.probabilities
    assert better + equal + worse == pytest.approx(1)
    assert worse > 0.95 > 0.05 > better
    assert compared([*NEW, *OLD], "old", "new").probabilities == pytest.approx((worse, equal, better))
    wide = compared([*OLD, *NEW], rope=100.0).probabilities
    assert wide.equal == pytest.approx(1, abs=1e-4)
    assert compared([*OLD, *NEW], rope=0.0).probabilities.equal == 0
    assert compared(OLD, "old", "old").probabilities.equal == 1
    with pytest.raises(ConfigError, match=r"rope = -1.0: .* not negative"):
        compared([*OLD, *NEW], rope=-1.0)


def test_rows_are_drawn_by_composition_if_their_formulas_are_given() -> None:
    plain = compared([*OLD, *NEW]).row_interval
    assert plain is not None
    assert (plain.rows, plain.clusters, plain.by_formula) == (10, 10, False)
    formulas = {f"{fold}{i}": f"Fe{fold + 1}O" for fold in range(5) for i in "ab"}
    clustered = compared([*OLD, *NEW], formulas=formulas).row_interval
    assert clustered is not None
    assert (clustered.rows, clustered.clusters, clustered.by_formula) == (10, 5, True)
    assert compared([*OLD, *NEW], metric="max_error").row_interval is None


def test_two_seeds_of_one_model_differ_on_the_rows_but_not_over_folds() -> None:
    """Errors of rows as in real records: skewed, mostly common to both seeds, with a part of each fit's own."""
    rng = np.random.default_rng(0)
    resolved = {"folds": 0, "rows": 0}
    repeats = 40
    for _ in range(repeats):
        records = []
        for fold in range(5):
            names = [f"{fold}-{i}" for i in range(100)]
            common = rng.lognormal(2.5, 1, 100)
            for label in ("new", "old"):
                errors = common * rng.lognormal(0, 0.3, 100) * np.exp(rng.normal(0, 0.08))
                made = RecordedPredictions(ids=names, targets=[0.0] * 100, values=errors.tolist())
                rows = RowCounts(train=300, valid=100, test=100, task=500, task_total=500, task_folds=5)
                records.append(run(label, fold, 0.0, predictions=made, rows=rows))
        found = compared(records)
        assert found.row_interval is not None
        resolved["folds"] += found.resolved
        resolved["rows"] += found.row_interval.low > 0 or found.row_interval.high < 0
    assert resolved["folds"] <= 0.05 * repeats
    assert resolved["rows"] > 0.2 * repeats


def test_entries_are_compared_by_their_scores_on_a_board() -> None:
    (board,) = leaderboards(scores_frame([*OLD, *NEW]))
    new, old = (next(e for e in board.entries if e.model == name) for name in ("new", "old"))
    found, expected = compare_on_board(board, new, old), compared([*OLD, *NEW])
    scored = [r.scores["mae"] for r in NEW]
    assert found.table["a"].tolist() == scored
    assert found.row_interval is None
    assert found.table["rows"].tolist() == expected.table["rows"].tolist()
    with pytest.raises(DataError, match=r"new and old on lengths: log_loss of new is undefined, or was not published"):
        compare_on_board(board, new, old, "log_loss")
