from __future__ import annotations

import logging
import sys
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


@pytest.fixture(autouse=True)
def _own_imports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Forget modules from temporary folders after each test, so that another file of the same name can be imported."""
    path, imported = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    temporary = tmp_path_factory.getbasetemp().resolve()
    for name in set(sys.modules) - imported:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).resolve().is_relative_to(temporary):
            del sys.modules[name]
