"""Task files that say where their table can be downloaded from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from crystalbench.errors import ConfigError, DataError
from crystalbench.tasks import DataSources, TableTaskSpec, load_task, require_data

FORMULAS = ["LiCl", "NaCl", "KCl", "RbCl", "CsCl", "CuCl", "AgCl", "AuCl"]
TABLE = ("f,y\n" + "".join(f"{formula},{i}\n" for i, formula in enumerate(FORMULAS))).encode()


def task_file(folder: Path, *lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "mine.toml"
    head = ['name = "mine"', 'table = "chlorides.csv"', 'composition = "f"', 'target = "y"', 'kind = "regression"']
    file.write_text("\n".join([*head, *lines]) + "\n")
    return file


@pytest.fixture
def spec(server: Any, tmp_path: Path) -> TableTaskSpec:
    server.content = TABLE
    url, sha256 = server.url("chlorides.csv"), server.sha256
    return TableTaskSpec.from_toml(task_file(tmp_path / "tasks", f'url = "{url}"', f'sha256 = "{sha256}"'))


def test_a_missing_table_is_downloaded_into_the_data_folder(server: Any, spec: TableTaskSpec, tmp_path: Path) -> None:
    sources = DataSources(tmp_path / "data")
    assert not spec.availability(sources).here
    require_data([spec], sources)
    task = spec.load(sources)
    assert task.targets.tolist() == list(range(len(FORMULAS)))
    assert (task.source.name, task.source.verified, task.source.sha256) == ("chlorides.csv", "sha256", server.sha256)
    (file,) = (tmp_path / "data").rglob("*.csv")
    assert spec.availability(sources).where == str(file)
    assert sorted(path.name for path in (tmp_path / "tasks").iterdir()) == ["mine.toml"]
    assert spec.load(DataSources(tmp_path / "data", download=False)).digest == task.digest
    assert server.requests == 1


def test_tables_with_the_same_name_do_not_collide(server: Any, spec: TableTaskSpec, tmp_path: Path) -> None:
    first = spec.load(DataSources(tmp_path / "data"))
    server.content = TABLE.replace(b"7", b"9")
    lines = (f'url = "{server.url("chlorides.csv")}"', f'sha256 = "{server.sha256}"')
    other = TableTaskSpec.from_toml(task_file(tmp_path / "others", *lines)).load(DataSources(tmp_path / "data"))
    assert (first.targets[-1], other.targets[-1]) == (7, 9)


def test_a_table_on_this_machine_is_not_downloaded(server: Any, spec: TableTaskSpec, tmp_path: Path) -> None:
    spec.table.write_bytes(TABLE)
    assert spec.load(DataSources(tmp_path / "data")).source.verified == "sha256"
    assert server.requests == 0
    named = tmp_path / "elsewhere.csv"
    named.write_bytes(TABLE.replace(b"7", b"9"))
    task = load_task(spec.file, data=named, data_dir=tmp_path / "data")
    assert (task.targets[-1], task.source.name, task.source.verified) == (9, "elsewhere.csv", "user")


def test_a_table_with_another_checksum_is_refused(server: Any, spec: TableTaskSpec, tmp_path: Path) -> None:
    spec.table.write_bytes(TABLE.replace(b"7", b"9"))
    with pytest.raises(DataError, match=r"chlorides\.csv: its SHA-256 is .*mine\.toml declares .*--data mine=PATH"):
        spec.load(DataSources(tmp_path / "data"))
    sha256 = hashlib.sha256(spec.table.read_bytes()).hexdigest()
    without_url = TableTaskSpec.from_toml(task_file(tmp_path / "tasks", f'sha256 = "{sha256}"'))
    assert without_url.load(DataSources(tmp_path / "data")).source.verified == "sha256"
    assert without_url.remote_files == ()


def test_a_changed_download_is_refused(server: Any, spec: TableTaskSpec, tmp_path: Path) -> None:
    server.content = TABLE.replace(b"7", b"9")
    with pytest.raises(DataError, match=r"(?s)mine: chlorides\.csv: the file at .* is not the expected one"):
        spec.load(DataSources(tmp_path / "data"))
    assert not list((tmp_path / "data").rglob("*.csv"))


def test_offline_the_error_names_both_places(spec: TableTaskSpec, tmp_path: Path) -> None:
    sources = DataSources(tmp_path / "data", download=False)
    with pytest.raises(DataError, match=r"(?s)mine: .*chlorides\.csv.*--offline.*--data mine=PATH"):
        require_data([spec], sources)
    assert str(spec.table) in spec.availability(sources).where
    assert str(tmp_path / "data") in spec.availability(sources).where


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['url = "https://example.org/x.csv"'], "url needs sha256"),
        (['url = "x.csv"', f'sha256 = "{"0" * 64}"'], "url: "),
        (['url = "https://example.org/x.csv"', 'sha256 = "abc"'], "sha256: "),
    ],
)
def test_incomplete_declarations_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)mine\.toml.*{message}"):
        TableTaskSpec.from_toml(task_file(tmp_path, *lines))
