"""``crystalbench compare``: a verdict in words, tables, and errors that suggest names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import ENERGY, call, failed
from helpers import record

from crystalbench.results.record import RecordedPredictions, RowCounts
from crystalbench.results.store import RecordStore
from crystalbench.tasks import load_task

ROWS = 60
PHONONS = "matbench_phonons"


def write(label: str, errors: Any, task: str = ENERGY, **changes: Any) -> None:
    """Records of a model whose predictions of each fold are off by this much, for rows of the demo task."""
    loaded = load_task(ENERGY, limit=ROWS)
    store = RecordStore(Path("results/records"))
    for fold, error in enumerate(errors):
        mine = loaded.folds == fold
        y, ids = loaded.targets[mine], loaded.inputs.ids[mine].tolist()
        values = y + error * np.where(np.arange(len(y)) % 2, 1.1, 0.9)
        plain = {
            "task": task,
            "label": label,
            "model": label,
            "unit": "eV/atom",
            "rows": RowCounts(train=40, valid=8, test=len(ids), task=ROWS, task_total=1168, task_folds=5),
            "scores": {"mae": float(np.abs(values - y).mean()), "rmse": 1.0, "r2": 0.5, "max_error": 2.0},
            "predictions": RecordedPredictions(ids=ids, targets=y.tolist(), values=values.tolist()),
        }
        store.write(record(fold=fold, **{**plain, **changes}))


@pytest.fixture
def _records() -> None:
    write("good", [0.10, 0.11, 0.09, 0.10, 0.12])
    write("bad", [0.30, 0.32, 0.31, 0.29, 0.30])
    write("close", [0.12, 0.09, 0.10, 0.10, 0.12])
    write("part", [0.5, 0.5])


@pytest.mark.usefixtures("_records")
def test_the_verdict_is_one_line_and_the_tables_follow() -> None:
    result = call("compare", "good", "bad", "--task", ENERGY)
    assert result.exit_code == 0, result.output
    first = result.output.splitlines()[0]
    assert first.startswith(f"good is better than bad on {ENERGY} by 0.199 ± 0.010 eV/atom MAE")
    assert first.endswith("p < 0.0001; resolved")
    assert "(95 % interval 0.171 to 0.227 eV/atom)" in first
    assert "60 common test rows in folds 0, 1, 2, 3, 4; 1 seed per fold" in result.output
    assert "compositions)" in result.output  # the data of demo tasks ship with the package
    for test in ("corrected t-test", "Bayesian correlated t-test", "bootstrap", "between seeds"):
        assert all(word in result.output for word in test.split())  # cells wrap on a narrow terminal


@pytest.mark.usefixtures("_records")
def test_entries_that_cannot_be_told_apart() -> None:
    result = call("compare", "good", "close", "--task", ENERGY)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"good and close cannot be told apart on {ENERGY}: good − close = ")
    assert result.output.splitlines()[0].endswith("; not resolved")


@pytest.mark.usefixtures("_records")
def test_missing_folds_are_named() -> None:
    result = call("compare", "bad", "part", "--task", ENERGY, "--metric", "rmse")
    assert result.exit_code == 0, result.output
    assert "in folds 0, 1 of 5: the others are missing for one of the entries" in result.output
    assert "RMSE" in result.output


@pytest.mark.usefixtures("_records")
def test_entries_are_named_as_on_boards_or_by_configuration() -> None:
    write("good", [0.2] * 5, view="no_density", tuning={"trials": 3})
    write("good", [0.3, 0.2, 0.3, 0.2, 0.3], parameters={"width": 1})
    for name in ("good (tuned, no_density)", "good (tuned) (no_density)"):
        assert call("compare", name, "bad", "--task", ENERGY).exit_code == 0
    result = call("compare", "good (width=1)", "bad", "--task", ENERGY)
    assert result.exit_code == 0, result.output
    assert "good (width=1)" in result.output.splitlines()[0]
    failed(
        call("compare", "good", "bad", "--task", ENERGY),
        "Did you mean 'good (tuned, no_density)' or 'good (width=1)' or ",
    )


@pytest.mark.usefixtures("_records")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("god", "bad", "--task", ENERGY), f"Unknown entry of {ENERGY} 'god'. Did you mean 'good'"),
        (("good", "bad", "--task", "demo_formation_enrgy"), "Did you mean 'demo_formation_energy'?"),
        (("good", "good", "--task", ENERGY), "are the same entry"),
        (("good", "bad", "--task", ENERGY, "--metric", "mea"), "Unknown metric 'mea'"),
        (("good", "bad", "--task", ENERGY, "--results", "nowhere"), "nowhere/records: there are no records"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], says: str) -> None:
    failed(call("compare", *arguments), says)


def test_published_entries_are_compared_by_their_scores_of_the_folds() -> None:
    rows = {"task": PHONONS, "rows": record().rows, "unit": "cm⁻¹"}
    write("ours", [100.0, 110.0, 90.0, 100.0, 105.0], **rows)
    result = call("compare", "ours", "coNGN", "--task", PHONONS)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("coNGN is better than ours on matbench_phonons by ")
    assert "– (needs predictions" in result.output
    failed(
        call("compare", "ours", "coNGN", "--task", PHONONS, "--metric", "r2"), "r2 of coNGN is undefined, or was not"
    )


def test_published_entries_are_not_compared_with_part_of_the_rows() -> None:
    write("ours", [100.0] * 5, task=PHONONS)
    failed(call("compare", "ours", "coNGN", "--task", PHONONS), "coNGN is of all 1,168 rows")


def test_data_that_are_not_there_are_said_in_one_line() -> None:
    for label, error in (("one", 100.0), ("two", 120.0)):
        write(label, [error, error + 3, error, error, error], task=PHONONS)
    result = call("compare", "one", "two", "--task", PHONONS)
    assert result.exit_code == 0, result.output
    says = "the bootstrap draws rows one by one, not by composition, since the data of matbench_phonons are not there"
    assert says in result.output
    assert "(60 rows)" in result.output
