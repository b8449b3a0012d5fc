"""Import and export from Python give what the commands give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from foreign import GLASS, STEELS

import crystalbench as cb
from crystalbench.errors import DataError, UnknownNameError


def test_predictions_are_imported_and_exported(csv_file: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "results"
    (imported,) = cb.import_predictions(str(csv_file()), folder, task=GLASS, name="new", notes=["a remark"])
    assert imported.is_new
    assert (imported.entry.name, imported.entry.task, imported.entry.notes) == ("new", GLASS, ["a remark"])
    assert imported.path.is_relative_to(folder)
    (again,) = cb.import_predictions(csv_file(), folder, task=GLASS, name="new")
    assert not again.is_new
    results = cb.load_results(folder)
    paths = [
        *cb.export_matbench(folder, "new", tmp_path / "a", authors="A. Nonymous"),
        *cb.export_jarvis(results, "new", str(tmp_path / "b"), GLASS),
    ]
    assert [path.name for path in paths[:2]] == ["results.json.gz", "info.json"]
    assert "A. Nonymous" in paths[1].read_text()
    table = pd.read_csv(paths[2])
    assert list(table.columns) == ["id", "target", "prediction"]
    assert set(table["id"]) == set(results.predictions["id"])


def test_labels_of_other_tasks_are_read_from_a_folder(published: Path, tmp_path: Path) -> None:
    tables = published / "predictions"
    done = cb.import_predictions(
        tables, tmp_path / "results", labels=str(published / "labels"), pretrained_on=["MPtrj"]
    )
    assert [(imported.entry.task, imported.entry.name) for imported in done] == [
        (STEELS, "CrabNet"),
        (STEELS, "New <net>"),
    ]
    assert done[0].entry.pretrained_on == ["MPtrj"]


def test_mistakes_are_named(csv_file: Callable[..., Path], tmp_path: Path) -> None:
    part = csv_file(lambda frame: frame.iloc[:100])
    with pytest.raises(DataError, match="rows are missing"):
        cb.import_predictions(part, tmp_path / "results", task=GLASS)
    cb.import_predictions(part, tmp_path / "results", task=GLASS, partial=True)
    with pytest.raises(DataError, match="only complete entries can be exported"):
        cb.export_matbench(tmp_path / "results", "mine", tmp_path / "out")
    with pytest.raises(UnknownNameError):
        cb.export_jarvis(tmp_path / "results", "other", tmp_path / "out")
