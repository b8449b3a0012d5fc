from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import write_toy_suite

from crystalbench.errors import RecordError
from crystalbench.results.store import RecordStore
from crystalbench.runs.failures import FailureFiles, RunFailedError
from crystalbench.runs.ledger import FolderLedger, MemoryLedger
from crystalbench.runs.locks import RunLocks
from crystalbench.runs.plan import Run, Selection, make_plan
from crystalbench.runs.suite import parse_suite
from crystalbench.tasks import DataSources


@pytest.fixture
def run(tmp_path: Path) -> Run:
    plan = make_plan(parse_suite(write_toy_suite(tmp_path)), Selection(), DataSources(limit=60, download=False))
    return plan.runs[0]


HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    input()
"""


def test_a_run_is_locked_for_other_processes_until_its_process_ends(tmp_path: Path) -> None:
    locks = RunLocks(tmp_path)
    first = locks.acquire("key")
    assert first is not None
    first.release()
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / ".locks" / "key.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    other.stdout.readline()
    assert locks.acquire("key") is None
    assert locks.acquire("another") is not None
    other.kill()
    other.communicate()
    assert locks.acquire("key") is not None


def test_a_lock_that_cannot_be_written_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file")
    with pytest.raises(RecordError, match=r"records: records cannot be written there .* give another --results"):
        RunLocks(tmp_path / "records").acquire("key")


def test_a_failure_holds_for_commands_that_began_before_it(run: Run, tmp_path: Path) -> None:
    before = time.time() - 1
    FolderLedger(RecordStore(tmp_path)).keep_failure(run, RunFailedError("the oven\nis cold", "Traceback ..."))
    assert FolderLedger(RecordStore(tmp_path), before).failure(run) == "the oven is cold"
    assert FolderLedger(RecordStore(tmp_path), time.time() + 1).failure(run) is None
    assert FailureFiles(tmp_path).path_of(run).read_text().endswith("\n\nTraceback ...")
    FailureFiles(tmp_path).remove(run)
    assert FolderLedger(RecordStore(tmp_path), before).failure(run) is None


def test_a_failure_that_cannot_be_written_is_a_warning(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".failures").write_text("a file")
    FailureFiles(tmp_path).write(run, RunFailedError("the oven is cold"))
    assert "the traceback could not be written" in caplog.text


def test_in_memory_nothing_is_shared(run: Run) -> None:
    ledger = MemoryLedger()
    ledger.keep_failure(run, RunFailedError("the oven is cold"))
    claims = [ledger.claim(run) for _ in range(2)]
    assert all(claims)
    assert ledger.find(run) is ledger.failure(run) is None
