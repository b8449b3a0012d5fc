from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.tasks import DataSources, parse_data_options, sources
from crystalbench.tasks.matbench.official import OFFICIAL

PHONONS, STEELS = OFFICIAL["matbench_phonons"], OFFICIAL["matbench_steels"]


def test_the_folder_is_the_argument_then_the_environment_then_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DataSources().directory == platformdirs.user_data_path("crystalbench", appauthor=False)
    monkeypatch.setenv("MATMINER_DATA", str(tmp_path / "matminer"))
    assert DataSources().directory == tmp_path / "matminer"
    monkeypatch.setenv("CRYSTALBENCH_DATA", str(tmp_path / "own"))
    assert DataSources().directory == tmp_path / "own"
    assert DataSources(tmp_path).directory == tmp_path


def test_a_named_file_comes_before_matminers_and_that_before_a_table(tmp_path: Path) -> None:
    table = tmp_path / "matbench_phonons.parquet"
    table.touch()
    assert DataSources(tmp_path).find(PHONONS) == table
    official = tmp_path / "matbench_phonons.json.gz"
    official.touch()
    assert DataSources(tmp_path).find(PHONONS) == official
    named = tmp_path / "part.parquet"
    named.touch()
    assert DataSources(tmp_path, files={"matbench_phonons": named}).find(PHONONS) == named


def test_one_error_lists_all_that_is_missing_and_three_ways_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "matbench_jdft2d.json.gz").touch()
    here = OFFICIAL["matbench_jdft2d"]
    with pytest.raises(DataError) as caught:
        DataSources(tmp_path, download=False).find_all([PHONONS, here, STEELS])
    message = str(caught.value)
    assert "2 tasks" in message
    assert "matbench_phonons:" in message and "matbench_steels:" in message and "jdft2d" not in message
    assert "put matminer's files" in message and "download" in message
    assert "--data matbench_phonons=table.parquet" in message
    assert str(tmp_path) in message


def test_missing_files_are_downloaded_and_failures_are_listed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(url: str, path: Path, sha256: str, **_: object) -> Path:
        if "steels" in url:
            raise DataError("HTTP 404")
        assert sha256 == PHONONS.sha256
        path.touch()
        return path

    monkeypatch.setattr(sources, "download_file", fetch)
    assert DataSources(tmp_path).find(PHONONS) == tmp_path / "matbench_phonons.json.gz"
    with pytest.raises(DataError, match=r"(?s)1 task is not.*matbench_steels: HTTP 404.*three ways"):
        DataSources(tmp_path).find_all([PHONONS, STEELS])


def test_nothing_is_downloaded_into_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "fixed"
    folder.mkdir()
    folder.chmod(0o555)
    monkeypatch.setattr(sources, "download_file", lambda *_, **__: pytest.fail("must not download"))
    with pytest.raises(DataError, match="nothing can be written there"):
        DataSources(folder).find(PHONONS)
    folder.chmod(0o755)


def test_data_options(tmp_path: Path) -> None:
    table = tmp_path / "a=b.parquet"
    table.touch()
    assert parse_data_options([f" matbench_phonons = {table}"]) == {"matbench_phonons": table}


@pytest.mark.parametrize("option", ["matbench_phonons", "=x.parquet", "matbench_phonons=", ""])
def test_a_data_option_of_another_form_is_refused(option: str) -> None:
    with pytest.raises(ConfigError, match="TASK=PATH"):
        parse_data_options([option])


def test_wrong_data_options_say_what_is_wrong(tmp_path: Path) -> None:
    table, text = tmp_path / "t.parquet", tmp_path / "t.txt"
    table.touch(), text.touch()
    with pytest.raises(UnknownNameError, match="Did you mean 'matbench_phonons'"):
        parse_data_options([f"matbench_phonon={table}"])
    with pytest.raises(ConfigError, match="two files"):
        parse_data_options([f"matbench_phonons={table}", f"matbench_phonons={table}"])
    with pytest.raises(ConfigError, match="must end in"):
        parse_data_options([f"matbench_phonons={text}"])
    with pytest.raises(DataError, match="no such file"):
        parse_data_options([f"matbench_phonons={tmp_path / 'absent.parquet'}"])
