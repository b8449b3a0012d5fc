"""Drifts of predictions, from answers alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crystalbench.evaluation.invariance import COLUMNS, invariance
from crystalbench.reports.invariance import invariance_sections


def answers(transform: str, after: list[float], **facts: Any) -> pd.DataFrame:
    """Predictions of three crystals, before 10, 20 and 30, of cells that the transformation doubles."""
    before = np.array([10.0, 20.0, 30.0])
    values = {
        "transform": transform,
        "expected": "nearly unchanged" if transform.startswith("noise") else "unchanged",
        "id": ["a", "b", "c"],
        "formula": ["NaCl", "Si", "Fe"],
        "before": before,
        "after": after,
        "change": np.abs(np.array(after) - before),
        "change_per_atom": np.abs(np.array(after) / 2 - before),
        "error": [1.0, 2.0, 3.0],
    }
    plain = {
        "task": "t",
        "model": "m",
        "protocol": "default",
        "view": "full",
        "fold": 0,
        "seed": 0,
        "kind": "regression",
        "unit": "eV",
        "rows": 15,
        "fold_scheme": "official",
        "train_fraction": 1.0,
        "settings": json.dumps({"version": 1, "view_version": 1}),
    }
    return pd.DataFrame(values).assign(**{**plain, **facts})


def test_drift_is_in_the_unit_and_in_errors_and_names_the_worst_crystal() -> None:
    table = invariance(pd.concat([answers("rotation", [10.0, 20.0, 30.3]), answers("noise_0.1", [11.0, 20.0, 28.0])]))
    assert tuple(table) == COLUMNS
    rotation, noise = table.to_dict("records")
    assert (rotation["drift"], rotation["relative_to_error"]) == pytest.approx((0.1, 0.05))
    assert (rotation["max_id"], rotation["max_formula"]) == ("c", "Fe")
    assert (rotation["max"], rotation["max_before"], rotation["max_after"]) == pytest.approx((0.3, 30.0, 30.3))
    assert rotation["share_beyond"] == pytest.approx(1 / 3)
    assert (noise["drift"], noise["error"], noise["crystals"]) == (1.0, 2.0, 3)


def test_folds_and_seeds_are_averaged() -> None:
    parts = [answers("origin", [10.0 + change, 20, 30], fold=f, seed=s) for change, f, s in ((3, 0, 0), (0, 1, 2))]
    (row,) = invariance(pd.concat(parts)).to_dict("records")
    assert (row["drift"], row["folds"]) == (0.5, 2)


def test_the_number_of_seeds_is_that_of_the_fold_with_the_fewest() -> None:
    parts = [answers("origin", [10.0, 20, 30], fold=f, seed=s) for f, s in ((0, 0), (0, 1), (1, 2))]
    assert invariance(pd.concat(parts))["seeds"].tolist() == [1]
    assert invariance(pd.concat(parts[:2]))["seeds"].tolist() == [2]


def test_predictions_that_grow_with_the_cell_are_told_from_those_that_drift() -> None:
    parts = [answers("supercell", [20.0, 40.0, 60.0]), answers("origin", [12.0, 20.0, 30.0])]
    table = invariance(pd.concat(parts))
    grown = table[table["transform"] == "supercell"].iloc[0]
    assert (grown["drift"], grown["drift_per_atom"], grown["median_ratio"]) == (20.0, 0.0, 2.0)
    section, detail = invariance_sections(table)
    assert section.heading == "t (15 rows): drift of predictions"
    assert [[str(cell) for cell in row] for row in section.rows] == [["supercell", "1000 %"], ["origin", "33 %"]]
    assert "m depends on what has no meaning: origin (33 % of the error)." in section.lines
    assert "m grows with the cell, right for a property of the cell only: supercell." in section.lines
    assert detail.heading == "m on t (15 rows)" and detail.detail


def test_former_versions_are_left_out() -> None:
    old = answers("origin", [99.0, 99.0, 99.0], settings=json.dumps({"version": 0, "view_version": 1}))
    (row,) = invariance(pd.concat([old, answers("origin", [10.0, 20.0, 30.0])])).to_dict("records")
    assert row["drift"] == 0
    section, detail = invariance_sections(pd.DataFrame([row]))
    assert detail.rows[0][5] == "–"  # no worst crystal
    assert "m is unchanged within 1 % of the error: origin." in section.lines


def test_views_have_columns_of_their_own_and_an_empty_unit_is_not_shown() -> None:
    table = invariance(pd.concat([answers("origin", [12.0, 20.0, 30.0], view=view) for view in ("full", "anonymous")]))
    section, first, second = invariance_sections(table.assign(unit=np.nan))  # as read from a file
    assert section.titles == ["transformation", "m", "m (anonymous)"]
    assert second.heading == "m (anonymous) on t (15 rows)"
    assert first.lines[0].startswith("Error: 2 (3 test crystals")


def test_no_answers_are_an_empty_table() -> None:
    assert tuple(invariance(pd.DataFrame())) == COLUMNS
    assert invariance_sections(invariance(pd.DataFrame())) == []
