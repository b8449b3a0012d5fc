from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
from helpers import one_crystal, random_crystals
from threadpoolctl import threadpool_info

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations import CrystalGraph, graph
from crystalbench.representations.diffraction import cells
from crystalbench.representations.diffraction.cells import standard_cells
from crystalbench.representations.processes import PROCESSES, allowed_processes, by_chunks, processes, reported_to

# The work of the tests below; workers import it by name.


def whose(crystals: Crystals) -> tuple[int, list[str]]:
    return os.getpid(), crystals.ids.tolist()


def nested(crystals: Crystals) -> int:
    return sum(by_chunks(len, crystals, 1))


def warns(crystals: Crystals) -> int:
    log = logging.getLogger("crystalbench.tests")
    log.warning("%s was seen", crystals.ids[0])
    log.info("%s was seen, too", crystals.ids[0])
    return len(crystals)


def refuses(crystals: Crystals) -> int:
    raise DataError(f"{crystals.ids[0]}: refused")


def refuses_elsewhere(crystals: Crystals) -> int:
    if multiprocessing.parent_process() is not None:
        raise DataError(f"{crystals.ids[0]}: refused by a worker")
    return len(crystals)


def dies_elsewhere(crystals: Crystals) -> int:
    if multiprocessing.parent_process() is not None:
        os._exit(3)
    return len(crystals)


def environment(crystals: Crystals) -> tuple[int, str | None, int, list[int]]:
    """Process, OMP_NUM_THREADS, allowed processes, and threads of the native libraries that are loaded."""
    threads = [int(library["num_threads"]) for library in threadpool_info()]
    return os.getpid(), os.environ.get("OMP_NUM_THREADS"), processes(), threads


def test_one_process_gets_all_crystals_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = random_crystals(0, 6)
    assert by_chunks(whose, crystals, 2) == [(os.getpid(), crystals.ids.tolist())]
    monkeypatch.setenv(PROCESSES, "2")
    assert len(by_chunks(whose, crystals, 2, least=7)) == 1  # too few
    assert len(by_chunks(whose, crystals, 6)) == 1


@pytest.mark.parametrize("number", [1, 2])
def test_progress_counts_the_crystals(number: int) -> None:
    crystals, reported = random_crystals(0, 7), list[tuple[int, int]]()
    with allowed_processes(number), reported_to(lambda done, total: reported.append((done, total))):
        found = by_chunks(nested, crystals, 2)
    assert found == [2, 2, 2, 1]
    assert reported[0] == (0, 7)
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)
    assert reported[-1] == (7, 7)
    assert {total for _, total in reported} == {7}  # the work's own chunks are not counted
    assert len(reported) == 5


@pytest.mark.parametrize("number", [2, 3])
def test_results_are_in_the_order_of_the_chunks(number: int) -> None:
    crystals = random_crystals(0, 41)
    with allowed_processes(number):
        found = by_chunks(whose, crystals, 2)
    assert [name for _, names in found for name in names] == crystals.ids.tolist()
    assert 2 <= len({process for process, _ in found}) <= number
    assert found[-1][0] == os.getpid()


def test_messages_of_workers_are_logged_by_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    crystals = random_crystals(0, 4)
    with allowed_processes(3):
        assert by_chunks(warns, crystals, 1) == [1] * 4
    assert sorted(caplog.messages) == [f"{name} was seen" for name in crystals.ids]
    caplog.clear()
    with allowed_processes(3), caplog.at_level(logging.INFO, "crystalbench"):
        by_chunks(warns, crystals, 1)
    assert sorted(caplog.messages) == sorted(f"{i} was seen{more}" for i in crystals.ids for more in ("", ", too"))


@pytest.mark.parametrize("number", [2, 2, 3])
def test_errors_are_raised_in_the_caller_and_end_the_workers(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    uncaught: list[object] = []
    monkeypatch.setattr(threading, "excepthook", uncaught.append)
    before = threading.active_count()
    with allowed_processes(number), pytest.raises(DataError, match=r"crystal-\d+: refused"):
        by_chunks(refuses, random_crystals(0, 12), 1)
    wait_for(lambda: threading.active_count() == before)
    assert not uncaught


def test_an_error_of_a_worker_is_raised_in_the_caller() -> None:
    with allowed_processes(2), pytest.raises(DataError, match=r"crystal-\d+: refused by a worker"):
        by_chunks(refuses_elsewhere, random_crystals(0, 4), 1)


def test_the_chunks_of_a_worker_that_died_are_computed_by_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    with allowed_processes(2):
        assert by_chunks(dies_elsewhere, random_crystals(0, 4), 1) == [1] * 4
    assert "ended without a result" in caplog.text
    assert len(caplog.messages) == 1


def test_workers_are_single_threaded_and_start_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv(PROCESSES, "2")
    found = by_chunks(environment, random_crystals(0, 12), 1)
    elsewhere = [entry for entry in found if entry[0] != os.getpid()]
    assert elsewhere
    for _, omp, allowed, threads in elsewhere:
        assert (omp, allowed) == ("1", 1)
        assert set(threads) == {1}  # NumPy's, at least


def test_without_semaphores_one_process_computes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(workers: int) -> None:
        raise OSError("no semaphores here")

    monkeypatch.setattr("crystalbench.representations.processes._executor", refused)
    with allowed_processes(2):
        assert [process for process, _ in by_chunks(whose, random_crystals(0, 4), 1)] == [os.getpid()]
    assert "no semaphores here" in caplog.text


def test_the_environment_overrides_what_a_caller_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes() == 1
    with allowed_processes(4):
        assert processes() == 4
        monkeypatch.setenv(PROCESSES, "2")
        assert processes() == 2
    # A process that was started as a worker starts none itself.
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: SimpleNamespace(pid=1))
    assert processes() == 1


