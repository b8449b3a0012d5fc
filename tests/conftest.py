from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_folders(session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests do not read or write the cache and data folders of the user who runs them."""
    monkeypatch.setenv("CRYSTALBENCH_CACHE", str(session_cache))
    for variable in ("CRYSTALBENCH_DATA", "MATMINER_DATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(
        "LOKY_MAX_CPU_COUNT", "1"
    )  # runs are computed in the test's process unless workers are requested


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Restore logging after each test, because the command line configures it for the process."""
    root, package = logging.getLogger(), logging.getLogger("crystalbench")
    handlers, levels = list(root.handlers), (root.level, package.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    package.setLevel(levels[1])
