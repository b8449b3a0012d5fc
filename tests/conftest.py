from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_folders(session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the folders of the user who runs the tests."""
    monkeypatch.setenv("CRYSTALBENCH_CACHE", str(session_cache))
    for variable in ("CRYSTALBENCH_DATA", "MATMINER_DATA"):
        monkeypatch.delenv(variable, raising=False)
