from __future__ import annotations

import signal
from pathlib import Path

import pytest
from filelock import FileLock
from helpers import started, wait_for, write_toy_suite, write_toys

from crystalbench.errors import RecordError
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.models.model import Progress, silent
from crystalbench.reports.csv import to_csv
from crystalbench.results.frames import scores_frame
from crystalbench.results.record import Record
from crystalbench.results.store import RecordStore
from crystalbench.runs import scheduler
from crystalbench.runs.executors import SerialExecutor
from crystalbench.runs.locks import RunLocks
from crystalbench.runs.observer import SilentObserver
from crystalbench.runs.plan import Plan, Run, Selection, make_plan
from crystalbench.runs.runner import Runner
from crystalbench.runs.scheduler import Outcome, run_plan
from crystalbench.runs.suite import parse_suite
from crystalbench.tasks import DataSources


class Notes(SilentObserver):
    """The events, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, run: Run) -> Progress:
        self.lines.append(f"started {run.label} {run.spec.fold}")
        return silent

    def finished(self, run: Run, record: Record, *, computed: bool) -> None:
        self.lines.append(f"{'made' if computed else 'found'} {run.label} {run.spec.fold}")

    def failed(self, run: Run, reason: str) -> None:
        self.lines.append(f"failed {run.label} {run.spec.fold}: {reason}")

    def waiting(self, runs: list[Run]) -> None:
        self.lines.append(f"waiting for {len(runs)}")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the toys note what they fit."""
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "fits.txt"))
    return tmp_path / "fits.txt"


