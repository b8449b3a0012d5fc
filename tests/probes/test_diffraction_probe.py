"""The probe of diffraction networks, on records of an embedded task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import record

from crystalbench.errors import ConfigError, DataError
from crystalbench.evaluation.genome import COLUMNS
from crystalbench.probes import get_probe, run_probe, written_sections
from crystalbench.probes.diffraction import Diffraction
from crystalbench.probes.running import write_tables
from crystalbench.results import Results
from crystalbench.results.answers import AnswerStore
from crystalbench.results.record import Record, RecordedPredictions
from crystalbench.runs.plan import Selection
from crystalbench.runs.suite import Suite
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
def described(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    store, task = AnswerStore(tmp_path_factory.mktemp("answers")), load_task(TASK)
    store.write_task(TASK, record_data(), Diffraction().describe(task))
    return store.read_all()


def record_data() -> str:
    """The digest that the records of these tests have."""
    return made("net-full", 1.0, 0).spec.data


@pytest.fixture(scope="module")
def tables(results: Results, described: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return Diffraction().evaluate(results, described)


def test_rows_of_a_formula_are_drawn_together(
    results: Results, tables: dict[str, pd.DataFrame], caplog: pytest.LogCaptureFixture
) -> None:
    alone = Diffraction().evaluate(results, pd.DataFrame())["genome"]
    assert "its rows are drawn one by one" in caplog.text
    pd.testing.assert_series_equal(alone["auc"], tables["genome"]["auc"])
    assert (alone["low"] != tables["genome"]["low"]).any()
    assert tables["genome"]["folds"].tolist() == [2] * 4
    assert tuple(tables["genome"]) == COLUMNS


def test_the_report_says_what_is_decided(tables: dict[str, pd.DataFrame]) -> None:
    decisions, areas = Diffraction().report(tables)
    (row,) = decisions.rows
    assert row[:3] == [TASK, "net", "full"]
    assert row[-1] == "symmetry matters more"
    assert areas.titles == ["input", "forest", "net"]
    assert [cells[0] for cells in areas.rows] == ["full", "absences", "none"]
    assert areas.rows[-1][1] == "–"
    (empty,) = Diffraction().report(Diffraction().evaluate(Results([]), pd.DataFrame()))
    assert empty.lines == ["No model has the inputs full, absences and none yet."]


def test_inputs_of_runs_without_a_label_follow_from_their_settings(described: pd.DataFrame) -> None:
    inputs = {"full": 1.0, "absences": 1.0, "none": 0.0}
    records = [
        made("net", s, fold, {"intensities": kind, "scattering": "xray"})
        for kind, s in inputs.items()
        for fold in (0, 1)
    ]
    found = Diffraction().evaluate(Results(records), described)
    assert found["genome"]["input"].tolist() == ["absences", "full", "none"]
    assert found["genome_decisions"]["verdict"].tolist() == ["symmetry"]


def test_records_of_other_rows_are_left_out(
    results: Results,
    tables: dict[str, pd.DataFrame],
    described: pd.DataFrame,
    caplog: pytest.LogCaptureFixture,
) -> None:
    others = [made("net-full", 0.0, 0, data="e" * 64)]
    found = Diffraction().evaluate(Results([*results.records, *others]), described)
    assert f"{TASK}: 1 of 9 records are of other rows or targets and left out" in caplog.text
    pd.testing.assert_frame_equal(found["genome"], tables["genome"])


def test_formulas_are_kept_and_other_targets_refused(tmp_path: Path) -> None:
    suite, selection = Suite(name="s", tasks=(TASK,), models=("dummy",)), Selection(models=("dummy",), folds=(0,))
    probe = get_probe("diffraction")
    probed = run_probe("diffraction", probe.plan(suite, selection, HERE), tmp_path, workers=1)
    kept = AnswerStore.of(tmp_path, "diffraction", probe.version).read_all()
    task = load_task(TASK)
    assert kept["id"].tolist() == task.inputs.ids.tolist()
    assert set(kept["data"]) == {task.digest}
    assert (tmp_path / "genome.csv").is_file()
    assert (tmp_path / "genome_decisions.csv").is_file()
    assert probed.tables["genome"]["auc"].tolist() == [0.5]
    regression = probe.plan(Suite(name="s", tasks=("demo_bulk_modulus",), models=("dummy",)), selection, HERE)
    with pytest.raises(ConfigError, match="demo_bulk_modulus is a task of regression, and it takes those of binary or"):
        run_probe("diffraction", regression, tmp_path, workers=1)


def test_written_tables_are_reported_again(results: Results, described: pd.DataFrame, tmp_path: Path) -> None:
    assert written_sections(tmp_path, ["diffraction"]) == {}
    probe = Diffraction()
    tables = probe.evaluate(results, described)
    write_tables(tables, tmp_path)
    (sections,) = written_sections(tmp_path, ["capsules", "diffraction"]).values()
    assert [section.heading for section in sections] == [section.heading for section in probe.report(tables)]
    assert sections[0].rows[0][-1] == "symmetry matters more"
    suite_of_its_own = tmp_path / "all"
    suite_of_its_own.mkdir()
    for table in probe.tables:
        (tmp_path / f"{table}.csv").rename(suite_of_its_own / f"{table}.csv")
    assert written_sections(tmp_path, ["diffraction"]) == {probe.description: sections}
    write_tables(tables, tmp_path)
    (tmp_path / "genome.csv").write_text("task,model\na,b\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"genome\.csv: has no column input"):
        written_sections(tmp_path, ["diffraction"])
