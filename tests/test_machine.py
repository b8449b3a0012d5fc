"""Machines that differ from a developer's: terminals without Unicode, no home folder, file systems without locks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from crystalbench._files import cache_dir, data_dir
from crystalbench.cli.console import command
from crystalbench.errors import ConfigError, RecordError
from crystalbench.representations.cache import _locked
from crystalbench.representations.processes import processes, usable_cores
from crystalbench.runs.locks import RunLocks

fcntl = pytest.importorskip("fcntl")


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["cp1252", "latin-1", "ascii", "C"],
)
def test_runs_go_on_if_the_terminal_lacks_characters(tmp_path: Path, variables: dict[str, str]) -> None:
    arguments = ["run", "--task", "demo_bulk_modulus", "--model", "dummy", "--fold", "0", "--results", str(tmp_path)]
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONIOENCODING", "PYTHONUTF8", "LC_ALL", "LANG")}
    done = subprocess.run(
        [sys.executable, "-m", "crystalbench", *arguments],
        env=environment | variables,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert (tmp_path / "leaderboard.md").is_file()
    assert b"UnicodeEncodeError" not in done.stderr


@pytest.mark.parametrize(("find", "variable"), [(cache_dir, "CRYSTALBENCH_CACHE"), (data_dir, "CRYSTALBENCH_DATA")])
def test_without_a_home_folder_the_message_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, find: object, variable: str
) -> None:
    def homeless(*args: object, **kwargs: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("CRYSTALBENCH_CACHE", "CRYSTALBENCH_DATA", "MATMINER_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", homeless)
    monkeypatch.setattr("platformdirs.user_data_path", homeless)
    assert callable(find)
    with pytest.raises(ConfigError, match=f"no home folder; set {variable}"):
        find()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_file_systems_without_locks_are_one_line_or_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refused(*args: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setenv("CRYSTALBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fcntl, "flock", refused)
    with _locked("entry"):
        pass  # every process computes
    with pytest.raises(RecordError, match=f"{tmp_path}.*{os.strerror(code)}.*--results"):
        RunLocks(tmp_path).acquire("key")


@pytest.mark.parametrize("variable", ["CRYSTALBENCH_CACHE", "CRYSTALBENCH_DATA"])
def test_the_home_folder_of_an_unknown_user_is_one_line(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "~no-such-user/folder")
    with pytest.raises(ConfigError, match="~no-such-user/folder: there is no such home folder"):
        cache_dir() if variable == "CRYSTALBENCH_CACHE" else data_dir()


@pytest.mark.parametrize("variable", ["SLURM_CPUS_PER_TASK", "NSLOTS", "PBS_NCPUS", "NCPUS", "LSB_DJOB_NUMPROC"])
@pytest.mark.parametrize(("value", "cores"), [("1", 1), ("0", 1), ("3", 3), ("99", 4), ("", 4), ("2(x3)", 4), ("²", 4)])
def test_cores_that_a_batch_system_grants_are_respected(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, cores: int
) -> None:
    for name in ("SLURM_CPUS_PER_TASK", "NSLOTS", "PBS_NCPUS", "NCPUS", "LSB_DJOB_NUMPROC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("joblib.cpu_count", lambda **_: 4)
    monkeypatch.setenv(variable, value)
    assert usable_cores() == cores


def test_numbers_of_cores_that_are_none_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "two")
    with pytest.raises(ConfigError, match="LOKY_MAX_CPU_COUNT = 'two'"):
        usable_cores()
    for value in ("²", "0", "1.0", "99999"):
        monkeypatch.setenv("CRYSTALBENCH_PROCESSES", value)
        with pytest.raises(ConfigError, match=f"CRYSTALBENCH_PROCESSES = '{value}'; it must be .* 1 to 1024"):
            processes()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EDQUOT, "Disk quota exceeded", "r/records"), "the quota of this user is used up"),
        (OSError(errno.EROFS, "Read-only file system", "r/records"), "the file system is read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "r/records"), "may not be accessed"),
        (OSError(errno.ESTALE, "Stale file handle", "r/records"), "network file system"),
        (UnicodeEncodeError("utf-8", "r\udcc3", 1, 2, "surrogates not allowed"), "set PYTHONUTF8=1"),
    ],
)
def test_failures_of_the_machine_end_a_command_in_one_line(
    capsys: pytest.CaptureFixture[str], error: Exception, message: str
) -> None:
    with pytest.raises(typer.Exit), command():
        raise error
    text = " ".join(capsys.readouterr().err.split())
    assert message in text
    assert "Traceback" not in text
