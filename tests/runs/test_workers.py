from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import record, started, wait_for, write_toy_suite

from crystalbench.models.model import Progress, silent
from crystalbench.results.record import Record
from crystalbench.results.store import RecordStore
from crystalbench.runs import workers
from crystalbench.runs.execute import Resources
from crystalbench.runs.observer import SilentObserver
from crystalbench.runs.plan import Run, Selection, make_plan
from crystalbench.runs.suite import parse_suite
from crystalbench.runs.workers import Work, _Relay
from crystalbench.tasks import DataSources


class Notes(SilentObserver):
    """What a watcher is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, run: Run) -> Progress:
        self.lines.append("started")
        return silent

    def finished(self, run: Run, record: Record, *, computed: bool) -> None:
        self.lines.append("made" if computed else "found")

    def failed(self, run: Run, reason: str) -> None:
        self.lines.append(f"failed: {reason}")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    plan = make_plan(parse_suite(write_toy_suite(tmp_path)), Selection(), DataSources(limit=60, download=False))
    return plan.runs[0]


MADE, FOUND = ("finished", record(), True), ("finished", record(), False)


@pytest.mark.parametrize(
    ("events", "lines", "made"),
    [
        ([("started",), MADE], ["started", "made"], 1),
        ([("started",), MADE, FOUND], ["started", "made"], 1),
        ([("started",), FOUND, MADE], ["started", "made"], 1),  # the record is seen before its maker tells of it
        ([("started",), ("failed", "cold"), ("failed", "cold")], ["started", "failed: cold"], 0),
        ([("started",), ("progress", 1, 2, {"loss": 0.5}), ("started",), MADE], ["started", "started", "made"], 1),
    ],
    ids=["alone", "found later", "found first", "failed twice", "taken over"],
)
def test_a_run_that_several_workers_tell_of_counts_once(
    run: Run, events: list[tuple[Any, ...]], lines: list[str], made: int
) -> None:
    relay = _Relay({run.spec.key: run}, notes := Notes())
    for event, *details in events:
        relay(event, run.spec.key, *details)
    assert notes.lines == lines
    assert relay.made == made
    assert relay.settled == {run.spec.key}


# ---------------------------------------------------------------------- processes that are killed

MORTAL = """

import signal
from multiprocessing.connection import Connection


def send_half(connection, content):
    os.write(connection.fileno(), bytes(content)[: len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Mortal(Shifted):
    '''The first process that fits one is killed in the middle of the next message that it sends.'''

    def fit(self, train, valid):
        try:
            with open(os.environ["TOY_KILLED"], "x") as file:
                file.write(str(os.getpid()))
            Connection._send = send_half
        except FileExistsError:
            pass
        return super().fit(train, valid)
"""


def test_a_worker_killed_in_the_middle_of_a_message_does_not_stop_the_others(tmp_path: Path) -> None:
    suite, toys, killed, log = write_toy_suite(tmp_path), *(tmp_path / n for n in ("toys.py", "killed", "fits.txt"))
    suite.write_text(suite.read_text().replace(":Shifted", ":Mortal"))
    toys.write_text(toys.read_text() + MORTAL)
    # Each waits in its first fit until the other has begun one too.
    environment = {"TOY_KILLED": str(killed), "TOY_LOG": str(log), "TOY_PROCESSES": "2"}
    process = started(suite, tmp_path / "results", "--workers", "2", **environment)
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # it ends its workers
        process.communicate(timeout=60)
        raise
    assert process.returncode == 0, out + err
    assert err == ""
    pids = [line.split()[0] for line in log.read_text().splitlines()]
    assert len(pids) == 8, "the record was written before the message, so no run is done again"
    assert pids.count(killed.read_text()) == 1
    assert out.count("✓") == 7
    records, problems = RecordStore(tmp_path / "results" / "records").read_all()
    assert (len(records), problems) == (8, [])


def pipes() -> tuple[list[Connection[Any, Any]], list[Connection[Any, Any]]]:
    """Reading and writing ends of the pipes of two workers."""
    (one, into_one), (two, into_two) = Pipe(duplex=False), Pipe(duplex=False)
    return [one, two], [into_one, into_two]


@pytest.mark.parametrize("sent", [0, 2, 4, 20_000], ids=["none", "half the size", "the size", "half the content"])
def test_a_large_message_that_breaks_off_is_the_end_of_its_worker_only(run: Run, sent: int) -> None:
    readers, (dead, alive) = pipes()
    workers._Reporter(dead).started(run)
    content = pickle.dumps((0.0, "failed", run.spec.key, 40_000 * "x"))
    os.write(dead.fileno(), (struct.pack("!i", len(content)) + content)[:sent])
    reporter = workers._Reporter(alive)
    reporter.started(run)
    reporter.finished(run, record(), computed=True)
    for end in (dead, alive):
        end.close()
    workers._listen(readers, _Relay({run.spec.key: run}, notes := Notes()))
    assert notes.lines == ["started", "started", "made"]


def test_events_are_told_in_the_order_in_which_they_happened(run: Run) -> None:
    readers, (finder, maker) = pipes()
    reporter = workers._Reporter(maker)
    progress = reporter.started(run)
    progress(1, 2)
    workers._Reporter(finder).finished(run, record(), computed=False)  # sees the record before its maker tells of it
    reporter.finished(run, record(), computed=True)
    for end in (finder, maker):
        end.close()
    workers._listen(readers, relay := _Relay({run.spec.key: run}, notes := Notes()))
    assert notes.lines == ["started", "made"]
    assert relay.made == 1


def test_a_worker_whose_command_was_killed_makes_its_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "fits.txt"))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    store = RecordStore(tmp_path / "records")
    reader, writer = Pipe(duplex=False)
    reader.close()
    sources = DataSources(limit=60, download=False)
    workers._work(Work(parse_suite(write_toy_suite(tmp_path)), Selection(), sources, store, Resources()), writer)
    assert len(store.paths()) == 8
    assert not (store.root / ".failures").exists()


def test_a_command_that_is_ended_ends_its_workers(tmp_path: Path) -> None:
    suite, log = write_toy_suite(tmp_path), tmp_path / "fits.txt"
    process = started(suite, tmp_path / "results", "--workers", "2", TOY_LOG=str(log), TOY_HANGS_AT="1")
    wait_for(lambda: log.is_file() and len(log.read_text().splitlines()) >= 1)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from there" in out + err
    assert psutil.wait_procs(workers, timeout=30)[1] == []
