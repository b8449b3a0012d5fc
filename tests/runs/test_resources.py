from __future__ import annotations

import os
import subprocess
import sys

import joblib
import pytest

from crystalbench.runs.resources import Resources, let_threads_sleep, number_of_workers, thread_variables, usable_cores


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of eight cores."""
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr(joblib, "cpu_count", lambda only_physical_cores: 8)


@pytest.mark.parametrize(("granted", "cores"), [("3", 3), ("64", 8), ("", 8), ("0", 1), ("many", 8)])
def test_cores_granted_by_slurm_are_not_exceeded(
    eight: None, monkeypatch: pytest.MonkeyPatch, granted: str, cores: int
) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", granted)
    assert usable_cores() == cores


def test_usable_cores_respect_affinity_and_the_limit_of_the_user() -> None:
    environment = {
        name: v for name, v in os.environ.items() if name not in ("LOKY_MAX_CPU_COUNT", "SLURM_CPUS_PER_TASK")
    }
    count = "from crystalbench.runs.resources import usable_cores; print(usable_cores())"
    pinned = f"import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); {count}"
    for code, limit in ((pinned, {}), (count, {"LOKY_MAX_CPU_COUNT": "1"})):
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment | limit, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "1"


@pytest.mark.parametrize(
    ("missing", "given", "requested", "tuned", "workers"),
    [
        (100, Resources(), None, False, 8),
        (100, Resources(threads=3), None, False, 2),
        (100, Resources(threads=16), None, False, 1),
        (100, Resources("cuda"), None, False, 1),
        (100, Resources("cuda"), 3, False, 3),
        (3, Resources(), None, False, 3),
        (1, Resources(), None, False, 1),
        (1, Resources(), None, True, 1),
        (0, Resources(), None, False, 1),
        (0, Resources(), 4, True, 1),
        (2, Resources(), 4, False, 2),
        (2, Resources(), 4, True, 4),
        (100, Resources(threads=4), 20, False, 20),
    ],
)
def test_number_of_workers(
    eight: None, missing: int, given: Resources, requested: int | None, tuned: bool, workers: int
) -> None:
    assert number_of_workers(missing, given, requested, tuned=tuned) == workers


def test_threads_of_new_processes() -> None:
    assert set(thread_variables(1).values()) == {"1"}
    several = thread_variables(4)
    assert (several["OMP_NUM_THREADS"], several["OMP_WAIT_POLICY"], several["KMP_BLOCKTIME"]) == ("4", "PASSIVE", "0")


def test_settings_of_the_user_are_kept() -> None:
    environment = {"KMP_BLOCKTIME": "200"}
    let_threads_sleep(environment)
    assert environment == {"KMP_BLOCKTIME": "200", "OMP_WAIT_POLICY": "PASSIVE"}
