"""Pages about calibration, conformal intervals and composition ceilings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import record

from crystalbench.evaluation import conformal
from crystalbench.evaluation.calibration import LEVELS, calibration
from crystalbench.reports.by_rows import ByRows, by_rows
from crystalbench.reports.calibration import calibration_markdown, calibration_text, write_calibration
from crystalbench.reports.ceiling import ceiling_markdown
from crystalbench.reports.conformal import conformal_markdown
from crystalbench.reports.files import write_by_rows
from crystalbench.results import Results
from crystalbench.results.record import RecordedPredictions, RowCounts
from crystalbench.results.spec import FoldSchemeSpec
from crystalbench.tasks import DataSources


def forest_records(scale: float, label: str = "forest") -> list[Any]:
    rng = np.random.default_rng(0)
    made = []
    for fold in range(5):
        errors = rng.normal(size=200)
        ids, zeros = [f"{fold}-{i}" for i in range(200)], [0.0] * 200
        predictions = RecordedPredictions(ids=ids, targets=zeros, values=errors.tolist(), std=[scale] * 200)
        rows = RowCounts(train=700, valid=100, test=200, task=1000, task_total=1000, task_folds=5)
        made.append(record(fold=fold, label=label, task="mine", predictions=predictions, rows=rows))
    return made


@pytest.mark.parametrize(
    ("scale", "verdict"), [(1.0, "no resolved difference from 90 %"), (0.5, "too narrow"), (2.0, "too wide")]
)
def test_the_verdict_on_standard_deviations(scale: float, verdict: str) -> None:
    frame = calibration(Results(forest_records(scale)).predictions)
    text = calibration_text(frame)
    assert text.startswith("forest: 90 % intervals cover ")
    assert text.endswith(f", {verdict}.")


def test_the_page_on_calibration(tmp_path: Path) -> None:
    several = [*forest_records(1.0), *forest_records(0.0, "a|b")]
    frame = calibration(Results(several).predictions)
    page = calibration_markdown(frame)
    assert "## mine\n" in page
    header = next(line for line in page.splitlines() if line.startswith("| model"))
    assert header.startswith("| model | 50 % | 68 % | 80 % | 90 % | 95 % | area |")
    assert "CRPS (cm⁻¹)" in header
    certain = next(line for line in page.splitlines() if line.startswith("| a\\|b |"))
    assert [cell.strip() for cell in certain.split("|")[3:8]] == ["0.0"] * len(LEVELS)
    assert "| ∞ |" in certain
    assert "for 100.0 % of the rows, the standard deviation is 0." in page
    paths = write_calibration(frame, tmp_path)
    assert [path.name for path in paths] == ["calibration.csv", "calibration.md"]
    pd.testing.assert_frame_equal(pd.read_csv(paths[0]).drop(columns="unit"), frame.drop(columns="unit"), rtol=1e-7)
    assert write_calibration(frame[:0], tmp_path) == []


def test_one_fold_has_no_verdict() -> None:
    frame = calibration(Results(forest_records(1.0)[:1]).predictions)
    assert calibration_text(frame).endswith("(no interval), a single fold says little.")


def test_only_records_with_standard_deviations_are_read_for_calibration() -> None:
    results = Results([*forest_records(1.0), record(task="mine", label="plain")])
    assert results.scores.groupby("model")["has_std"].first().to_dict() == {"forest": True, "plain": False}
    assert set(results.predictions_with_std["model"]) == {"forest"}
    assert len(results.predictions_with_std) == 1000
    assert len(results.predictions) == 1002
    assert set(Results(results.records).predictions_with_std["model"]) == {"forest"}


def covered(coverage: float, low: float, high: float, rows: int = 50, **changes: Any) -> dict[str, Any]:
    plain = {"task": "mine", "model": "m", "method": "plain", "level": 0.9, "slice": "element", "value": "O"}
    return {
        **plain,
        "rows": rows,
        "coverage": coverage,
        "low": low,
        "high": high,
        "width": 12.3,
        "unit": "eV",
        **changes,
    }


def test_the_page_on_conformal_intervals_names_what_is_covered_less() -> None:
    lines = [
        covered(0.9, 0.88, 0.92, slice="all", value="all", rows=500),
        covered(0.7, 0.6, 0.8, slice="crystal_system", value="cubic"),
        covered(0.5, 0.4, 0.6, value="H"),
        covered(0.85, 0.75, 0.95, value="F"),  # not resolved
        covered(0.2, 0.1, 0.3, value="Xe", rows=5),  # few rows
    ]
    page = conformal_markdown(pd.DataFrame(lines, columns=list(conformal.COLUMNS)))
    assert "## mine, 90 %" in page
    row = next(line for line in page.splitlines() if line.startswith("| m "))
    assert "| 90.0 % (88.0 to 92.0) | 12.30 |" in row
    assert row.endswith("| element H: 50.0 % (40.0 to 60.0); crystal system cubic: 70.0 % (60.0 to 80.0) |")
    assert "mean width (eV)" in page


def test_the_page_on_ceilings() -> None:
    plain = {"task": "mine", "part": "all", "metric": "mae", "rows": 1000, "compositions": 900, "data": "d"}
    best = {"model": "forest", "score": 44.6, "unit": "eV"}
    lines = [
        {**plain, "bound": "in_sample", "value": 1.5, "low": 1.0, "high": 2.0, **best},
        {**plain, "bound": "leave_one_out", "value": 3.0, "low": np.nan, "high": np.nan, **best},
        {**plain, "part": "polymorphs", "bound": "in_sample", "value": 9.0, "low": 8.0, "high": 10.0, **best},
        {**plain, "part": "polymorphs", "bound": "leave_one_out", "value": 9.0, "low": 8.0, "high": 10.0, **best},
    ]
    frame = pd.DataFrame(lines)
    frame.loc[frame["part"] == "polymorphs", ["model", "score"]] = ["", np.nan]
    page = ceiling_markdown(frame)
    assert "| mine | all | 1,000 | 900 | MAE (eV) | 1.500 [1.000, 2.000] | 3.000 | forest | 44.60 |" in page
    assert page.splitlines()[-1].endswith("| 9.000 [8.000, 10.000] | 9.000 [8.000, 10.000] | – | – |")


def test_nothing_is_written_of_empty_frames(tmp_path: Path) -> None:
    empty = pd.DataFrame()
    assert write_by_rows(ByRows(empty, empty, empty, []), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_tasks_without_records_or_data_are_problems(tmp_path: Path) -> None:
    other_folds = record(task="demo_formation_energy", fold_scheme=FoldSchemeSpec(name="formula"))
    results = Results([record(), record(task="mine"), other_folds])
    found = by_rows(results, DataSources(data_dir=tmp_path, download=False))
    assert found.slices.empty
    assert found.ceiling.empty
    assert any("mine: is not a registered task" in problem for problem in found.problems)
    assert any("demo_formation_energy: there are no records on its own folds" in problem for problem in found.problems)
    assert any("matbench_phonons" in problem for problem in found.problems)
