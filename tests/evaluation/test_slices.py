from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crystalbench.data.elements import MAX_Z
from crystalbench.errors import DataError
from crystalbench.evaluation.slices import (
    COLUMNS,
    TaskRows,
    distances,
    fifths,
    groups_of,
    near_duplicates,
    seen_in_training,
    slices,
)

FORMULAS = ["NaCl", "NaCl", "NaCl", "KCl", "Na", "KCl", "Fe"]
SYSTEMS = ["Cl-Na", "Cl-Na", "Cl-Na", "Cl-K", "Na", "Cl-K", "Fe"]
ELEMENTS = [(11, 17)] * 3 + [(17, 19), (11,), (17, 19), (26,)]
FOLDS = [0, 0, 1, 1, 0, 1, -1]


def rows_of_seven(**changes: Any) -> TaskRows:
    """Seven rows: NaCl is in both test parts, KCl in one only, and iron only ever trains."""
    elements = np.zeros((7, MAX_Z + 1), np.bool_)
    for row, numbers in enumerate(ELEMENTS):
        elements[row, list(numbers)] = True
    plain: dict[str, Any] = {
        "task": "mine",
        "data": "d",
        "ids": np.array(list("abcdefg")),
        "folds": np.array(FOLDS, np.int16),
        "targets": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0]),
        "classes": (),
        "formulas": np.array(FORMULAS, object),
        "systems": np.array(SYSTEMS, object),
        "elements": elements,
        "features": np.array([[0.0], [0.0], [0.0], [1.0], [3.0], [1.0], [9.0]]),
        "space_groups": np.array([225, 225, 225, 225, 229, 221, 229]),
        "crystal_systems": np.array(["cubic"] * 6 + ["unknown"], object),
        "atoms": np.array([2, 2, 2, 2, 1, 8, 70]),
        "volumes": np.array([20.0, 22.0, 20.9, 30.0, 15.0, 30.0, 12.0]),
    }
    return TaskRows(**{**plain, **changes})


def predicted(rows: TaskRows, errors: dict[str, float], model: str = "m", **columns: Any) -> pd.DataFrame:
    """Predictions of some ids that are too large by these errors."""
    target = dict(zip(rows.ids, rows.targets, strict=True))
    plain = {"task": "mine", "data": "d", "model": model, "kind": "regression", "configuration": model}
    ids = list(errors)
    values = {"id": ids, "target": [target[i] for i in ids], "prediction": [target[i] + errors[i] for i in ids]}
    return pd.DataFrame({**plain, **values, **columns})


ERRORS = {"a": 1.0, "b": -3.0, "c": 5.0, "d": 7.0, "e": 9.0, "f": -11.0}


def found(frame: pd.DataFrame) -> dict[tuple[str, str], tuple[int, float]]:
    return {(line.slice, line.value): (line.rows, line.mae) for line in frame.itertuples()}


def test_the_slices_of_seven_rows() -> None:
    rows = rows_of_seven()
    frame = slices(predicted(rows, ERRORS), rows)
    assert tuple(frame.columns) == COLUMNS
    assert found(frame) == {
        ("all", "all"): (6, 6.0),
        ("formula", "seen"): (3, 3.0),
        ("formula", "unseen"): (3, 9.0),
        ("chemical_system", "seen"): (3, 3.0),
        ("chemical_system", "unseen"): (3, 9.0),
        ("near_duplicate", "yes"): (2, 3.0),  # 20.0 and 20.9; 22.0 is 5.3 % above 20.9
        ("near_duplicate", "no"): (4, 7.5),
        ("crystal_system", "cubic"): (6, 6.0),
        ("atoms", "1-2"): (5, 5.0),
        ("atoms", "5-8"): (1, 11.0),
        ("elements", "1"): (1, 9.0),
        ("elements", "2"): (5, 5.4),
        ("element", "Na"): (4, 4.5),
        ("element", "Cl"): (5, 5.4),
        ("element", "K"): (2, 9.0),
        ("target", "0-20 %"): (2, 2.0),
        ("target", "20-40 %"): (1, 5.0),
        ("target", "40-60 %"): (1, 7.0),
        ("target", "60-80 %"): (1, 9.0),
        ("target", "80-100 %"): (1, 11.0),
        ("distance", "0-40 %"): (3, 3.0),
        ("distance", "40-80 %"): (2, 9.0),
        ("distance", "80-100 %"): (1, 9.0),
    }