@pytest.fixture
def suite(tmp_path: Path, log: Path) -> Path:
    return write_toy_suite(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    return RecordStore(tmp_path / "results" / "records")


def planned(suite: Path, selection: Selection | None = None) -> Plan:
    return make_plan(parse_suite(suite), selection or Selection(), DataSources(limit=60, download=False))


def done(plan: Plan, store: RecordStore, observer: Notes | None = None) -> Outcome:
    return run_plan(plan, store, SerialExecutor(Runner()), observer)


def fits(log: Path) -> list[str]:
    return log.read_text().split("\n")[:-1] if log.exists() else []


def board(store: RecordStore) -> list[list[str]]:
    """The leaderboard without seconds and the largest memory, which this process may have used before."""
    records, problems = store.read_all()
    assert not problems
    lines = [line.split(",") for line in to_csv(leaderboards(scores_frame(records))).splitlines()]
    # From the end, since cells in quotes may contain commas.
    measured = [lines[0].index(name) - len(lines[0]) for name in ("fit_seconds", "memory_mb")]
    return [[cell for i, cell in enumerate(line) if i - len(line) not in measured] for line in lines]


def test_every_run_leaves_a_record_and_is_not_computed_again(suite: Path, store: RecordStore, log: Path) -> None:
    plan = planned(suite)
    first = done(plan, store, notes := Notes())
    assert (first.computed, len(first.records), first.failures) == (8, 8, [])
    assert notes.lines[:2] == ["started plain 0", "made plain 0"]
    contents = {path: path.read_bytes() for path in store.paths()}
    second = done(planned(suite), store, notes := Notes())
    assert (second.computed, len(second.records)) == (0, 8)
    assert notes.lines[0] == "found plain 0"
    assert {path: path.read_bytes() for path in store.paths()} == contents
    assert len(fits(log)) == 8
    assert [r.key for r in second.records] == [r.spec.key for r in plan.runs]


def test_a_larger_plan_computes_only_what_is_new(suite: Path, store: RecordStore, log: Path) -> None:
    done(planned(suite, Selection(folds=[1])), store)
    assert len(fits(log)) == 2
    assert done(planned(suite), store).computed == 6
    assert len(set(fits(log))) == 8


def test_a_failing_model_does_not_stop_the_others(suite: Path, store: RecordStore, tmp_path: Path) -> None:
    selection = Selection(models=["plain", f"{write_toys(tmp_path)}:Broken", "shifted"], folds=[0])
    outcome = done(planned(suite, selection), store, notes := Notes())
    assert outcome.computed == 2
    assert [(run.label, reason) for run, reason in outcome.failures] == [("Broken", "RuntimeError: the oven is cold")]
    assert "failed Broken 0: RuntimeError: the oven is cold" in notes.lines
    (file,) = (store.root / ".failures").iterdir()
    text = file.read_text()
    assert text.startswith("demo_formation_energy · Broken · fold 0\n")
    assert "Traceback" in text
    assert 'raise RuntimeError("the oven is cold")' in text
    assert len(store.read_all()[0]) == 2
    again = done(planned(suite, selection), store)  # a later call tries again
    assert (again.computed, len(again.failures)) == (0, 1)


def test_a_damaged_record_is_renamed_and_the_run_computed_again(suite: Path, store: RecordStore, log: Path) -> None:
    plan = planned(suite)
    done(plan, store)
    expected = board(store)
    cut, edited = (store.path_of(plan.runs[i].spec) for i in (2, 5))
    assert cut is not None
    assert edited is not None
    cut.write_text(cut.read_text()[:300])
    edited.write_text(edited.read_text().replace('"label": "shifted"', '"label": "better!"'))
    outcome = done(planned(suite), store)
    assert (outcome.computed, len(outcome.records)) == (2, 8)
    assert board(store) == expected
    assert cut.with_suffix(".damaged").exists()
    assert edited.with_suffix(".damaged").exists()
    assert len(fits(log)) == 10


def test_the_scheduler_waits_for_a_run_of_another_process(
    suite: Path, store: RecordStore, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(suite, Selection(models=["plain"]))
    locks = store.root / ".locks"
    locks.mkdir(parents=True)
    lock = FileLock(locks / f"{plan.runs[1].spec.key}.lock")
    lock.acquire()
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        lock.release()  # as when the other process is killed

    monkeypatch.setattr(scheduler.time, "sleep", nap)
    outcome = done(plan, store, notes := Notes())
    assert naps == [scheduler.WAIT_SECONDS]
    assert outcome.computed == 4
    assert notes.lines[-3:] == ["waiting for 1", "started plain 1", "made plain 1"]


@pytest.mark.slow
def test_two_processes_share_the_runs(suite: Path, store: RecordStore, log: Path) -> None:
    # Each waits in its first fit until the other has begun one too.
    processes = [started(suite, store.root.parent, TOY_PROCESSES="2") for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        assert "shifted" in out
    pids, seeds = zip(*(line.split() for line in fits(log)), strict=True)
    assert len(set(pids)) == 2
    assert len(seeds) == len(set(seeds)) == 8
    records, problems = store.read_all()
    assert {r.key for r in records} == {r.spec.key for r in planned(suite).runs}
    assert problems == []


def test_a_killed_command_resumes_where_it_stopped(suite: Path, store: RecordStore, log: Path, tmp_path: Path) -> None:
    process = started(suite, store.root.parent, TOY_HANGS_AT="4")
    wait_for(lambda: len(fits(log)) == 4)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = {path: path.read_bytes() for path in store.paths()}
    assert len(before) == 3
    outcome = done(planned(suite), store)
    assert outcome.computed == 5
    assert {path: path.read_bytes() for path in before} == before
    assert len(fits(log)) == 4 + 5
    whole = RecordStore(tmp_path / "uninterrupted" / "records")
    assert done(planned(suite), whole).computed == 8
    assert board(store) == board(whole)
    for resumed, uninterrupted in zip(store.read_all()[0], whole.read_all()[0], strict=True):
        assert resumed.spec == uninterrupted.spec
        assert resumed.scores == uninterrupted.scores
        assert resumed.predictions == uninterrupted.predictions
    leftovers = [p for p in store.root.rglob("*") if p.is_file() and p.suffix not in (".json", ".lock")]
    assert [p for p in leftovers if p.name != "probe"] == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])  # Ctrl-C, and what batch systems send
def test_an_interrupted_command_can_go_on(suite: Path, store: RecordStore, log: Path, sent: signal.Signals) -> None:
    process = started(suite, store.root.parent, TOY_HANGS_AT="3")
    wait_for(lambda: len(fits(log)) == 3)
    process.send_signal(sent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped after 2 of 8 runs; repeat the command to continue" in out + err
    assert "Traceback" not in out + err
    assert len(store.paths()) == 2


def test_a_folder_that_cannot_be_written_is_reported_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(RecordError, match=r"records cannot be written there .* give another --results"):
        RunLocks(tmp_path / "results" / "records").check_writable()


def test_a_full_disk_stops_the_command_and_leaves_no_partial_file(
    suite: Path, store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crystalbench._files.os.fsync", full)
    with pytest.raises(RecordError, match="No space left on device"):
        done(planned(suite), store)
    monkeypatch.undo()
    assert store.paths() == []
