from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import record

from crystalbench.data.elements import MAX_Z
from crystalbench.evaluation.board import Board, Entry
from crystalbench.evaluation.ceiling import COLUMNS, ceilings, with_best
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.evaluation.slices import TaskRows
from crystalbench.results import Results
from crystalbench.sees import Sees


def rows_of(formulas: list[str], targets: list[float], classes: tuple[str, ...] = (), **changes: Any) -> TaskRows:
    n = len(formulas)
    plain: dict[str, Any] = {
        "task": "mine",
        "data": "d",
        "ids": np.array([f"r{i}" for i in range(n)]),
        "folds": (np.arange(n) % 2).astype(np.int16),
        "targets": np.array(targets, np.float64),
        "classes": classes,
        "formulas": np.array(formulas, object),
        "systems": np.array(formulas, object),
        "elements": np.zeros((n, MAX_Z + 1), np.bool_),
        "features": np.zeros((n, 1)),
    }
    return TaskRows(**{**plain, **changes})


def values(frame: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    return {(line.part, line.bound, line.metric): line.value for line in frame.itertuples()}


def test_the_ceiling_of_planted_polymorphs() -> None:
    frame = ceilings(rows_of([*"AAA", *"BB", "C", "D"], [1.0, 2, 6, 10, 14, 5, 7]))
    assert tuple(frame.columns) == COLUMNS
    found = values(frame)
    # Medians: A 2 (errors 1, 0, 4), B 12 (2, 2). Without the row: A 4, 3.5, 1.5 (3, 1.5, 4.5), B 14, 10 (4, 4).
    assert found["all", "in_sample", "mae"] == pytest.approx(9 / 7)
    assert found["polymorphs", "in_sample", "mae"] == pytest.approx(9 / 5)
    assert found["all", "leave_one_out", "mae"] == pytest.approx(17 / 7)
    assert found["polymorphs", "leave_one_out", "mae"] == pytest.approx(17 / 5)
    # Means: A 3 (2, 1, 3), B 12. Without the row: A 4, 3.5, 1.5, B 14, 10.
    assert found["polymorphs", "in_sample", "rmse"] == pytest.approx(np.sqrt((4 + 1 + 9 + 4 + 4) / 5))
    assert found["polymorphs", "leave_one_out", "rmse"] == pytest.approx(np.sqrt((9 + 2.25 + 20.25 + 32) / 5))
    counts = frame.drop_duplicates("part").set_index("part")
    assert counts.loc["all", ["rows", "compositions"]].tolist() == [7, 4]
    assert counts.loc["polymorphs", ["rows", "compositions"]].tolist() == [5, 2]


def test_medians_of_the_others_are_right_for_groups_of_any_size() -> None:
    rng = np.random.default_rng(0)
    formulas = [f"F{k}" for k in rng.integers(0, 40, 200)]
    targets = rng.normal(size=200).round(1)  # with equal ones
    expected = []
    for i, name in enumerate(formulas):
        others = [targets[j] for j in range(200) if formulas[j] == name and j != i]
        expected.append(abs(targets[i] - np.median(others)) if others else 0.0)
    found = values(ceilings(rows_of(formulas, targets.tolist()), draws=10))
    assert found["all", "leave_one_out", "mae"] == pytest.approx(np.mean(expected))


def test_no_function_of_the_composition_is_better() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 20, 100)
    targets = rng.gamma(1, size=100)
    bound = values(ceilings(rows_of([f"F{k}" for k in codes], targets.tolist()), draws=10))["all", "in_sample", "mae"]
    medians = np.array([np.median(targets[codes == k]) for k in range(20)])
    assert bound == pytest.approx(np.abs(targets - medians[codes]).mean())
    for _ in range(50):
        assert np.abs(targets - (medians + 0.1 * rng.normal(size=20))[codes]).mean() > bound


def test_the_best_possible_error_is_between_the_two_bounds() -> None:
    """Pairs of polymorphs from normal distributions: the best constant has the MAE sqrt(2/π)."""
    rng = np.random.default_rng(2)
    formulas = [f"F{k}" for k in range(2000)] * 2
    frame = ceilings(rows_of(formulas, rng.normal(size=4000).tolist())).set_index(["part", "bound", "metric"])
    inside, outside = (frame.loc[("all", bound, "mae")] for bound in ("in_sample", "leave_one_out"))
    best = np.sqrt(2 / np.pi)
    assert inside["value"] == pytest.approx(best / np.sqrt(2), rel=0.03)
    assert outside["value"] == pytest.approx(best * np.sqrt(2), rel=0.03)
    assert inside["high"] < best < outside["low"]
    spread = np.sqrt(1 - 2 / np.pi) / np.sqrt(2) / np.sqrt(2000)  # of the mean of |difference| / 2 of the pairs
    assert inside["high"] - inside["low"] == pytest.approx(2 * 1.96 * spread, rel=0.15)


