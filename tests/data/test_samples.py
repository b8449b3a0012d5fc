from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import TARGETS, random_crystals, samples_of, targets_for

from crystalbench.data.samples import Predictions, Samples
from crystalbench.errors import DataError
from crystalbench.representations import Arrays, MagpieFeatures, Representation
from crystalbench.targets import Kind, Target

IDS = np.array(["a", "b", "c"])


def test_rows_to_predict_have_no_targets() -> None:
    samples = Samples(random_crystals(0), TARGETS[Kind.REGRESSION])
    assert not samples.has_targets
    with pytest.raises(DataError, match="have no targets"):
        _ = samples.targets
    with pytest.raises(DataError, match="have no targets"):
        _ = samples[:2].targets


def test_slicing_keeps_rows_together() -> None:
    samples = samples_of(random_crystals(0, 6))
    for key in ([4, 0], slice(1, 5, 2), np.array([True, False, False, False, True, True])):
        part = samples[key]
        rows = np.arange(6)[key]
        assert part.ids.tolist() == samples.ids[rows].tolist()
        assert np.array_equal(part.targets, samples.targets[rows])
        assert part.crystals.formulas() == [samples.crystals.formulas()[i] for i in rows]
        assert len(part) == len(rows)
        expected = samples.represent(MagpieFeatures())[rows].values["features"]
        assert np.array_equal(part.represent(MagpieFeatures()).values["features"], expected)


def test_representations_are_requested_by_row_of_the_complete_task() -> None:
    crystals = random_crystals(0, 6)
    complete, requested = MagpieFeatures()(crystals), []

    def represent(representation: Representation, rows: np.ndarray) -> Arrays:
        requested.append(rows.tolist())
        return complete[rows]

    rows = np.array([5, 2, 3])
    samples = Samples(crystals[rows], TARGETS[Kind.REGRESSION], None, represent=represent, rows=rows)
    features = samples[[2, 0]].represent(MagpieFeatures()).values["features"]
    assert requested == [[3, 5]]
    assert np.array_equal(features, complete.values["features"][[3, 5]])


def test_compositions_have_no_crystals() -> None:
    crystals = random_crystals(0)
    samples = Samples(crystals.compositions(), TARGETS[Kind.REGRESSION])
    with pytest.raises(DataError, match="compositions only"):
        _ = samples.crystals
    assert samples.compositions.digest == Samples(crystals, TARGETS[Kind.REGRESSION]).compositions.digest


def test_targets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="3 targets for 7 rows"):
        Samples(random_crystals(0, 7), TARGETS[Kind.REGRESSION], np.zeros(3))


def test_outputs_of_each_kind() -> None:
    assert [TARGETS[kind].outputs for kind in Kind] == [1, 1, 3]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Kind.REGRESSION, [1, 2, 3]),
        (Kind.REGRESSION, np.array([1e30, -1, 0], dtype=np.float32)),
        (Kind.BINARY, [0, 1, 0.5]),
        (Kind.MULTICLASS, [[1, 0, 0], [0.2, 0.3, 0.5], [1 / 3] * 3]),
    ],
)
def test_good_predictions_become_float64(kind: Kind, values: Any) -> None:
    checked = Predictions(values).checked(TARGETS[kind], IDS)
    assert checked.values.dtype == np.float64
    np.testing.assert_allclose(checked.values, values)


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    [
        (Kind.REGRESSION, [1, 2], r"shape \(2,\).*regression.*\(3,\)"),
        (Kind.REGRESSION, [[1], [2], [3]], "shape"),
        (Kind.REGRESSION, [1, np.nan, np.inf], "^b: .*not finite"),
        (Kind.BINARY, [0, 0.5, 1.5], r"^c: .*outside \[0, 1\]"),
        (Kind.BINARY, [-1e-9, 0.5, 1], r"^a: .*outside \[0, 1\]"),
        (Kind.MULTICLASS, [0.1, 0.2, 0.7], "shape"),
        (Kind.MULTICLASS, [[1, 0, 0], [0.5, 0.4, 0], [0, 0, 1]], "^b: .*do not sum to 1"),
        (Kind.MULTICLASS, [[1, 0, 0], [0, 1, 0], [2, -1, 0]], r"^c: .*outside \[0, 1\]"),
    ],
)
def test_bad_predictions_are_refused_by_id(kind: Kind, values: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        Predictions(np.array(values, dtype=float)).checked(TARGETS[kind], IDS)


@pytest.mark.parametrize("std", [[1, 2], [1, -1, 0], [1, np.nan, 0], [1, np.inf, 0]])
def test_bad_standard_deviations_are_refused(std: list[float]) -> None:
    with pytest.raises(DataError, match="standard deviations must be finite"):
        Predictions(np.zeros(3), np.array(std)).checked(TARGETS[Kind.REGRESSION], IDS)


def test_targets_of_the_builders_hold_every_class() -> None:
    crystals = random_crystals(0, 12)
    assert set(targets_for(crystals, Kind.BINARY)) == {0.0, 1.0}
    assert set(targets_for(crystals, Kind.MULTICLASS)) == {0.0, 1.0, 2.0}
    assert Target("x", Kind.BINARY).outputs == 1


def test_concatenated_samples_share_the_representations_of_their_task() -> None:
    crystals = random_crystals(0, 12)
    representation = MagpieFeatures()
    calls: list[np.ndarray] = []

    def represent(found: Representation, rows: np.ndarray) -> Arrays:
        calls.append(rows)
        return found(crystals)[rows]

    def part(rows: list[int]) -> Samples:
        targets = np.array(rows, dtype=float)
        return Samples(
            crystals[rows], TARGETS[Kind.REGRESSION], targets, represent=represent, rows=np.array(rows, dtype=np.int64)
        )

    joined = Samples.concatenated([part([5, 1]), part([7])])
    assert joined.targets.tolist() == [5.0, 1.0, 7.0]
    assert joined.ids.tolist() == crystals.ids[[5, 1, 7]].tolist()
    expected = representation(crystals)[np.array([5, 1, 7])].values["features"]
    assert np.array_equal(joined.represent(representation).values["features"], expected)
    assert [rows.tolist() for rows in calls] == [[5, 1, 7]]
    other = samples_of(random_crystals(1, 2), Kind.REGRESSION)  # of no task: its rows are represented directly
    mixed = Samples.concatenated([part([3]), other])
    assert len(mixed.represent(representation).values["features"]) == 3
    assert len(calls) == 1


def test_samples_that_do_not_fit_together_are_not_concatenated() -> None:
    one = samples_of(random_crystals(0, 3), Kind.REGRESSION)
    with pytest.raises(DataError, match="no samples"):
        Samples.concatenated([])
    with pytest.raises(DataError, match="with and without targets"):
        Samples.concatenated([one, one.to_predict()])
    with pytest.raises(DataError, match="different properties"):
        Samples.concatenated([one, samples_of(random_crystals(0, 3), Kind.BINARY)])
