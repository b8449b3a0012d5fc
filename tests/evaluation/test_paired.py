"""Paired comparisons: which records are used, that rows are paired, and that intervals have their nominal coverage."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from helpers import record

from crystalbench.errors import DataError
from crystalbench.evaluation import paired
from crystalbench.evaluation.paired import PairedErrors, PredictedRows, predicted_rows, reduction, share
from crystalbench.results.frames import predictions_frame, scores_frame
from crystalbench.results.record import Record, RecordedPredictions, RowCounts

TASK = "lengths"
TARGETS = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 8.0}


def made(values: dict[str, float], *, task_rows: int = 4, total: int = 4, folds: int = 2, **changes: Any) -> Record:
    """A record of a task with these predictions."""
    predictions = RecordedPredictions(
        ids=list(values), targets=[TARGETS[i] for i in values], values=list(values.values())
    )
    rows = RowCounts(train=2, valid=1, test=len(values), task=task_rows, task_total=total, task_folds=folds)
    return record(**{"task": TASK, "label": "plain", "predictions": predictions, "rows": rows, "unit": "m", **changes})


def rows_of(records: list[Record], task: str) -> tuple[dict[str, PredictedRows], list[str]]:
    return predicted_rows(scores_frame(records), predictions_frame(records), task)


def both_folds(shift: float, **changes: Any) -> list[Record]:
    first, second = {"d": 8.0 + shift, "b": 2.0 + shift}, {"c": 4.0 + shift, "a": 1.0 - shift}
    return [made(first, fold=0, **changes), made(second, fold=1, **changes)]


# ---------------------------------------------------------------------- which records are used


def test_folds_are_joined_and_sorted_by_id() -> None:
    parts, notes = rows_of(both_folds(0.5), TASK)
    assert notes == []
    assert list(parts) == ["plain"]
    part = parts["plain"]
    assert part.ids.tolist() == ["a", "b", "c", "d"]
    assert part.targets.tolist() == [1, 2, 4, 8]
    assert part.values.tolist() == [[0.5, 2.5, 4.5, 8.5]]
    assert (part.unit, part.seeds, part.settings["width"]) == ("m", 1, 64)


def test_errors_are_means_over_the_seeds_not_errors_of_the_mean() -> None:
    parts, _ = rows_of([*both_folds(1.0, seed=0), *both_folds(-3.0, seed=5)], TASK)
    assert parts["plain"].seeds == 2
    assert parts["plain"].errors.tolist() == [2, 2, 2, 2]


def test_other_tasks_views_and_kinds_are_ignored() -> None:
    others = [made({"a": 0.0}, task="widths"), made({"a": 0.0}, view="anonymous"), made({"a": 0.0}, kind="binary")]
    assert rows_of(others, TASK) == ({}, [])
    parts, notes = rows_of([*both_folds(0.5), *others], TASK)
    assert parts["plain"].errors.tolist() == [0.5] * 4
    assert notes == []


def test_tuned_models_have_a_separate_name() -> None:
    records = [*both_folds(0.5), *both_folds(0.25, tuning={"trials": 3})]
    assert list(rows_of(records, TASK)[0]) == ["plain", "plain (tuned)"]


def test_of_several_configurations_the_latest_is_used_with_a_note() -> None:
    old = both_folds(0.5, parameters={"width": 8}, finished="2025-01-02T00:00:00+00:00")
    new = both_folds(0.25, parameters={"width": 9}, finished="2025-01-03T00:00:00+00:00")
    for records in (old + new, new + old):
        parts, notes = rows_of(records, TASK)
        assert parts["plain"].settings["width"] == 9
        assert parts["plain"].errors.tolist() == [0.25] * 4
        assert notes == ["lengths: plain has 2 configurations; the one finished last is taken"]


def test_seeds_that_lack_folds_are_left_out() -> None:
    records = [*both_folds(0.5, seed=0), both_folds(9.0, seed=1)[0]]
    parts, notes = rows_of(records, TASK)
    assert parts["plain"].seeds == 1
    assert notes == ["lengths: plain lacks folds of 1 of 2 seeds, left out"]
    parts, notes = rows_of(records[2:], TASK)
    assert parts == {}
    assert notes == ["lengths: plain lacks folds of 1 of 1 seeds, left out"]


def test_of_different_row_sets_the_largest_is_used() -> None:
    whole = both_folds(0.5, data="1" * 64)
    part = [made({"a": 1.0}, data="2" * 64, task_rows=2, folds=1, finished="2026-01-01T00:00:00+00:00")]
    parts, notes = rows_of(part + whole, TASK)
    assert parts["plain"].ids.tolist() == ["a", "b", "c", "d"]
    assert notes == ["lengths: 1 records of other rows or targets are left out, 2 of 4 rows are taken"]
    parts, notes = rows_of(part, TASK)
    assert parts["plain"].ids.tolist() == ["a"]
    assert notes == ["lengths: only 2 of its 4 rows were used"]


def test_contradictory_records_are_refused() -> None:
    other = made({"a": 1.0, "b": 2.0}, label="other", folds=1)
    with pytest.raises(DataError, match="lengths: other and plain have different test rows or targets"):
        rows_of([*both_folds(0.5), other], TASK)
    with pytest.raises(DataError, match="lengths: plain: its seeds have different test rows"):
        rows_of([made({"a": 1.0}, folds=1), made({"b": 2.0}, folds=1, seed=1)], TASK)


def test_folds_that_overlap_are_refused_with_the_id() -> None:
    with pytest.raises(DataError, match="lengths: plain, seed 0: b is predicted more than once"):
        rows_of([made({"a": 1.0, "b": 2.0}, fold=0), made({"b": 2.0, "c": 4.0}, fold=1)], TASK)


def test_frames_without_a_column_are_refused() -> None:
    scores, predictions = scores_frame(both_folds(0.5)), predictions_frame(both_folds(0.5))
    with pytest.raises(DataError, match="the scores frame has no column settings"):
        predicted_rows(scores.drop(columns="settings"), predictions, TASK)
    with pytest.raises(DataError, match="the predictions frame has no column target"):
        predicted_rows(scores, predictions.drop(columns="target"), TASK)


# ---------------------------------------------------------------------- the bootstrap


def test_a_constant_ratio_is_certain_although_the_errors_are_not() -> None:
    plain = np.random.default_rng(0).exponential(size=50)
    errors = PairedErrors({"plain": plain, "half": plain / 2}, draws=500)
    found = errors.estimate(reduction("half", "plain"))
    assert (found.low, found.value, found.high) == pytest.approx((0.5, 0.5, 0.5), abs=1e-12)
    assert np.ptp(errors.resampled["plain"]) > 0.1


def test_reduction_and_share() -> None:
    errors = PairedErrors({"plain": np.full(3, 10.0), "whole": np.full(3, 2.0), "part": np.full(3, 4.0)}, draws=10)
    assert errors.estimate(reduction("whole", "plain")).value == pytest.approx(0.8)
    assert errors.estimate(share("part", "whole", "plain")).value == pytest.approx(0.75)
    assert errors.estimate(share("whole", "whole", "plain")).value == pytest.approx(1)
    assert errors.estimate(share("plain", "whole", "plain")).value == pytest.approx(0)


@pytest.mark.parametrize(
    ("whole", "value"),
    [
        ([8.0, 9.0, 11.0, 12.0], math.nan),  # without a reduction, there is no share of it
        ([2.0, 8.0, 11.0, 13.0], 2 / 3),  # a reduction, but an increase in some draws
        ([9.0, 9.0, 12.0, 14.0], -1.0),  # an increase, but a reduction in some draws
        ([8.0, 8.0, 10.0, 10.0], 1.0),  # nothing in draws of the last two rows
    ],
)
def test_a_share_of_a_reduction_that_may_be_zero_has_no_interval(whole: list[float], value: float) -> None:
    plain = np.full(4, 10.0)
    errors = PairedErrors({"plain": plain, "whole": np.array(whole), "part": plain - 1.0}, draws=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = errors.estimate(share("part", "whole", "plain"))
    assert found.value == pytest.approx(value, nan_ok=True)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_reduction_with_respect_to_zero_error_is_undefined() -> None:
    errors = PairedErrors({"plain": np.array([0.0, 0.0, 4.0]), "none": np.zeros(3), "half": np.ones(3)}, draws=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        some, nothing = (errors.estimate(reduction("half", name)) for name in ("plain", "none"))
    assert some.value == 0.25
    assert all(map(math.isnan, (some.low, some.high, nothing.value, nothing.low, nothing.high)))


def test_draws_are_reproducible_and_independent_of_the_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    errors = {"one": rng.random(40), "two": rng.random(40)}
    first = PairedErrors(errors, draws=300).resampled
    monkeypatch.setattr(paired, "_AT_ONCE", 1000)
    for name, again in PairedErrors(errors, draws=300).resampled.items():
        np.testing.assert_allclose(again, first[name], rtol=1e-12)
    assert not np.array_equal(PairedErrors(errors, draws=300, seed=1).resampled["one"], first["one"])


def test_the_spread_of_the_draws_is_the_standard_error_of_the_mean() -> None:
    values = np.random.default_rng(2).normal(5, 1, 400)
    spread = PairedErrors({"one": values}).resampled["one"].std()
    assert spread == pytest.approx(values.std() / 20, rel=0.03)


def test_intervals_have_their_nominal_coverage() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        hard = rng.exponential(size=150)
        errors = {"plain": 2 * hard + rng.exponential(size=150), "better": hard}
        found = PairedErrors(errors, draws=400).estimate(reduction("better", "plain"))
        held += found.low <= 1 - 1 / 3 <= found.high
    assert 0.90 <= held / 200 <= 0.99


@pytest.mark.parametrize("errors", [{}, {"a": np.zeros(0)}, {"a": np.zeros(2), "b": np.zeros(3)}])
def test_errors_of_different_lengths_or_of_no_rows_are_refused(errors: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="same rows"):
        PairedErrors(errors)
