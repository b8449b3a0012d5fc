"""Runs in worker processes: killed, stopped, failing, tuned, and what comes back from them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import started, wait_for, write_toy_suite, write_toys
from process_toys import GROWING, TOYS

from crystalbench.models.model import Progress
from crystalbench.results.record import Record
from crystalbench.results.store import RecordStore, StudyStore
from crystalbench.runs.executors import ProcessExecutor, SerialExecutor
from crystalbench.runs.failures import RunFailedError
from crystalbench.runs.observer import SilentObserver
from crystalbench.runs.plan import Plan, Run, Selection, make_plan
from crystalbench.runs.resources import Resources
from crystalbench.runs.runner import Runner
from crystalbench.runs.scheduler import run_plan
from crystalbench.runs.suite import Suite, TuningEntry
from crystalbench.runs.tune import Tuner
from crystalbench.tasks import DataSources

pytestmark = pytest.mark.slow


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LOG", "KILLED"):
        monkeypatch.setenv(f"TOY_{name}", str(tmp_path / f"{name.lower()}.txt"))
    file = write_toys(tmp_path)
    file.write_text(file.read_text() + TOYS)
    return file


@pytest.fixture
def log(toys: Path) -> Path:
    """Where the toys note what they fit."""
    return toys.with_name("log.txt")


def fits(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def planned(*models: str, folds: tuple[int, ...] = (0,), tuning: TuningEntry | None = None) -> Plan:
    suite = Suite(name="toys", tasks=("demo_formation_energy",), models=models, tuning=tuning)
    return make_plan(suite, Selection(folds=folds), DataSources(limit=60, download=False))


def toy_suite(toys: Path, model: str) -> Path:
    """The suite of eight runs, with another model in the file of toys."""
    content = toys.read_text()
    suite = write_toy_suite(toys.parent)
    toys.write_text(content)
    suite.write_text(suite.read_text().replace(":Shifted", f":{model}"))
    return suite


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, with a short name."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(folder)
    monkeypatch.setattr(tempfile, "tempdir", None)


# ---------------------------------------------------------------------- processes that are killed


@pytest.mark.parametrize("model", ["Mortal", "HalfSaid"])
def test_a_killed_worker_loses_its_run_in_flight_only(toys: Path, log: Path, tmp_path: Path, model: str) -> None:
    # Each waits in its first fit until the other has begun one too.
    process = started(toy_suite(toys, model), tmp_path / "results", "--workers", "2", TOY_PROCESSES="2")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert out.count("✓") == 8
    assert "its worker process died; it is computed again" in out + err
    pids, seeds = zip(*(line.split() for line in fits(log)), strict=True)
    killed = (tmp_path / "killed.txt").read_text()
    assert (len(seeds), len(set(seeds))) == (9, 8)
    assert len(set(pids)) == 3
    assert max(n for n in Counter(seeds).values()) == 2
    assert seeds[pids.index(killed)] in seeds[pids.index(killed) + 1 :], "the lost run is computed again"
    records, problems = RecordStore(tmp_path / "results" / "records").read_all()
    assert (len(records), problems) == (8, [])


def test_a_run_that_kills_its_workers_fails_eventually(toys: Path, log: Path, tmp_path: Path) -> None:
    plan = planned(f"{toys}:Deadly", f"{toys}:Shifted")
    store = RecordStore(tmp_path / "records")
    with ProcessExecutor(Runner(), 2) as executor:
        outcome = run_plan(plan, store, executor)
    ((run, reason),) = outcome.failures
    assert run.label == "Deadly"
    assert reason.startswith("its worker process died 3 times, perhaps for lack of memory")
    assert [record.label for record in outcome.records] == ["Shifted"]
    assert len(fits(log)) == 3 + 1
    assert len(list((store.root / ".failures").iterdir())) == 1


def test_the_workers_of_a_killed_command_end(toys: Path, log: Path, tmp_path: Path, temporary: Path) -> None:
    suite, results = toy_suite(toys, "Shifted"), tmp_path / "results"
    process = started(suite, results, "--workers", "2", TOY_HANGS_AT="4", TMPDIR=str(temporary))
    wait_for(lambda: len(fits(log)) >= 4)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert psutil.wait_procs(children, timeout=30)[1] == []
    wait_for(lambda: not list(temporary.glob("crystalbench-*")))  # the packed tasks
    records = len(RecordStore(results / "records").paths())
    assert records in (2, 3)
    again = started(suite, results, "--workers", "2")  # no lock is left
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, out + err
    assert out.count("✓") == 8 - records


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stopped_command_ends_its_workers(
    toys: Path, log: Path, tmp_path: Path, temporary: Path, sent: signal.Signals
) -> None:
    suite = toy_suite(toys, "Shifted")
    script = "import os; os.setpgrp(); from crystalbench.cli import main; main()"  # as a terminal or batch system does
    process = subprocess.Popen(
        [sys.executable, "-c", script, "run", "--suite", str(suite), "--results", "results", "--workers", "2"],
        cwd=tmp_path,
        env={**os.environ, "TOY_HANGS_AT": "4", "TMPDIR": str(temporary), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    wait_for(lambda: len(fits(log)) >= 4)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    os.killpg(process.pid, sent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "repeat the command to continue" in out + err
    assert "Traceback" not in out + err
    assert psutil.wait_procs(children, timeout=30)[1] == []
    wait_for(lambda: not list(temporary.glob("crystalbench-*")))
    records = RecordStore(tmp_path / "results" / "records")
    assert all(path.suffix == ".json" for path in records.root.glob("*/*/*"))
    assert records.read_all()[1] == []


# ---------------------------------------------------------------------- what comes back


class Progresses(SilentObserver):
    """What was reported of each run."""

    def __init__(self) -> None:
        self.calls: dict[str, list[tuple[int, int, float]]] = {}
        self.phases: dict[str, list[str]] = {}

    def started(self, run: Run) -> Progress:
        calls = self.calls.setdefault(run.spec.key, [])

        def progress(done: int, total: int, **numbers: Any) -> None:
            if "loss" in numbers:
                calls.append((done, total, numbers["loss"]))
            else:
                self.phases.setdefault(run.spec.key, []).append(str(numbers.get("phase", "fitting")))

        return progress


def test_progress_messages_and_settings_travel(
    toys: Path, log: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("CRYSTALBENCH_PROCESSES", "5")
    plan = planned(f"{toys}:Talkative", folds=(0, 1, 2))
    observer = Progresses()
    with ProcessExecutor(Runner(Resources(threads=2)), 2) as executor:
        outcome = run_plan(plan, None, executor, observer)
    assert observer.calls == {run.spec.key: [(1, 3, 1.0), (2, 3, 0.5), (3, 3, 1 / 3)] for run in plan.runs}
    assert observer.phases == {run.spec.key: ["fitting", "predicting"] for run in plan.runs}
    pids = {line.split()[0] for line in fits(log)}
    said = [r.getMessage() for r in caplog.records if r.name == "crystalbench.toys" and r.levelno == logging.WARNING]
    assert sorted(said) == sorted(f"process {line.split()[0]} is talkative" for line in fits(log))
    assert str(os.getpid()) not in pids
    assert {value for record in outcome.records for value in record.predictions.values} == {2.0 + 10 * 1}
    assert {(record.threads, record.concurrent) for record in outcome.records} == {(2, 2)}


def test_records_do_not_depend_on_the_executor(toys: Path, log: Path) -> None:
    plan = planned("magpie_forest", f"{toys}:Shifted", folds=(0, 1))
    outcomes = []
    for executor in (SerialExecutor(Runner()), ProcessExecutor(Runner(), 2)):
        with executor:
            outcomes.append(run_plan(plan, None, executor))
    changing = {"seconds", "peak_memory_mb", "finished", "concurrent"}
    one, other = ([r.model_dump(exclude=changing) for r in outcome.records] for outcome in outcomes)
    for record in (*one, *other):
        record["environment"].pop("git")  # whether the checkout has changes may itself change
    assert len(one) == 4
    assert one == other


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("how", "reason"), [("exception", "Local: this and that"), ("exit", "SystemExit: enough")])
def test_failures_are_returned_unchanged(toys: Path, workers: int, how: str, reason: str) -> None:
    plan = planned(f"{toys}:Odd")
    suite = Suite(name="x", tasks=("demo_formation_energy",), models=(f"{toys}:Odd",))
    plan = make_plan(suite, Selection(folds=[0], parameters={"how": how}), DataSources(limit=60, download=False))
    with SerialExecutor(Runner()) if workers == 1 else ProcessExecutor(Runner(), workers) as executor:
        future = executor.submit(plan.runs[0])
        with pytest.raises(RunFailedError) as caught:
            future.result()
    assert caught.value.reason == reason
    assert "in fit" in caught.value.details


def test_more_runs_than_slots_wait_for_a_free_one(toys: Path, log: Path) -> None:
    plan = planned(f"{toys}:Shifted", folds=(0, 1, 2, 3))
    with ProcessExecutor(Runner(), 2) as executor:
        futures = [executor.submit(run) for run in plan.runs]
        records: list[Record] = [future.result().record for future in futures]
    assert [record.key for record in records] == [run.spec.key for run in plan.runs]
    assert len({line.split()[0] for line in fits(log)}) <= 2


def test_a_process_whose_memory_grows_is_replaced(toys: Path, log: Path, caplog: pytest.LogCaptureFixture) -> None:
    toys.write_text(toys.read_text() + GROWING)
    plan = planned(f"{toys}:Growing", folds=(0, 1, 2, 3))
    with ProcessExecutor(Runner(), 1) as executor:
        outcome = run_plan(plan, None, executor)
    assert (outcome.computed, outcome.failures) == (4, [])
    assert len(fits(log)) == 4
    assert len({line.split()[0] for line in fits(log)}) > 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# ---------------------------------------------------------------------- tuning

TUNABLE = Path(__file__).parents[1] / "tuning" / "tunable.py"


def test_idle_workers_join_the_tuning_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A fit waits until two processes have begun one: the only run's study is done by both, or never.
    monkeypatch.setenv("TUNE_LOG", str(tmp_path / "fits.txt"))
    monkeypatch.setenv("TUNE_PROCESSES", "2")
    plan = planned(f"{TUNABLE}:Bowl", tuning=TuningEntry(trials=12, inner_folds=3))
    tuner = Tuner.in_folder(tmp_path / "studies", None, Resources(), 0.0)
    with ProcessExecutor(Runner(tuner=tuner), 2) as executor:
        outcome = run_plan(plan, RecordStore(tmp_path / "records"), executor)
    (record,) = outcome.records
    assert record.tuned is not None
    assert record.tuned.trials == 12
    lines = (tmp_path / "fits.txt").read_text().splitlines()
    (study,) = StudyStore(tmp_path / "studies").read_all()[0]
    assert len(lines) == sum(len(trial.scores) for trial in study.trials) + 1
    assert len({line.split()[0] for line in lines}) == 2


def test_unfinished_assistance_is_abandoned_on_exit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "fits.txt"
    monkeypatch.setenv("TUNE_LOG", str(log))
    monkeypatch.setenv("TUNE_HANGS_AT", "1")
    (run,) = planned(f"{TUNABLE}:Bowl", tuning=TuningEntry(trials=12, inner_folds=3)).runs
    tuner = Tuner.in_folder(tmp_path / "studies", None, Resources(), 0.0)
    begun = time.monotonic()
    with ProcessExecutor(Runner(tuner=tuner), 2) as executor:
        future = executor.help(run)
        wait_for(lambda: log.exists())
    assert time.monotonic() - begun < 50, "a fit hangs for 60 seconds"
    with pytest.raises(RunFailedError, match="abandoned"):
        future.result()


# ---------------------------------------------------------------------- scripts


def test_a_script_needs_no_main_guard_and_may_define_its_model(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crystalbench.data.samples import Predictions
from crystalbench.models import Model, Needs
from crystalbench.runs import run_models
from crystalbench.tasks import DataSources, get_task_spec

with Path("executed.txt").open("a") as file:
    file.write("once\\n")


@dataclass
class Mine(Model):
    needs = Needs.COMPOSITION
    shift: float = 0.0

    def fit(self, train, valid):
        self.value = train.targets.mean() + self.shift
        self.pid = os.getpid()
        return self

    def predict(self, samples):
        return Predictions(np.full(len(samples), self.value))


task = get_task_spec("demo_formation_energy").load(DataSources(limit=60, download=False))
result = run_models(Mine, task, folds=[0, 1], parameters={"shift": 1}, workers=2, results="results", keep_models=True)
assert [record.spec.model for record in result.records] == ["__main__:Mine"] * 2
assert all(record.spec.model_code for record in result.records)
(one,), (other,) = result.models["Mine", 0, 0], result.models["Mine", 1, 0]
assert isinstance(one, Mine)
assert os.getpid() not in (one.pid, other.pid)
print("done")
"""
    )
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "done" in done.stdout
    assert (tmp_path / "executed.txt").read_text() == "once\n"
    assert "Mine" in done.stderr  # it does not define state(), so it is returned but not saved
    assert len(RecordStore(tmp_path / "results" / "records").paths()) == 2
