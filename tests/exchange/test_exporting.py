from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from foreign import GLASS, STEELS
from typer.testing import CliRunner

from crystalbench.cli.app import app
from crystalbench.errors import DataError, UnknownNameError
from crystalbench.exchange.exporting import export_jarvis, export_matbench
from crystalbench.exchange.importing import import_path
from crystalbench.results import Results, load_results


@pytest.fixture
def results(tmp_path: Path, published: Path, steels: pd.DataFrame, csv_file: Callable[..., Path]) -> Results:
    """The entry ``mine`` of both tasks, with standard deviations on steels."""
    table = steels[["id"]].assign(prediction=steels["target"] * 1.01, std=np.linspace(1, 9, len(steels)))
    table.to_csv(tmp_path / "steels.csv", index=False)
    import_path(tmp_path / "steels.csv", tmp_path / "r", task=STEELS, name="mine", labels=published / "labels")
    import_path(csv_file(), tmp_path / "r", task=GLASS)
    return load_results(tmp_path / "r")


def test_matbench_itself_reads_and_validates_the_file(results: Results, tmp_path: Path) -> None:
    bench = pytest.importorskip("matbench.bench")
    path, _ = export_matbench(results, "mine", tmp_path / "out")
    with gzip.open(path, "rt") as stream:
        found = bench.MatbenchBenchmark.from_dict(json.load(stream))  # checks the hash, and validates each task
    assert sorted(found.tasks_map) == [GLASS, STEELS]
    assert found.is_recorded
    assert found.is_valid
    for task, metric in ((STEELS, "mae"), (GLASS, "rocauc")):
        mine = results.select(task=task, metric=metric).scores["score"]
        assert found.tasks_map[task].scores[metric]["mean"] == pytest.approx(mine.mean(), rel=1e-12)
    relative = found.tasks_map[STEELS].scores["mape"]["mean"]
    assert relative == pytest.approx(0.01, rel=1e-9)


def test_an_exported_entry_is_imported_as_it_was(results: Results, tmp_path: Path, published: Path) -> None:
    export_matbench(results, "mine", tmp_path / "out", authors="A. Nonymous")
    info = json.loads((tmp_path / "out" / "info.json").read_text())
    assert (info["algorithm"], info["authors"]) == ("mine", "A. Nonymous")
    import_path(tmp_path / "out", tmp_path / "again", labels=published / "labels")
    again = load_results(tmp_path / "again")
    names = ["task", "fold", "id", "target", "prediction", "std"]
    pd.testing.assert_frame_equal(
        results.predictions[names].sort_values(["task", "id"], ignore_index=True),
        again.predictions[names].sort_values(["task", "id"], ignore_index=True),
    )
    assert set(again.scores["notes"]) == {""}  # the recorded scores are the recomputed ones


def test_what_is_missing_is_listed(results: Results, tmp_path: Path, csv_file: Callable[..., Path]) -> None:
    part = csv_file(lambda frame: frame.iloc[:-2], "part.csv")
    import_path(part, tmp_path / "r", task=GLASS, partial=True)
    incomplete = load_results(tmp_path / "r")
    with pytest.raises(
        DataError, match=r"part: is not complete.* matbench_glass: 2 of 5,680 rows are missing: mb-glass"
    ):
        export_matbench(incomplete, "part", tmp_path / "out")
    with pytest.raises(DataError, match=r"matbench_glass: folds 2, 3, 4 are missing; run what is missing"):
        export_jarvis(results.select(fold=[0, 1], task=GLASS), "mine", tmp_path / "out")
    with pytest.raises(DataError, match="matbench_phonons: it was not run"):
        export_matbench(results, "mine", tmp_path / "out", ["matbench_phonons"])
    with pytest.raises(UnknownNameError, match="Did you mean 'mine'"):
        export_matbench(results, "mime", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_csv_file_per_task_for_jarvis(results: Results, tmp_path: Path) -> None:
    ran = CliRunner().invoke(
        app, ["export", "jarvis", "mine", "--results", str(tmp_path / "r"), "--out", str(tmp_path / "out")]
    )
    assert ran.exit_code == 0, ran.output
    names = [
        "AI-SinglePropertyClass-gfa-matbench_glass-test-acc.csv",
        "AI-SinglePropertyPrediction-yield_strength-matbench_steels-test-mae.csv",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{name}.zip" for name in names]
    with zipfile.ZipFile(tmp_path / "out" / f"{names[1]}.zip") as archive:
        assert archive.namelist() == [names[1]]
        table = pd.read_csv(archive.open(names[1]))
    assert table.columns.tolist() == ["id", "target", "prediction"]
    np.testing.assert_allclose(table["prediction"], 1.01 * table["target"])
    labels = pd.read_csv(tmp_path / "out" / f"{names[0]}.zip")
    assert set(labels["prediction"]) == {0, 1}