def test_classes() -> None:
    # A has 2 of class 0 and 1 of class 1, B one of each, C one of class 1; 3 rows of class 0, 3 of class 1.
    rows = rows_of([*"AAA", *"BB", "C"], [0.0, 0, 1, 0, 1, 1], ("no", "yes"))
    found = values(ceilings(rows))
    assert found["all", "in_sample", "accuracy"] == pytest.approx((2 + 1 + 1) / 6)
    assert found["polymorphs", "in_sample", "accuracy"] == pytest.approx(3 / 5)
    # The others of A say: tie, tie, 0; those of B are wrong; C counts as right.
    assert found["all", "leave_one_out", "accuracy"] == pytest.approx((0.5 + 0.5 + 0 + 0 + 0 + 1) / 6)
    # A as class 0 gives 2/3 of it, as class 1 a third; B gives a third either way, C a third of class 1.
    assert found["all", "in_sample", "balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 3 + 1 / 3) / 2)


def test_balanced_accuracy_favours_the_rare_class() -> None:
    rows = rows_of([*"AAA", *"BCDEFGH"], [0.0, 0, 1, 0, 0, 0, 0, 0, 0, 0], ("no", "yes"))
    found = values(ceilings(rows))
    assert found["all", "in_sample", "accuracy"] == pytest.approx(9 / 10)
    assert found["all", "in_sample", "balanced_accuracy"] == pytest.approx((7 / 9 + 1) / 2)


def test_without_polymorphs_there_is_no_ceiling_of_them() -> None:
    frame = ceilings(rows_of(["A", "B", "C"], [1.0, 2, 3]))
    assert set(frame["part"]) == {"all"}
    assert (frame["value"] == 0).all()


def test_rows_that_only_ever_train_do_not_count_and_one_composition_has_no_interval() -> None:
    rows = rows_of(["A", "A", "A"], [1.0, 3.0, 100.0], folds=np.array([0, 1, -1], np.int16))
    frame = ceilings(rows)
    assert values(frame)["all", "in_sample", "mae"] == 1.0
    assert set(frame["rows"]) == {2}
    assert frame[["low", "high"]].isna().all().all()


# ---------------------------------------------------------------------- the best entry


def board_of(*entries: tuple[str, str, float, bool]) -> tuple[Board, dict[str, str]]:
    """A board of entries by name, kind and MAE; only some have predictions."""
    (board,) = leaderboards(Results([record(1.0, task="mine")]).scores)
    plain: Entry = board.entries[0]
    score = plain.scores["mae"]
    made = [
        replace(
            plain,
            model=name,
            sees=Sees(kind),
            scores={"mae": replace(score, mean=mae)},
            configuration=name if by_row else "",
            folds=board.folds_total,
        )
        for name, kind, mae, by_row in entries
    ]
    return replace(board, entries=made), {}


def predictions_of(rows: TaskRows, errors: list[float], configuration: str) -> pd.DataFrame:
    plain = {"task": "mine", "data": "d", "model": configuration, "kind": "regression", "configuration": configuration}
    values = {"fold": rows.folds, "seed": 0, "id": rows.ids.astype(object), "target": rows.targets}
    return pd.DataFrame({**plain, **values, "prediction": rows.targets + np.array(errors)})


def test_the_best_entry_of_the_composition_is_scored_on_the_same_rows() -> None:
    rows = rows_of(["A", "A", "B"], [1.0, 2.0, 3.0])
    board, _ = board_of(
        ("graph", "structure_and_chemistry", 0.1, True),
        ("published", "composition", 1.5, False),
        ("forest", "composition", 2.0, True),
    )
    predictions = pd.concat([predictions_of(rows, [1.0, 3.0, 8.0], name) for name in ("forest", "graph")])
    frame = with_best(ceilings(rows), board, predictions, rows, {"forest": "forest (trees=9)"})
    lines = frame[frame["metric"] == "mae"].drop_duplicates("part").set_index("part")
    assert lines.loc["all", ["model", "score", "unit"]].tolist() == ["published", 1.5, board.unit]
    assert lines.loc["polymorphs", ["model", "score", "unit"]].tolist() == ["forest (trees=9)", 2.0, board.unit]
    alone = with_best(ceilings(rows), replace(board, entries=board.entries[2:]), predictions, rows)
    assert alone.loc[(alone["part"] == "all") & (alone["metric"] == "mae"), "score"].tolist() == [4.0, 4.0]
    assert alone.loc[alone["metric"] == "rmse", "score"].iloc[0] == pytest.approx(np.sqrt(74 / 3))


def test_without_an_entry_of_the_composition_nothing_stands_next_to_the_ceiling() -> None:
    rows = rows_of(["A", "A", "B"], [1.0, 2.0, 3.0])
    board, _ = board_of(("graph", "structure_and_chemistry", 0.1, True))
    frame = with_best(ceilings(rows), board, predictions_of(rows, [0.0, 0.0, 0.0], "graph"), rows)
    assert set(frame["model"]) == {""}
    assert frame["score"].isna().all()
