from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from crystalbench.errors import ConfigError
from crystalbench.tuning.storage import Storage, normal_url


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("postgresql://me@host/db", "postgresql+psycopg://me@host/db"),
        ("postgres://me@host/db", "postgresql+psycopg://me@host/db"),
        ("postgresql+psycopg2://me@host/db", "postgresql+psycopg2://me@host/db"),
        ("sqlite:////a/b.sqlite3", "sqlite:////a/b.sqlite3"),
    ],
)
def test_a_url_gets_the_driver_that_is_installed(given: str, normal: str) -> None:
    assert normal_url(given) == normal


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("here", r"'here' is not a URL; write postgresql://user@host/database"),
        (
            "mysql://me:pw@host/db",
            r"me:\*\*\*@host/db: mysql is not supported; use postgresql://\.\.\. or sqlite:///\.\.\.",
        ),
        ("postgresql://me:se:cret@host:port/db", r"'postgresql://me:\*\*\*@host:port/db' is not a URL"),
        ("sqlite://", r"names no file; write sqlite:///path/of/a/file"),
    ],
)
def test_an_invalid_url_is_an_error(given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Storage(given)


@pytest.mark.parametrize("name", ["what?now", "50%25 done", "a#b", "ü x"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    storage = Storage.below(tmp_path / name)
    storage.check()
    assert storage.file == tmp_path / name / "studies.sqlite3"
    assert storage.file.is_file()


def test_the_error_for_an_unreachable_server_hides_the_password() -> None:
    storage = Storage("postgresql://me:secret@127.0.0.1:1/db")
    with pytest.raises(ConfigError, match=r"cannot be used \(.*\); is the server running") as caught:
        storage.check()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_driver_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    message = r"its driver is not installed; run: pip install 'crystalbench\[postgresql\]'"
    with pytest.raises(ConfigError, match=message):
        Storage("postgresql://me@127.0.0.1:1/db").check()


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="choose another folder with --results"):
        Storage.below(tmp_path / "file").check()


def test_a_file_that_is_not_a_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "studies.sqlite3").write_text("notes")
    with pytest.raises(ConfigError, match=r"cannot be used \(file is not a database\)"):
        Storage.below(tmp_path).check()


def test_a_storage_is_pickled_without_its_connections(tmp_path: Path) -> None:
    storage = Storage(Storage.below(tmp_path).url, heartbeat=1, grace=2)
    storage.check()
    copy = pickle.loads(pickle.dumps(storage))
    assert copy == storage
    assert "database" not in vars(copy)
