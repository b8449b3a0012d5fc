"""Files and page of the suite `genome`, from records of an embedded task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import record

from crystalbench.errors import DataError
from crystalbench.evaluation.genome import COLUMNS, GenomeResults, genome
from crystalbench.reports.genome import genome_markdown, genome_of, genome_to_csv, write_genome
from crystalbench.results import Results
from crystalbench.results.record import Record, RecordedPredictions
from crystalbench.tasks import DataSources, load_task

TASK = "demo_dynamically_stable"
HERE = DataSources(download=False)


def made(label: str, strength: float, fold: int, parameters: dict[str, Any] | None = None, **changes: Any) -> Record:
    task = load_task(TASK)
    _, rows = task.split(fold)
    y = task.targets[rows]
    noise = np.random.default_rng(fold).normal(size=len(y))
    values = 1 / (1 + np.exp(-(strength * (2 * y - 1) + noise)))
    return record(
        label=label,
        model=label.partition("-")[0],
        parameters={"label": label, **(parameters or {})},
        task=TASK,
        fold=fold,
        kind="binary",
        unit="",
        metric="rocauc_true",
        scores={"rocauc_true": 0.5},
        predictions=RecordedPredictions(ids=task.inputs.ids[rows].tolist(), targets=y.tolist(), values=values.tolist()),
        **changes,
    )


@pytest.fixture(scope="module")
def results() -> Results:
    strengths = {"net-full": 1.0, "net-absences": 1.0, "net-none": 0.0, "forest": 0.5}
    return Results([made(label, s, fold) for label, s in strengths.items() for fold in (0, 1)])


@pytest.fixture(scope="module")
def found(results: Results) -> GenomeResults:
    return genome_of(results, HERE)[0]


def test_rows_of_a_formula_are_drawn_together(results: Results, found: GenomeResults) -> None:
    alone = genome(results.predictions).areas
    pd.testing.assert_series_equal(alone["auc"], found.areas["auc"])
    assert (alone["low"] != found.areas["low"]).any()
    assert found.areas["folds"].tolist() == [2] * 4


def test_files(found: GenomeResults, tmp_path: Path) -> None:
    table, page = write_genome(found, tmp_path)
    assert (table.name, page.name) == ("genome.csv", "genome.md")
    lines = table.read_text(encoding="utf-8").splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert lines[0].startswith("task,model,input,auc,low,high,seeds")
    assert len(lines) == 5
    assert lines[1].startswith(f"{TASK},forest,full,0.")
    assert page.read_text(encoding="utf-8") == genome_markdown(found)


def test_the_page_says_what_is_decided(found: GenomeResults) -> None:
    page = genome_markdown(found)
    decision = next(line for line in page.splitlines() if line.startswith(f"| {TASK} | `net` | full |"))
    assert decision.endswith("symmetry matters more |")
    assert "| input | `forest` | `net` |" in page
    assert "| none |  | 0." in page
    empty = genome_markdown(genome(Results([]).predictions))
    assert "No model has the inputs full, absences and none yet." in empty


def test_inputs_of_runs_without_a_label_follow_from_their_settings() -> None:
    inputs = {"full": 1.0, "absences": 1.0, "none": 0.0}
    records = [
        made("net", s, fold, {"intensities": kind, "scattering": "xray"})
        for kind, s in inputs.items()
        for fold in (0, 1)
    ]
    found, _ = genome_of(Results(records), HERE)
    assert found.areas["input"].tolist() == ["absences", "full", "none"]
    assert found.decisions["verdict"].tolist() == ["symmetry"]


def test_records_of_other_rows_are_left_out(results: Results) -> None:
    others = [made("net-full", 0.0, 0, data="e" * 64)]
    found, problems = genome_of(Results([*results.records, *others]), HERE)
    assert problems == [f"{TASK}: 1 of 9 records are of other rows or targets and left out"]
    assert genome_to_csv(found.areas) == genome_to_csv(genome_of(results, HERE)[0].areas)
    _, problems = genome_of(results, HERE, ["demo_crystal_system"])
    assert problems == ["demo_crystal_system: there are no records"]


def test_missing_data_of_a_task_is_an_error(tmp_path: Path) -> None:
    one = Results([made("net-full", 1.0, 0)])
    one.scores["task"] = "genome_bulk_modulus"
    with pytest.raises(DataError, match="genome_bulk_modulus"):
        genome_of(one, DataSources(tmp_path, download=False))