def test_compositions_have_no_structural_slices() -> None:
    rows = rows_of_seven(space_groups=None, crystal_systems=None, atoms=None, volumes=None)
    names = [name for name, _ in groups_of(rows).names]
    expected = ["all", "formula", "chemical_system", "elements", "element", "target", "distance"]
    assert list(dict.fromkeys(names)) == expected


def test_what_is_seen_refers_to_the_training_part_of_the_fold() -> None:
    values = np.array(["x", "x", "y", "z", "z", "w"], object)
    folds = np.array([0, 0, 0, 0, 1, -1], np.int16)
    assert seen_in_training(values, folds).tolist() == [False, False, False, True, True, False]
    # A row that only ever trains is in every training part.
    assert seen_in_training(np.array(["x", "x"], object), np.array([0, -1], np.int16)).tolist() == [True, True]


@pytest.mark.parametrize(
    ("formula", "group", "volume", "fold", "expected"),
    [
        ("A", 1, 10.5, 1, True),
        ("A", 1, 10.51, 1, False),
        ("A", 1, 9.53, 1, True),
        ("A", 1, 9.5, 1, False),  # 10 is 5.3 % above
        ("B", 1, 10.0, 1, False),
        ("A", 2, 10.0, 1, False),
        ("A", 1, 10.0, 0, False),
        ("A", 1, 10.0, -1, True),
    ],
)
def test_near_duplicates(formula: str, group: int, volume: float, fold: int, expected: bool) -> None:
    found = near_duplicates(
        np.array(["A", formula], object),
        np.array([1, group]),
        np.array([10.0, volume]),
        np.array([0, fold], np.int16),
    )
    assert found[0] == expected


def test_crystals_of_unknown_symmetry_have_no_duplicates() -> None:
    same = (np.array(["A", "A"], object), np.array([0, 0]), np.ones(2), np.array([0, 1], np.int16))
    assert not near_duplicates(*same).any()


def test_distances_are_in_standard_deviations_of_the_training_part() -> None:
    rows = rows_of_seven(
        folds=np.array([0, 1, 1, 1, 1, 1, 1], np.int16),
        formulas=np.array(list("ABCDEFG"), object),
        features=np.array([[0.0, 7.0], [1.0, 5.0], [1.0, 5.0], [1.0, 5.0], [3.0, 5.0], [3.0, 5.0], [3.0, 5.0]]),
    )
    assert distances(rows)[0] == pytest.approx(1.0)  # mean 2, deviation 1; the second feature does not vary
    known = rows_of_seven()
    assert distances(known)[:3].tolist() == [0, 0, 0]


def test_equal_values_are_in_one_fifth() -> None:
    values = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, -9.0])
    among = np.arange(11) < 10
    parts = {name: (members & among).sum() for name, members in fifths(values, among).items()}
    assert parts == {"0-40 %": 6, "40-60 %": 1, "60-80 %": 2, "80-100 %": 1}
    assert list(fifths(np.zeros(3), np.ones(3, np.bool_))) == ["0-100 %"]


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_the_error_of_a_classification_is_the_share_of_wrong_classes(kind: str) -> None:
    rows = rows_of_seven(targets=np.array([0.0, 1, 1, 0, 0, 1, 0]), classes=("no", "yes"))
    made = predicted(rows, dict.fromkeys("abcdef", 0.0), kind=kind)
    share = np.array([0.4, 0.4, 0.9, 0.6, 0.1, 0.8])  # b and d are wrong
    made["prediction"] = share if kind == "binary" else np.nan
    made["p_0"], made["p_1"] = 1 - share, share
    of = found(slices(made, rows))
    assert of["all", "all"] == (6, pytest.approx(2 / 6))
    assert of["target", "no"] == (3, pytest.approx(1 / 3))
    assert of["target", "yes"] == (3, pytest.approx(1 / 3))
    assert of["formula", "seen"] == (3, pytest.approx(1 / 3))


def test_seeds_are_averaged_and_missing_rows_left_out() -> None:
    rows = rows_of_seven()
    made = pd.concat([predicted(rows, {"a": 1.0, "c": 2.0}), predicted(rows, {"a": -3.0})])
    of = found(slices(made, rows))
    assert of["all", "all"] == (2, 2.0)
    assert ("element", "K") not in of


def test_predictions_of_other_tasks_and_rows_do_not_count() -> None:
    rows = rows_of_seven()
    parts = [predicted(rows, ERRORS), predicted(rows, {"a": 99.0}, "n", data="x")]
    assert set(slices(pd.concat(parts), rows)["model"]) == {"m"}
    assert slices(predicted(rows, ERRORS, task="other"), rows).empty