def test_none_allows_all_usable_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr(joblib, "cpu_count", lambda only_physical_cores: 23)
    with allowed_processes(None):
        assert processes() == 23


SCRIPT = """
import os, sys
from dataclasses import dataclass
from functools import partial
import numpy as np
from crystalbench.data.crystals import concatenate
from crystalbench.representations import CRYSTAL, Arrays, Layout, Representation, represent
from crystalbench.representations.processes import by_chunks
from crystalbench.testing.crystals import random_crystals

print("script", os.getpid(), flush=True)


def volumes(power, crystals):
    return [os.getpid()] * len(crystals), crystals.volumes**power


@dataclass(frozen=True)
class Volumes(Representation):
    def __call__(self, inputs):
        pids, values = zip(*by_chunks(partial(volumes, 2), inputs, 1))
        values = {"pid": np.concatenate(pids), "volume": np.concatenate(values)}
        return Arrays(values, dict.fromkeys(values, Layout(CRYSTAL)), {}, len(inputs))


crystals = random_crystals(0, 400)
arrays, _ = represent(Volumes(), crystals, 2)
print(len(set(arrays.values["pid"].tolist())), np.array_equal(arrays.values["volume"], crystals.volumes**2))
"""


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    """Workers of `multiprocessing` would run the script again and wait for the lock of the cache forever."""
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "CRYSTALBENCH_CACHE": str(tmp_path / "cache")}
    ran = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, timeout=60, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["script", "2"]  # two processes computed, one ran the script
    assert lines[1] == "2 True"


ENDLESS = """
import os, signal, time
from pathlib import Path
from crystalbench.representations.processes import allowed_processes, by_chunks
from crystalbench.testing.crystals import random_crystals


def sleeps(crystals):
    Path(f"started-{os.getpid()}").touch()
    time.sleep(600)


signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with SIGINT ignored
with allowed_processes(3):
    by_chunks(sleeps, random_crystals(0, 9), 1)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs process groups")
def test_an_interrupt_ends_all_processes(tmp_path: Path) -> None:
    """Ctrl-C in a terminal goes to the whole process group."""
    (tmp_path / "endless.py").write_text(ENDLESS)
    running = subprocess.Popen(
        [sys.executable, "endless.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(lambda: len(list(tmp_path.glob("started-*"))) == 3)
    pids = [int(path.name.removeprefix("started-")) for path in tmp_path.glob("started-*")]
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode != 0
    assert errors.count("Traceback") == 1, errors  # the parent's
    assert errors.rstrip().endswith("KeyboardInterrupt")
    wait_for(lambda: not any(is_running(pid) for pid in pids))


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z" if Path("/proc").exists() else True
    )


@pytest.mark.parametrize("value", ["0", "-1", "two", ""])
def test_a_wrong_number_of_processes_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROCESSES, value)
    with pytest.raises(ConfigError, match=PROCESSES):
        CrystalGraph()(random_crystals(0, 2))


@pytest.mark.parametrize("vectors", [False, True])
def test_graphs_are_the_same_from_two_processes(vectors: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = random_crystals(5, 40, most_atoms=6)
    alone = CrystalGraph(vectors=vectors)(crystals)
    monkeypatch.setattr(graph, "_CHUNK", 3)
    monkeypatch.setattr(graph, "_WORTH_PROCESSES", 2)
    with allowed_processes(2):
        together = CrystalGraph(vectors=vectors)(crystals)
    for name, array in alone.values.items():
        np.testing.assert_array_equal(array, together.values[name])


def test_standard_cells_are_the_same_from_two_processes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    twice = one_crystal(np.eye(3) * 4, [[0, 0, 0], [0, 0, 0]], [11, 17], "twice")
    crystals = concatenate([twice, random_crystals(5, 12, most_atoms=3)])
    alone = standard_cells(crystals)
    monkeypatch.setattr(cells, "_CHUNK", 3)
    monkeypatch.setattr(cells, "_WORTH_PROCESSES", 2)
    with allowed_processes(2):
        together = standard_cells(crystals)
    for name, array in alone.to_arrays().items():
        np.testing.assert_array_equal(array, together.to_arrays()[name])
    assert len(caplog.messages) == 2
    assert len(set(caplog.messages)) == 1
    assert caplog.messages[0].startswith("twice: no symmetry found")
