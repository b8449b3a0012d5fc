"""The page on periodicity: its numbers follow from the records, for any subset of the models."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from helpers import record

from benchmarks import periodicity
from crystalbench.errors import DataError
from crystalbench.evaluation.paired import Estimate
from crystalbench.results.loading import Results
from crystalbench.results.record import Record, RecordedPredictions, RowCounts
from crystalbench.results.store import RecordStore

COUNTS = np.array([2, 4, 8, 2, 4, 10])
PER_ATOM = np.array([20.0, 21.0, 22.0, 23.0, 24.0, 25.0])
CELL, ATOM = "gong_cv_per_cell", "gong_cv_per_atom"


def made(task: str, label: str, errors: np.ndarray, **parameters: object) -> Record:
    """A record whose predictions are off by these errors."""
    targets = PER_ATOM * COUNTS if task.endswith("cell") else PER_ATOM
    ids = [f"mp-{i}" for i in range(len(targets))]
    return record(
        task=task,
        data=task.ljust(64, "0"),
        label=label,
        model=label.partition("_")[0],
        parameters=parameters,
        unit="J/(mol K)",
        predictions=RecordedPredictions(ids=ids, targets=targets.tolist(), values=(targets + errors).tolist()),
        rows=RowCounts(train=20, valid=4, test=6, task=30, task_total=30, task_folds=1),
    )


@pytest.fixture
def records() -> list[Record]:
    """Per cell: errors of 40, 8 (hybrid), 10 (sum), 16 (atom count); per atom: 1 (cgcnn), 0.5 (hybrid), 4 (dummy)."""
    one = np.ones(len(COUNTS))
    return [
        made(CELL, "cgcnn", 40 * one, readout="mean"),
        made(CELL, "cgcnn_sum", -10 * one, readout="sum"),
        made(CELL, "hybrid", 8 * one, bank="gong28"),
        made(CELL, "cgcnn_atom_count", 16 * one, bank="atom_count"),
        made(CELL, "dummy", 60 * one),
        made(ATOM, "cgcnn", one, readout="mean"),
        made(ATOM, "hybrid", -0.5 * one, bank="gong28"),
        made(ATOM, "cgcnn_sum", one),
        made(ATOM, "cgcnn_atom_count", one),
        made(ATOM, "dummy", 4 * one),
    ]


def rows_of(text: str, start: str) -> list[list[str]]:
    """Cells of the table rows that begin with something."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith(start)]


def test_every_number_of_the_page_follows_from_the_records(records: list[Record]) -> None:
    text = periodicity.page(Results(records))
    assert "6 test rows, of 2 to 10 atoms (5.0 on average)" in text
    per_cell = f"{40 * (1 / COUNTS).mean():.3f}".rstrip("0")
    assert rows_of(text, "| `cgcnn` ") == [["`cgcnn`", "40.00", per_cell.ljust(5, "0"), "5.000", "1.000", "1"]]
    assert rows_of(text, "| `hybrid`: ") == [
        [
            "`hybrid`: descriptors beside the pooled embedding (bank = gong28)",
            "8.000",
            "80.0 % (80.0 to 80.0)",
            "–",
        ]
    ]
    cells = {row[0].split(":")[0]: row[1:] for row in rows_of(text, "| `") if len(row) == 4}
    assert cells["`cgcnn_sum`"] == ["10.00", "75.0 % (75.0 to 75.0)", "93.8 % (93.8 to 93.8)"]
    assert cells["`cgcnn_atom_count`"] == ["16.00", "60.0 % (60.0 to 60.0)", "75.0 % (75.0 to 75.0)"]
    assert cells["`cgcnn × atoms`"][:2] == ["5.000", cells["`cgcnn × atoms`"][1]]
    assert cells["`cgcnn × atoms`"][1].startswith("87.5 % (")  # 5 atoms on average times 1, compared with 40
    assert cells["`dummy × atoms`"][1].startswith("50.0 % (")
    remaining = {row[0]: row[1:] for row in rows_of(text, "| `") if len(row) == 3}
    assert remaining["`hybrid` against `cgcnn_sum`"] == ["per cell", "20.0 % (20.0 to 20.0)"]
    assert remaining["`hybrid` against `cgcnn_atom_count`"] == ["per cell", "50.0 % (50.0 to 50.0)"]
    assert remaining["`hybrid × atoms` against `cgcnn × atoms`"] == ["per cell", "50.0 % (50.0 to 50.0)"]
    assert remaining["`hybrid` against `cgcnn`, both trained per atom"] == ["per atom", "50.0 % (50.0 to 50.0)"]
    assert "(readout = mean)" in text
    assert "gong_internal_energy_per_cell: no records" in text
    assert "gong_cv_per_cell: no records" not in text