def test_runs_on_a_fraction_of_the_training_part_do_not_count() -> None:
    rows = rows_of_seven()
    parts = [predicted(rows, ERRORS, train_fraction=1.0), predicted(rows, {"a": 99.0}, "n", train_fraction=0.5)]
    assert set(slices(pd.concat(parts), rows)["model"]) == {"m"}


def test_entries_of_one_name_are_told_apart() -> None:
    rows = rows_of_seven()
    made = pd.concat([predicted(rows, ERRORS, configuration=c) for c in ("first", "second")])
    assert set(slices(made, rows)["model"]) == {"m", "m (second)"}
    assert set(slices(made, rows, {"first": "m (layers=2)", "second": "m"})["model"]) == {"m (layers=2)", "m"}


def test_an_unknown_id_is_named() -> None:
    rows = rows_of_seven()
    made = predicted(rows, {"a": 1.0})
    made["id"] = "zz"
    with pytest.raises(DataError, match="mine: zz is predicted by m, but it is no id of the task"):
        slices(made, rows)


# ---------------------------------------------------------------------- intervals


def many_rows(n: int, formulas: int) -> TaskRows:
    rng = np.random.default_rng(1)
    elements = np.zeros((n, MAX_Z + 1), np.bool_)
    elements[np.arange(n)[:, None], rng.integers(1, 90, (n, 4))] = True
    names = np.array([f"F{k}" for k in rng.integers(0, formulas, n)], object)
    return TaskRows(
        "mine",
        "d",
        np.array([f"r{i}" for i in range(n)]),
        rng.integers(0, 5, n).astype(np.int16),
        rng.normal(size=n),
        (),
        names,
        names,
        elements,
        rng.normal(size=(n, 20)),
    )


def predictions_of(rows: TaskRows, models: int, errors: np.ndarray) -> pd.DataFrame:
    names = [f"model-{m}" for m in range(models)]
    one = {"task": "mine", "data": "d", "kind": "regression", "id": rows.ids.astype(object), "target": rows.targets}
    made = [pd.DataFrame({**one, "model": m, "configuration": m, "prediction": rows.targets + errors}) for m in names]
    return pd.concat(made, ignore_index=True)


def test_intervals_are_those_of_means_over_formulas() -> None:
    rows = many_rows(3000, 300)
    codes = np.unique(rows.formulas.astype(str), return_inverse=True)[1]
    errors = np.abs(np.random.default_rng(2).normal(size=300))[codes]  # rows of a formula have the same error
    frame = slices(predictions_of(rows, 1, errors), rows).set_index(["slice", "value"])
    whole = frame.loc[("all", "all")]
    sums, sizes = np.bincount(codes, errors), np.bincount(codes)
    spread = np.sqrt(((sums - whole["mae"] * sizes) ** 2).sum()) / sizes.sum()  # of a ratio of sums
    assert whole["high"] - whole["low"] == pytest.approx(2 * 1.96 * spread, rel=0.1)
    assert whole["low"] < whole["mae"] < whole["high"]
    assert spread > 2 * errors.std() / np.sqrt(len(errors))  # rows alone would give too narrow an interval


def test_intervals_are_the_same_at_every_call_and_for_every_set_of_models() -> None:
    rows = many_rows(500, 100)
    errors = np.random.default_rng(2).normal(size=500)
    one, several = (slices(predictions_of(rows, models, errors), rows) for models in (1, 3))
    pd.testing.assert_frame_equal(one, slices(predictions_of(rows, 1, errors), rows))
    pd.testing.assert_frame_equal(one, several[several["model"] == "model-0"])


def test_rows_of_one_formula_have_no_interval() -> None:
    rows = rows_of_seven()
    frame = slices(predicted(rows, ERRORS), rows).set_index(["slice", "value"])
    assert frame.loc[("element", "K"), ["low", "high"]].isna().all()
    assert frame.loc[("element", "Na"), ["low", "high"]].notna().all()


def test_ten_models_of_ten_thousand_rows_take_seconds() -> None:
    rows = many_rows(10_000, 8_000)
    made = predictions_of(rows, 10, np.random.default_rng(2).normal(size=10_000))
    start = time.process_time()
    assert slices(made, rows)["model"].nunique() == 10
    assert time.process_time() - start < 30
