"""Machines that differ from a developer's: terminals without Unicode, no home folder, file systems without locks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crystalbench._files import cache_dir, data_dir
from crystalbench.errors import ConfigError, RecordError
from crystalbench.representations.cache import _locked
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
