"""Runs that are interrupted during a fit go on when they are repeated, in this process and in others."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from helpers import SMALL_CGCNN, tiny_task

from crystalbench.models import checkpoints
from crystalbench.models.cgcnn import CGCNN
from crystalbench.models.model import Progress
from crystalbench.results.record import Record
from crystalbench.results.store import RecordStore
from crystalbench.runs.executors import executor_for
from crystalbench.runs.fit_checkpoints import FitCheckpoints
from crystalbench.runs.observer import SilentObserver
from crystalbench.runs.plan import Plan, Selection, plan_of_task
from crystalbench.runs.runner import Runner
from crystalbench.runs.scheduler import run_plan
from crystalbench.runs.suite import ModelEntry, ProtocolEntry, Suite

EPOCHS = 6
STOP = 4
"""The epoch of the second member that is interrupted."""


class Interrupting(SilentObserver):
    """Interrupts the second member of an ensemble."""

    def started(self, run: Any) -> Progress:
        def progress(done: int, total: int, **details: Any) -> None:
            if details.get("member") == 1 and done == EPOCHS + STOP:
                raise KeyboardInterrupt

        return progress


@pytest.fixture
def plan() -> Plan:
    parameters = {**SMALL_CGCNN, "epochs": EPOCHS, "dropout": 0.2}
    suite = Suite(name="s", tasks=("tiny",), protocol=ProtocolEntry(inner_folds=4, ensemble=2))
    task = tiny_task(n=40)
    return plan_of_task(task, [(ModelEntry(model="cgcnn"), CGCNN)], suite, Selection(folds=[0], parameters=parameters))


def run(plan: Plan, root: Path, workers: int = 1, observer: SilentObserver | None = None) -> Record:
    store = RecordStore(root / "records")
    runner = Runner(checkpoints=FitCheckpoints.of_records(store.root))
    with executor_for(runner, workers) as executor:
        (record,) = run_plan(plan, store, executor, observer).records
    return record


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_goes_on_where_it_was_interrupted(
    plan: Plan, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = run(plan, tmp_path / "whole")
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run(plan, tmp_path, observer=Interrupting())
    folder = tmp_path / "records" / ".checkpoints"
    key = plan.runs[0].spec.key[:16]
    assert sorted(path.name for path in folder.iterdir()) == [f"{key}-member-{n}-fit.pt" for n in (0, 1)]
    caplog.set_level(logging.INFO, "crystalbench")
    resumed = run(plan, tmp_path, workers)
    assert [text for text in caplog.messages if "goes on" in text] == [
        f"the fit goes on after epoch {epoch}, where it was interrupted" for epoch in (EPOCHS, STOP - 1)
    ]
    assert resumed.predictions == whole.predictions
    assert resumed.scores == whole.scores
    assert not folder.exists()


def test_checkpoints_of_other_runs_stay(plan: Plan, tmp_path: Path) -> None:
    kept = FitCheckpoints(tmp_path)
    spec = plan.runs[0].spec
    own, other = (kept.of(s, 0, CGCNN()).path for s in (spec, spec.model_copy(update={"seed": 7})))
    for path in (own, other):
        path.write_bytes(b"")
    kept.remove(spec)
    assert list(tmp_path.iterdir()) == [other]
    kept.remove(spec)  # there is none
