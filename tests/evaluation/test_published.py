from __future__ import annotations

import importlib.resources

import numpy as np
import pytest

from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.evaluation.published import FILE, FOLD_COLUMNS, published, published_scores
from crystalbench.targets import METRICS, Kind
from crystalbench.tasks.matbench.official import OFFICIAL


def test_shape_of_the_table() -> None:
    table = published_scores()
    assert len(table) == 602
    assert set(table["task"]) == set(OFFICIAL)
    assert table["algorithm"].nunique() == 31
    assert table.loc[table["leaderboard"], "algorithm"].nunique() == 28
    assert set(table["source"]) == {"json", "docs", "history"}
    np.testing.assert_array_equal(table["leaderboard"], table["source"] != "history")
    assert not table.duplicated(["task", "algorithm", "metric"]).any()
    assert not table.isna().any().any()
    for task in OFFICIAL.values():
        metrics = set(table.loc[table["task"] == task.name, "metric"])
        regression = {"mae", "rmse", "max_error"}
        labels = {"accuracy", "balanced_accuracy", "f1", "rocauc"}
        assert metrics == (regression if task.kind is Kind.REGRESSION else labels)
        assert metrics <= set(METRICS)
        assert task.metric in metrics


def test_means_and_deviations_are_those_of_the_folds() -> None:
    table = published_scores()
    folds = table[list(FOLD_COLUMNS)].to_numpy()
    slack = np.where(table["source"] == "docs", 2e-4, 0) + 1e-5 * table["mean"].abs()
    assert (np.abs(table["mean"] - folds.mean(axis=1)) <= slack).all()
    assert (np.abs(table["std"] - folds.std(axis=1)) <= slack).all()


def test_identities_of_the_metrics() -> None:
    wide = published_scores().pivot(index=["task", "algorithm"], columns="metric", values="fold_3")
    regression = wide.dropna(subset="mae")
    assert (regression["mae"] <= regression["rmse"]).all()
    assert (regression["rmse"] <= regression["max_error"]).all()
    labels = wide.dropna(subset="rocauc")
    np.testing.assert_allclose(labels["rocauc"], labels["balanced_accuracy"], rtol=1e-12)


def test_known_values() -> None:
    # Typed from Matbench's results files and documentation.
    phonons = published("matbench_phonons", "mae").set_index("algorithm")
    assert phonons.loc["coGN", ["mean", "std", "fold_0", "fold_4"]].tolist() == [29.7117, 1.9968, 32.1211, 26.1921]
    jdft2d = published("matbench_jdft2d", "mae").set_index("algorithm")
    assert jdft2d.loc["ALIGNN", "fold_0"] == pytest.approx(37.01059484968159, rel=1e-6)


def test_entries_are_sorted_and_doubtful_ones_have_notes() -> None:
    metals = published("matbench_mp_is_metal", "rocauc")
    assert metals["mean"].is_monotonic_decreasing
    assert published("matbench_phonons", "rmse")["mean"].is_monotonic_increasing
    assert metals.loc[metals["note"] != "", "algorithm"].tolist() == ["CGCNN v2019"]
    assert metals.loc[0, "mean"] == pytest.approx(0.952, abs=1e-3)


def test_the_table_is_a_copy() -> None:
    published_scores()["mean"] = 0.0
    assert (published_scores()["mean"] > 0).all()


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'matbench_phonons'"):
        published("phonons", "mae")
    with pytest.raises(UnknownNameError, match="published metric"):
        published("matbench_phonons", "r2")
    with pytest.raises(ConfigError, match="have mae, max_error, rmse"):
        published("matbench_phonons", "f1")


def test_the_file_says_where_it_comes_from() -> None:
    text = (importlib.resources.files("crystalbench.evaluation") / "data" / FILE).read_text(encoding="utf-8")
    assert "936176db18ca4cd7b38cbd957c017a5bac770c6b" in text
    assert "MIT" in text
    assert len(text) < 150_000
