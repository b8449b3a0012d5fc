"""The table of what models know, from planted numbers, and its sentences."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crystalbench.errors import DataError
from crystalbench.evaluation.descriptors import (
    COLUMNS,
    CONTROL,
    END_TO_END,
    FLOOR,
    LINEAR,
    SPREADS,
    UNTRAINED,
    descriptors,
    relative_spreads,
)
from crystalbench.reports.descriptors import columns_of, descriptor_sections

KINDS = {"density": "density", "c": "cell"}
FACTS: dict[str, Any] = {
    "task": "t",
    "data": "d",
    "model_name": "graph",
    "model": "graph",
    "protocol": "default",
    "view": "full",
    "rows": 100,
    "rows_total": 120,
    "fold_scheme": "official",
    "settings": json.dumps({"version": 1, "view_version": 1}),
    "train_fraction": 1.0,
    "source": "ours",
    "rows_test": 20,
}


def answers(r2: dict[tuple[str, str], float], folds: int = 5, **facts: Any) -> pd.DataFrame:
    rows = [
        {
            **FACTS,
            "descriptor": name,
            "mode": mode,
            "r2": value + 0.01 * (fold - 2) + 0.001 * (mode == LINEAR) * (fold % 2),
        }
        | {"fold": fold, "seed": seed, "rows_train": 80, "key": f"{fold}{seed}", **facts}
        for (name, mode), value in r2.items()
        for fold in range(folds)
        for seed in range(2)
    ]
    return pd.DataFrame(rows)


def scores(r2: dict[tuple[str, str], float], folds: int = 5, **facts: Any) -> pd.DataFrame:
    rows = [
        {**FACTS, "task": f"t+descriptor:{name}", "metric": "r2", "score": value + 0.01 * (fold - 2) * (label != FLOOR)}
        | {"model": label, "model_name": "descriptor_forest" if label == FLOOR else label, "fold": fold, "seed": 0}
        | {"rows_train": 72, "rows_valid": 8, "key": f"{name}{label}{fold}", **facts}
        for (name, label), value in r2.items()
        for fold in range(folds)
    ]
    return pd.DataFrame(rows)


ASKED = {
    ("density", LINEAR): 0.9,
    ("density", UNTRAINED): 0.7,
    ("density", CONTROL): -0.02,
    ("c", LINEAR): 0.2,
    ("c", UNTRAINED): 0.2,
    ("c", CONTROL): -0.02,
}
TRAINED = {
    ("density", "graph"): 0.95,
    ("density", FLOOR): 0.8,
    ("c", "graph"): 0.1,
    ("c", FLOOR): 0.4,
    ("c", "dummy"): 0.0,
}


def table() -> pd.DataFrame:
    return descriptors(scores(TRAINED), answers(ASKED), KINDS)


def test_each_mode_has_its_score_and_its_gain_over_the_floor() -> None:
    found = table().set_index(["descriptor", "mode"])
    assert list(table().columns) == list(COLUMNS)
    linear = found.loc[("density", LINEAR)]
    assert linear["r2"] == pytest.approx(0.9, abs=1e-3)
    assert linear["low"] < 0.9 < linear["high"]
    assert (linear["folds"], linear["seeds"], linear["floor"]) == (5, 2, UNTRAINED)
    assert linear["gain"] == pytest.approx(0.2, abs=1e-3)
    assert linear["gain_high"] - linear["gain_low"] < 0.01 < linear["high"] - linear["low"]  # paired by fold
    trained = found.loc[("c", END_TO_END)]
    assert (trained["gain"], trained["floor"], trained["seeds"]) == (pytest.approx(-0.3), FLOOR, 1)
    assert found.loc[("c", FLOOR), "model"] == "descriptor_forest"
    assert found.loc[[("c", FLOOR), ("c", UNTRAINED), ("c", CONTROL)], "gain"].isna().all()
    assert table()["descriptor"].unique().tolist() == ["density", "c"]  # the order of the kinds
    assert "dummy" not in table()["model"].tolist()


def test_the_floor_of_ensembles_is_found() -> None:
    members = scores(TRAINED).assign(model=lambda frame: frame["model"] + " x5")
    found = descriptors(members, pd.DataFrame(), KINDS).set_index(["descriptor", "mode"])
    assert found.loc[("c", FLOOR), "model"] == "descriptor_forest"
    assert found.loc[("c", END_TO_END), "gain"] == pytest.approx(-0.3)


def test_words() -> None:
    (section,) = descriptor_sections(table())
    assert section.heading == "t (100 of 120 crystals): descriptors that models know"
    assert section.lines[:3] == [
        "graph learns (more than composition and volume): density; less: c.",
        "graph training adds (to what is there before training): density; not resolved: c.",
        "Control passed (nothing read of shuffled descriptors): graph.",
    ]
    assert columns_of(table())[0] == ("graph", END_TO_END)
    assert {len(row) for row in section.rows} == {len(section.titles)} == {6}


def test_a_control_that_is_known_is_a_warning() -> None:
    known = answers({("density", CONTROL): 0.3, ("density", LINEAR): 0.9})
    (section,) = descriptor_sections(descriptors(scores(TRAINED).iloc[:0], known, KINDS))
    assert "WARNING: linear probes of graph know shuffled descriptors: density." in section.lines


def test_other_runs_do_not_count() -> None:
    others = [
        scores(TRAINED, metric="mae"),
        scores(TRAINED, view="anonymous"),
        scores(TRAINED).assign(task="t+descriptor:other"),
        scores(TRAINED).assign(task=lambda frame: frame["task"] + "+shuffled_labels"),
        scores(TRAINED).assign(task="t"),
    ]
    asked = pd.concat([answers(ASKED), answers(ASKED, train_fraction=0.5)])
    assert descriptors(pd.concat([scores(TRAINED), *others]), asked, KINDS).equals(table())
    alone = descriptors(scores(TRAINED), pd.DataFrame(), KINDS)
    assert set(alone["mode"]) == {END_TO_END, FLOOR}
    with pytest.raises(DataError, match="key"):
        descriptors(scores(TRAINED).drop(columns="key"), pd.DataFrame(), KINDS)


def test_one_fold_has_no_interval() -> None:
    found = descriptors(scores(TRAINED, folds=1), answers(ASKED, folds=1), KINDS)
    assert found[["low", "high", "gain_low"]].isna().all(axis=None)
    assert found["r2"].notna().all()
    (section,) = descriptor_sections(found)
    assert not any("learns" in line or "Control" in line for line in section.lines)


# ---------------------------------------------------------------------- descriptors that hardly vary


def spreads(by_fold: dict[tuple[str, int], float], task: str = "t", data: str = "d") -> pd.DataFrame:
    rows = [(task, data, name, fold, spread) for (name, fold), spread in by_fold.items()]
    return pd.DataFrame(rows, columns=["task", "data", *SPREADS])


def test_spreads_are_relative_to_the_training_part() -> None:
    values = np.array([[0.0, 1.0, 5.0, 0.0], [4.0, 1.0, 5.0, 2.0], [0.0, 1.0, 5.0, np.nan], [1.0, 3.0, 5.0, 1.0]])
    found = relative_spreads(values, np.array([0, 1]), np.array([2, 3]))
    assert found.tolist() == [0.25, 0.0, 0.0, 0.0]
    assert relative_spreads(values, np.array([0, 1]), np.array([0, 1])).tolist() == [1.0, 0.0, 0.0, 1.0]


def test_folds_on_which_a_descriptor_hardly_varies_are_left_out_and_named() -> None:
    outlier = answers(ASKED)
    outlier.loc[(outlier["descriptor"] == "c") & (outlier["fold"] == 1), "r2"] = -5000.0
    trained = scores(TRAINED)
    trained.loc[(trained["task"] == "t+descriptor:c"), "score"] = -5000.0
    known = [
        spreads({("c", 0): 1.0, ("c", 1): 0.001, ("density", 1): 0.5}),
        spreads({("c", fold): 0.001 for fold in range(5)}, "t+descriptor:c"),
        spreads({("density", 0): 0.0}, data="other"),
    ]
    table = descriptors(trained, pd.concat([outlier, *known], ignore_index=True), KINDS)
    found = table.set_index(["descriptor", "mode"])
    linear = found.loc[("c", LINEAR)]
    assert linear["r2"] == pytest.approx(0.2, abs=0.01)
    assert (linear["folds"], linear["undefined"], linear["seeds"]) == (4, 1, 2)
    for mode in (END_TO_END, FLOOR):
        never = found.loc[("c", mode)]
        assert never[["r2", "low", "high", "gain", "gain_low"]].isna().all()
        assert (never["folds"], never["undefined"], never["seeds"], never["rows"]) == (0, 5, 0, 100)
    assert (found.loc["density", "undefined"] == 0).all()
    assert table[["rows", "folds", "seeds", "undefined"]].dtypes.eq("int64").all()
    (section,) = descriptor_sections(table)
    (line,) = [line for line in section.lines if line.startswith("No R²")]
    assert "by less than 10 % of its standard deviation in training (– if on all folds): c (5 of 5 folds)." in line
    assert section.rows[1][0] == "c (cell)" and section.rows[1].count("–") == 2
