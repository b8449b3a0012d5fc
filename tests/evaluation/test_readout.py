"""Reductions by descriptors and the verdict, from planted errors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crystalbench.errors import DataError
from crystalbench.evaluation.readout import COLUMNS, FAILS, HOLDS, UNRESOLVED, readout, verdict
from crystalbench.reports.readout import readout_sections, sentence

VARIANTS: dict[str, tuple[str, dict[str, str]]] = {
    "cgcnn": ("cgcnn", {"readout": "mean"}),
    "cgcnn_sum": ("cgcnn", {"readout": "sum"}),
    "cgcnn_atom_count": ("hybrid", {"readout": "mean", "bank": "atom_count"}),
    "hybrid": ("hybrid", {"readout": "mean", "bank": "gong28"}),
    "hybrid_shuffled": ("hybrid", {"readout": "mean", "bank": "gong28_shuffled"}),
    "dummy": ("dummy", {}),
}
ERRORS = {"cgcnn": 10.0, "cgcnn_sum": 1.1, "cgcnn_atom_count": 1.2, "hybrid": 1.0, "hybrid_shuffled": 10.0}


def scores(errors: dict[str, float], folds: int = 5, seeds: int = 3, **facts: Any) -> pd.DataFrame:
    """Errors with the same scatter for all models of a fold and seed, and a little of their own."""
    rng = np.random.default_rng(0)
    common = 1 + 0.02 * rng.standard_normal((folds, seeds))
    rows = []
    for label, error in errors.items():
        name, settings = VARIANTS[label]
        for fold in range(folds):
            for seed in range(1 if name == "dummy" else seeds):
                row = {
                    "task": "gong_cv_per_cell",
                    "data": "d",
                    "model": label,
                    "model_name": name,
                    "view": "full",
                    "protocol": "default",
                    "fold": fold,
                    "seed": seed,
                    "metric": "mae",
                    "score": error * common[fold, seed] + 0.005 * rng.standard_normal(),
                    "unit": "J/(mol K)",
                    "settings": json.dumps({"version": 1, "view_version": 1, **settings}),
                    "rows": 100,
                    "rows_total": 100,
                    "rows_train": 72,
                    "rows_valid": 8,
                    "rows_test": 20,
                    "fold_scheme": "formula:k=5,seed=0",
                    "train_fraction": 1.0,
                    "source": "ours",
                    "key": f"{label}{fold}{seed}{facts}",
                }
                rows.append({**row, **facts})
    return pd.DataFrame(rows)


def test_reductions_and_shares_follow_from_the_errors() -> None:
    table = readout(scores({**ERRORS, "dummy": 12.0})).set_index("model")
    assert list(table.reset_index().columns.sort_values()) == sorted(COLUMNS)
    assert table.loc["cgcnn", "mae"] == pytest.approx(10, rel=0.03)
    assert np.isnan(table.loc["cgcnn", "reduction"])
    assert table.loc["hybrid", "reduction"] == pytest.approx(0.9, abs=0.005)
    assert table.loc["cgcnn_atom_count", "share"] == pytest.approx(8.8 / 9, abs=0.005)
    assert table.loc["cgcnn_sum", ["readout", "descriptors"]].tolist() == ["sum", "none"]
    assert table.loc["hybrid_shuffled", "reduction"] == pytest.approx(0, abs=0.005)
    assert table.loc["dummy", "seeds"] == 1 and table.loc["hybrid", "seeds"] == 3
    assert (table["folds"] == 5).all()
    count = table.loc["cgcnn_atom_count"]
    assert count["share_low"] < count["share"] < count["share_high"]
    # All models have the scatter of folds in common: it does not widen the interval of a ratio.
    assert count["share_high"] - count["share_low"] < 0.01 < count["high"] - count["low"]


def test_the_linearised_interval_agrees_with_a_bootstrap_over_folds() -> None:
    frame = scores(ERRORS, seeds=1)
    rng = np.random.default_rng(1)
    frame["score"] += 0.2 * rng.standard_normal(len(frame)) * (frame["model"] != "cgcnn")
    row = readout(frame).set_index("model").loc["cgcnn_atom_count"]
    by_fold = frame.pivot_table(index="fold", columns="model", values="score")
    draws = rng.integers(5, size=(20_000, 5))
    p, c, h = (by_fold[name].to_numpy()[draws].mean(1) for name in ("cgcnn", "cgcnn_atom_count", "hybrid"))
    spread = ((p - c) / (p - h)).std() * np.sqrt(5 / 4)  # of the mean of five folds, unbiased
    expected = 2 * 2.776 * spread * np.sqrt(0.2 + 0.25) / np.sqrt(0.2)  # t of four degrees of freedom; correction
    assert row["share_high"] - row["share_low"] == pytest.approx(expected, rel=0.05)


def test_a_share_of_nothing_is_undefined() -> None:
    table = readout(scores({**ERRORS, "hybrid": 10.0})).set_index("model")
    assert table["share"].isna().all()
    assert "No verdict: this is not resolved from zero" in sentence(table.reset_index())


def test_one_fold_has_no_interval() -> None:
    table = readout(scores(ERRORS, folds=1, seeds=1)).set_index("model")
    assert table.loc["cgcnn_atom_count", "share"] == pytest.approx(8.8 / 9, abs=0.01)
    assert table[["low", "reduction_low", "share_low"]].isna().all(axis=None)
    assert "is not resolved (97." in sentence(table.reset_index())


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(0.95, 1.1, HOLDS), (0.6, 0.9, FAILS), (0.9, 1.0, UNRESOLVED), (np.nan, np.nan, UNRESOLVED)],
)
def test_the_verdict(low: float, high: float, found: str) -> None:
    assert verdict(low, high) == found


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1.2, "The reduction is extensivity: the number of atoms alone gives at least 95 % of it (97."),
        (6.0, "more than"),
    ],
)
def test_the_verdict_in_words(count: float, words: str) -> None:
    table = readout(scores({**ERRORS, "cgcnn_atom_count": count}))
    (section,) = readout_sections(table)
    assert words in section.lines[0]
    assert section.heading == "gong_cv per cell (100 rows, folds formula:k=5,seed=0), errors in J/(mol K)"
    assert len(section.rows) == len(table)


def test_targets_per_atom_have_a_gain_but_no_verdict() -> None:
    table = readout(scores({"cgcnn": 1.0, "hybrid": 0.8}, task="gong_cv_per_atom"))
    assert table["label"].unique().tolist() == ["per atom"]
    assert sentence(table) == "The 28 descriptors remove 19.9 % [19.3, 20.5] of the error."


def test_other_runs_do_not_count() -> None:
    mine = scores(ERRORS)
    others = [
        scores(ERRORS, task="matbench_phonons"),
        scores(ERRORS, view="anonymous"),
        scores(ERRORS, train_fraction=0.5),
        scores(ERRORS, model_name="sen"),
        scores(ERRORS, metric="rmse"),
    ]
    assert readout(pd.concat([mine, *others])).equals(readout(mine))
    assert readout(mine[mine["model"] != "cgcnn"]).empty  # nothing to compare with
    assert readout(pd.DataFrame(columns=mine.columns)).empty
    with pytest.raises(DataError, match="settings"):
        readout(mine.drop(columns="settings"))