def test_models_without_records_are_listed_as_missing(records: list[Record]) -> None:
    text = periodicity.page(Results([r for r in records if r.label in ("cgcnn", "dummy")]))
    assert "gong_cv_per_cell: no records of cgcnn_sum, hybrid, cgcnn_atom_count" in text
    cells = {row[0].split(":")[0]: row[1:] for row in rows_of(text, "| `") if len(row) == 4}
    assert cells["`hybrid`"] == ["–", "–", "–"]
    assert cells["`cgcnn × atoms`"][1].startswith("87.5 %")
    assert cells["`cgcnn × atoms`"][2] == "–"
    assert "once the number of atoms is known" not in text


@pytest.mark.parametrize("task", [CELL, ATOM])
def test_one_task_is_enough(records: list[Record], task: str) -> None:
    text = periodicity.page(Results([r for r in records if r.spec.task == task]))
    other = ATOM if task == CELL else CELL
    assert f"{other}: no records" in text
    assert "atoms (" not in text.partition("6 test rows")[2].splitlines()[0]
    [row] = rows_of(text, "| `cgcnn` ")
    assert row[1:5] == (["40.00", "–", "–", "–"] if task == CELL else ["–", "–", "–", "1.000"])


def test_there_are_no_shares_without_a_reduction(records: list[Record]) -> None:
    kept = [r for r in records if r.label != "hybrid"]
    text = periodicity.page(Results([*kept, made(CELL, "hybrid", 44 * np.ones(6))]))
    cells = {row[0].split(":")[0]: row[1:] for row in rows_of(text, "| `") if len(row) == 4}
    assert cells["`hybrid`"] == ["44.00", "-10.0 % (-10.0 to -10.0)", "–"]
    assert cells["`cgcnn_sum`"] == ["10.00", "75.0 % (75.0 to 75.0)", "–"]


def test_an_undefined_interval_is_marked() -> None:
    assert periodicity._percent(Estimate(0.5, math.nan, math.nan)) == "50.0 % (no interval)"
    assert periodicity._percent(Estimate(0.5, 0.4, 0.61)) == "50.0 % (40.0 to 61.0)"


def test_tasks_with_different_rows_are_not_joined(records: list[Record]) -> None:
    kept = [r for r in records if r.spec.task == CELL]
    part = kept[0].predictions.model_copy(update={"ids": [f"mp-{i}" for i in range(1, 7)]})
    text = periodicity.page(Results([*kept, made(ATOM, "cgcnn", np.ones(6)).model_copy(update={"predictions": part})]))
    assert "records of different rows, so per cell and per atom are not joined" in text
    assert rows_of(text, "| `cgcnn × atoms`")[0][1] == "–"


def test_targets_of_different_cells_are_refused(records: list[Record]) -> None:
    found = periodicity.findings(Results(records), periodicity.PROPERTIES[0])
    assert found.counts is not None and found.counts.tolist() == COUNTS.tolist()
    bad = made(ATOM, "cgcnn", np.ones(6))
    targets = [*bad.predictions.targets[:3], 7.0, *bad.predictions.targets[4:]]
    bad = bad.model_copy(update={"predictions": bad.predictions.model_copy(update={"targets": targets})})
    with pytest.raises(DataError, match=r"mp-3: its target per cell, 46, is not a multiple of its target per atom, 7"):
        periodicity.page(Results([made(CELL, "cgcnn", np.ones(6)), bad]))


def test_the_command(records: list[Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert periodicity.main(["--results", str(tmp_path)]) == 1
    assert "there are no records of gong_cv_per_cell" in capsys.readouterr().err
    store = RecordStore(tmp_path / "records")
    paths = [store.write(r) for r in records]
    assert periodicity.main(["--results", str(tmp_path)]) == 0
    page = (tmp_path / "periodicity.md").read_text(encoding="utf-8")
    assert page == periodicity.page(Results(records))
    assert periodicity.main(["--results", str(tmp_path)]) == 0
    assert (tmp_path / "periodicity.md").read_text(encoding="utf-8") == page
    paths[-1].write_text("{}", encoding="utf-8")
    assert periodicity.main(["--results", str(tmp_path)]) == 1
    assert "not counted" in capsys.readouterr().err
    assert "gong_cv_per_atom: no records of dummy" in (tmp_path / "periodicity.md").read_text(encoding="utf-8")
