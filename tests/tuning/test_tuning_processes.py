"""Tuning by commands in separate processes: killed, stopped, and several at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import started, wait_for
from postgres import postgres

from crystalbench.results.store import RecordStore, StudyStore
from crystalbench.results.study import Study
from crystalbench.runs.executors import SerialExecutor
from crystalbench.runs.plan import Selection, make_plan
from crystalbench.runs.resources import Resources
from crystalbench.runs.runner import Runner
from crystalbench.runs.scheduler import Outcome, run_plan
from crystalbench.runs.suite import parse_suite
from crystalbench.runs.tune import Tuner
from crystalbench.tasks import DataSources
from crystalbench.tuning import Storage
from crystalbench.tuning.reading import load_studies

pytestmark = pytest.mark.slow

TUNABLE = Path(__file__).with_name("tunable.py")


def write_suite(folder: Path, trials: int, folds: str = "[0]", model: str = "Bowl") -> Path:
    path = folder / "bowls.toml"
    path.write_text(
        f"""
        tasks = ["demo_formation_energy"]
        limit = 40
        models = ['{TUNABLE}:{model}']
        [protocol]
        folds = {folds}
        inner_folds = 3
        [tuning]
        trials = {trials}
        splits = 2
        seeds = 2
        """,
        encoding="utf-8",
    )
    return path


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the models note what they fit."""
    monkeypatch.setenv("TUNE_LOG", str(tmp_path / "fits.txt"))
    return tmp_path / "fits.txt"


def fits(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def done(suite: Path, results: Path) -> Outcome:
    """The missing runs of the suite, computed in this process."""
    plan = make_plan(parse_suite(suite), Selection(), DataSources(limit=40, download=False))
    since = time.time()
    tuner = Tuner.in_folder(results / "studies", None, Resources(), since)
    executor = SerialExecutor(Runner(tuner=tuner))
    return run_plan(plan, RecordStore(results / "records"), executor, since=since)


def studies(results: Path) -> list[Study]:
    found, problems = StudyStore(results / "studies").read_all()
    assert problems == []
    return found


def course(study: Study) -> list[object]:
    return [(t.number, t.state, t.parameters, t.value, t.scores) for t in study.trials]


def evaluations(study: Study) -> int:
    """Number of evaluations, each of which is a fit."""
    return sum(len(trial.scores) for trial in study.trials)


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, out + err
    assert "Traceback" not in out + err
    return out + err


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_a_stopped_command_resumes_in_the_middle_of_tuning(tmp_path: Path, log: Path, stop: signal.Signals) -> None:
    suite, results = write_suite(tmp_path, 12), tmp_path / "results"
    process = started(suite, results, TUNE_HANGS_AT="10")
    wait_for(lambda: len(fits(log)) == 10)
    process.send_signal(stop)
    text = ended(process, 130 if stop is signal.SIGINT else -signal.SIGKILL)
    assert ("repeat the command to continue" in text) == (stop is signal.SIGINT)
    (before,) = load_studies(Storage.below(results / "studies"))
    done_before = [t for t in before.trials if t.state in ("complete", "pruned")]
    assert len(done_before) >= 3
    assert len(before.trials) == len(done_before) + (stop is signal.SIGKILL)
    lost = 10 - evaluations(before)
    assert RecordStore(results / "records").paths() == studies(results) == []

    outcome = done(suite, results)
    assert (outcome.computed, outcome.failures) == (1, [])
    (study,) = studies(results)
    assert [t.number for t in study.trials] == list(range(12))
    assert [t.tries for t in study.trials] == [2 if n == len(done_before) else 1 for n in range(12)]
    assert len(fits(log)) == evaluations(study) + lost + 1  # the interrupted trial twice, and the final fit
    assert done(suite, tmp_path / "whole").computed == 1
    (whole,) = studies(tmp_path / "whole")
    assert course(study) == course(whole)
    assert [r.predictions for r in outcome.records] == [
        r.predictions for r in RecordStore(tmp_path / "whole" / "records").read_all()[0]
    ]


def test_a_command_without_a_free_run_joins_the_tuning_of_another(tmp_path: Path, log: Path) -> None:
    # A fit waits until two processes have begun one: the only run's study is done by both, or never.
    suite, results = write_suite(tmp_path, 16), tmp_path / "results"
    processes = [started(suite, results, TUNE_PROCESSES="2") for _ in range(2)]
    for process in processes:
        assert "tuned" in ended(process)
    (study,) = studies(results)
    assert [t.number for t in study.trials] == list(range(16))
    assert len(fits(log)) == evaluations(study) + 1
    assert len({line.split()[0] for line in fits(log)}) == 2
    assert len(RecordStore(results / "records").paths()) == 1


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


def test_two_machines_share_a_study_on_postgresql(tmp_path: Path, log: Path, server: str) -> None:
    suite = write_suite(tmp_path, 20)
    folders = [tmp_path / "one", tmp_path / "two"]  # two machines do not share the folder of records
    environment = {**os.environ, "TUNE_PROCESSES": "2"}
    processes = [started(suite, folder, "--storage", server, **environment) for folder in folders]
    for process in processes:
        ended(process)
    (study,) = load_studies(Storage(server))
    assert [t.number for t in study.trials] == list(range(20))
    assert study.count("complete") + study.count("pruned") == 20
    assert len({str(sorted(t.parameters.items())) for t in study.trials}) == 20, "equal seeds propose equal things"
    assert len({line.split()[0] for line in fits(log)}) == 2
    assert len(fits(log)) == evaluations(study) + 2  # each writes the record, from the trials of both
    seeds = [line.split()[1] for line in fits(log)]
    assert len(set(seeds)) == 4 + 1  # all trials share the seeds of the evaluations; the final fits are of the same run
    one, two = (studies(folder)[0] for folder in folders)
    assert course(one) == course(two) == course(study)
    records = [RecordStore(folder / "records").read_all()[0][0] for folder in folders]
    assert records[0].tuned == records[1].tuned == study.tuned()
    assert records[0].predictions == records[1].predictions
