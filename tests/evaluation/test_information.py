"""The information matrix and the sources of skill, from scores alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crystalbench.evaluation.information import (
    COLUMNS,
    CONTROL,
    KINDS,
    SOURCE_COLUMNS,
    VIEWS,
    information,
    sources_of_skill,
)
from crystalbench.reports.information import information_sections

MAE = {
    "full": 1.0,
    "composition_only": 4.0,
    "unit_density+no_periodicity": 3.5,
    "unit_density": 3.0,
    "symmetry_only": 9.0,
    "anonymous+unit_density": 8.0,
    "anonymous": 5.5,
    "lattice_only": 9.5,
}
"""Errors of a model under each view; the dummy has 10."""


def scores(
    errors: dict[str, float], model: str = "graph", folds: int = 3, seeds: int = 1, **facts: Any
) -> list[dict[str, Any]]:
    plain = {
        "task": "t",
        "data": "d",
        "model": model,
        "model_name": model,
        "protocol": "default",
        "metric": "mae",
        "unit": "eV",
        "kind": "regression",
        "rows": 30,
        "rows_total": 60,
        "rows_train": 18,
        "rows_valid": 2,
        "rows_test": 10,
        "settings": json.dumps({"model": model, "version": 1, "view_version": 1}),
        "sees": "structure_and_chemistry",
        "fold_scheme": "official",
        "train_fraction": 1.0,
        "source": "ours",
    }
    return [
        {
            **plain,
            "view": view,
            "fold": fold,
            "seed": seed,
            "score": error + 0.1 * (fold - 1),
            **facts,
            "key": f"{model}{view}{fold}{seed}{facts}",
        }
        for view, error in errors.items()
        for fold in range(folds)
        for seed in range(seeds)
    ]


def frame(*parts: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([row for part in parts for row in part])


DUMMY = scores({"full": 10.0}, "dummy")
CONTROLS = [
    *scores({"full": 11.0}, task=f"t+{CONTROL}", data="s"),
    *scores({"full": 10.0}, "dummy", task=f"t+{CONTROL}", data="s"),
]


def test_a_row_per_view_with_skill_and_share() -> None:
    table = information(frame(DUMMY, scores(MAE), CONTROLS))
    assert tuple(table) == COLUMNS
    assert table["view"].tolist() == [*VIEWS, CONTROL]
    by_view = table.set_index("view")
    assert by_view["skill"].to_dict() == pytest.approx({**{v: 1 - e / 10 for v, e in MAE.items()}, CONTROL: -0.1})
    assert by_view["mae"].to_dict() == pytest.approx({**MAE, CONTROL: 11.0})
    assert by_view.loc["composition_only", "kept"] == pytest.approx(0.6 / 0.9)
    assert np.isnan(by_view.loc[CONTROL, "kept"])
    assert (table["low"] <= table["skill"]).all()
    assert set(table["task"]) == {"t"}
    assert set(table["folds"]) == {3}


def test_both_chains_add_up_to_the_skill_with_the_full_crystal() -> None:
    table = sources_of_skill(frame(DUMMY, scores(MAE)))
    assert tuple(table) == SOURCE_COLUMNS
    parts = table.pivot_table(index="chain", columns="information", values="skill")
    assert parts.loc["elements first", list(KINDS)].tolist() == pytest.approx([0.6, 0.2, 0.05, 0.05])
    assert parts.loc["elements last", list(KINDS)].tolist() == pytest.approx([0.45, 0.25, 0.1, 0.1])
    assert parts.sum(axis=1).tolist() == pytest.approx([0.9, 0.9])
    assert table.groupby("chain")["share"].sum().tolist() == pytest.approx([1.0, 1.0])


def test_the_number_of_seeds_is_that_of_the_fold_with_the_fewest() -> None:
    full = [row for row in scores({"full": 1.0}, seeds=3) if row["fold"] < 2 or row["seed"] == 0]
    runs = frame(DUMMY, full, scores({"composition_only": 4.0}, seeds=2))
    assert information(runs).set_index("view")["seeds"].to_dict() == {"full": 1, "composition_only": 2}
    assert sources_of_skill(runs)["seeds"].tolist() == [1]  # shares are of the skill with the full crystal


def test_the_full_crystal_keeps_all_of_its_skill_whatever_its_seeds() -> None:
    runs = frame(DUMMY, scores(MAE, seeds=3))
    runs["score"] += np.random.default_rng(0).normal(scale=0.05, size=len(runs))
    full = information(runs).set_index("view").loc["full"]
    assert (full["kept"], full["kept_low"], full["kept_high"]) == (1, 1, 1)


def test_classification_is_measured_by_the_roc_auc() -> None:
    facts = {"metric": "rocauc_true", "kind": "binary", "unit": ""}
    wrong = {view: 1 - error / 20 for view, error in MAE.items()}
    table = information(frame(scores({"full": 0.5}, "dummy", **facts), scores(wrong, **facts)))
    flat = table.set_index("view")
    # The dummy of this test varies between folds like the model does.
    assert flat.loc["full", "skill"] == pytest.approx(0.9)
    assert flat["mae"].isna().all()
    assert flat.loc["full", "score_dummy"] == pytest.approx(0.5)


def test_only_common_folds_count_and_missing_numbers_are_explained() -> None:
    few = scores(MAE, folds=1)
    table = information(frame(DUMMY, few))
    assert table["low"].isna().all()
    assert set(table["note"]) == {"one fold: no interval"}
    assert table.set_index("view").loc["anonymous", "kept"] == pytest.approx(0.46 / 0.91, rel=0.02)
    lone = information(frame(scores(MAE)))
    assert set(lone["note"]) == {"the dummy was not run"}
    assert lone["skill"].isna().all()
    perfect = information(frame(scores({"full": 0.0}, "dummy", score=0.0), scores(MAE)))
    assert set(perfect["note"]) == {"the dummy makes no error"}


def test_runs_of_former_versions_and_models_without_other_views_are_left_out() -> None:
    old = scores(MAE, settings=json.dumps({"model": "graph", "version": 0, "view_version": 1}), score=99.0)
    alone = scores({"full": 1.0}, "alone")
    table = information(frame(DUMMY, old, scores(MAE), alone))
    assert set(table["model"]) == {"graph"}
    assert table["mae"].max() < 10


def test_configurations_of_one_name_are_told_apart() -> None:
    wide = scores(MAE, settings=json.dumps({"model": "graph", "version": 1, "view_version": 1, "width": 9}))
    names = set(information(frame(DUMMY, scores(MAE), wide))["model"])
    assert len(names) == 2
    assert all(name.startswith("graph ") for name in names)


def test_the_skill_of_a_composition_model_is_chemistry_by_declaration() -> None:
    scored = frame(DUMMY, scores({"full": 2.0}, sees="composition"), CONTROLS)
    table = sources_of_skill(scored)
    assert table[["information", "chain"]].to_numpy().tolist() == [["chemistry", "declared"]]
    assert table["share"].tolist() == pytest.approx([1.0])
    words = "\n".join(line for part in information_sections(information(scored), table) for line in part.lines)
    assert "graph sees the composition alone: its skill of 0.80 is chemistry." in words


def test_the_report_says_it_in_words() -> None:
    scored = frame(DUMMY, scores(MAE), CONTROLS)
    matrix, sources = information_sections(information(scored), sources_of_skill(scored))
    assert matrix.heading == "t (30 of 60 rows): skill by view"
    assert matrix.titles == ["view", "graph"]
    assert [row[0] for row in matrix.rows] == [*VIEWS, "labels shuffled (control)"]
    assert str(matrix.rows[0][1]).startswith("0.90 [")
    assert set(matrix.hints) == set(VIEWS) - {"full"}
    assert matrix.hints["composition_only"].startswith("hides the structure")
    assert any("Control passed" in line and "graph" in line for line in matrix.lines)
    assert sources.titles == ["information", "graph"]
    assert [row[0] for row in sources.rows[:3]] == [
        "chemistry, elements first",
        "chemistry, elements last",
        "density, elements first",
    ]
    shares = [str(row[1]).rpartition(", ")[2] for row in sources.rows]
    assert shares == ["67 %", "50 %", "22 %", "28 %", "6 %", "11 %", "6 %", "11 %"]
    assert sources.lines[0] == "graph: 58 % of the skill of 0.90 is chemistry (mean of both chains)."


def test_a_control_above_the_dummy_is_a_warning() -> None:
    leaky = [
        *scores({"full": 5.0}, task=f"t+{CONTROL}", data="s"),
        *scores({"full": 10.0}, "dummy", task=f"t+{CONTROL}", data="s"),
    ]
    scored = frame(DUMMY, scores(MAE), leaky)
    lines = information_sections(information(scored), sources_of_skill(scored))[0].lines
    assert any(line.startswith("WARNING") for line in lines)
    assert not any("Control passed" in line for line in lines)


def test_learning_the_median_is_no_skill() -> None:
    """The dummy predicts the mean, whose error is larger if targets are skewed."""
    targets = np.array([1.0, 1.0, 1.0, 9.0])  # mean 3, mean absolute error 3; median 1, error 2
    rows = [
        {"data": data, "kind": "regression", "fold": fold, "id": f"{fold}-{i}", "target": target}
        for data in ("d", "s")
        for fold in range(3)
        for i, target in enumerate(targets)
    ]
    dummies = [*scores({"full": 3.0}, "dummy"), *scores({"full": 3.0}, "dummy", task=f"t+{CONTROL}", data="s")]
    scored = frame(dummies, scores({"full": 1.0}), scores({"full": 2.1}, task=f"t+{CONTROL}", data="s"))
    scored.loc[scored["model"] == "dummy", "score"] = 3.0
    table = information(scored, pd.DataFrame(rows))
    assert table["constant"].tolist() == pytest.approx([1 / 3, 1 / 3])
    assert (table["low"] > 0).all()  # the control is better than the dummy, and yet has learned nothing
    lines = information_sections(table, sources_of_skill(scored))[0].lines
    assert any("has a skill of 0.33: a skill up to this says nothing" in line for line in lines)
    assert any("Control passed" in line for line in lines)
    unknown = information_sections(information(scored), sources_of_skill(scored))[0].lines
    assert any(line.startswith("WARNING") for line in unknown)


def test_a_skill_that_is_not_resolved_has_no_sources() -> None:
    scored = frame(DUMMY, scores(dict.fromkeys(MAE, 10.2)))
    table = sources_of_skill(scored)
    assert table["share"].isna().all()
    lines = information_sections(information(scored), table)[1].lines
    assert "is not resolved from 0" in lines[0]


def test_no_results_are_empty_tables() -> None:
    empty = frame(DUMMY).iloc[:0]
    assert tuple(information(empty)) == COLUMNS
    assert tuple(sources_of_skill(empty)) == SOURCE_COLUMNS
    assert information_sections(information(empty), sources_of_skill(empty)) == []
