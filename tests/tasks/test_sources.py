from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
from helpers import random_crystals

from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.targets import Kind, Target
from crystalbench.tasks import (
    DataSources,
    RemoteFile,
    Source,
    Task,
    TaskSpec,
    get_task_spec,
    parse_data_options,
    require_data,
    sources,
)

PHONONS, STEELS = get_task_spec("matbench_phonons"), get_task_spec("matbench_steels")


def test_the_folder_is_the_argument_then_the_environment_then_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DataSources().directory == platformdirs.user_data_path("crystalbench", appauthor=False)
    monkeypatch.setenv("MATMINER_DATA", str(tmp_path / "matminer"))
    assert DataSources().directory == tmp_path / "matminer"
    monkeypatch.setenv("CRYSTALBENCH_DATA", str(tmp_path / "own"))
    assert DataSources().directory == tmp_path / "own"
    assert DataSources(tmp_path).directory == tmp_path


def test_a_named_file_takes_precedence_over_matminers_and_that_over_a_table(tmp_path: Path) -> None:
    table = tmp_path / "matbench_phonons.parquet"
    table.touch()
    assert DataSources(tmp_path).find(PHONONS) == (table,)
    official = tmp_path / "matbench_phonons.json.gz"
    official.touch()
    assert DataSources(tmp_path).find(PHONONS) == (official,)
    named = tmp_path / "part.parquet"
    named.touch()
    assert DataSources(tmp_path, files={"matbench_phonons": named}).find(PHONONS) == (named,)


def test_one_error_lists_everything_that_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "matbench_jdft2d.json.gz").touch()
    here = get_task_spec("matbench_jdft2d")
    with pytest.raises(DataError) as caught:
        DataSources(tmp_path, download=False).find_all([PHONONS, here, STEELS])
    message = str(caught.value)
    assert "2 tasks" in message
    assert "matbench_phonons:" in message and "matbench_steels:" in message and "jdft2d" not in message
    assert f"put matbench_phonons.json.gz, matbench_steels.json.gz into {tmp_path}" in message
    assert "--data-dir" in message and "CRYSTALBENCH_DATA" in message and "without --offline" in message
    assert "--data matbench_phonons=PATH" in message


def test_missing_files_are_downloaded_and_failures_are_listed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(remote: RemoteFile, folder: Path, **_: object) -> Path:
        if "steels" in remote.name:
            raise DataError("HTTP 404")
        (folder / remote.name).touch()
        return folder / remote.name

    monkeypatch.setattr(sources, "download", fetch)
    assert DataSources(tmp_path).find(PHONONS) == (tmp_path / "matbench_phonons.json.gz",)
    with pytest.raises(DataError, match=r"(?s)1 task is missing.*matbench_steels: HTTP 404.*run again"):
        DataSources(tmp_path).find_all([PHONONS, STEELS])


def test_nothing_is_downloaded_into_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "fixed"
    folder.mkdir()
    folder.chmod(0o555)
    monkeypatch.setattr(sources, "download", lambda *_, **__: pytest.fail("must not download"))
    with pytest.raises(DataError, match=r"fixed, and this folder is read-only"):
        DataSources(folder).find(PHONONS)
    folder.chmod(0o755)


# ---------------------------------------------------------------------- tasks of other packages


@dataclass(frozen=True)
class TwoFiles(TaskSpec):
    """A task of another package: its files are declared, found and downloaded as those of Matbench are."""

    remotes: tuple[RemoteFile, ...] = ()

    @property
    def remote_files(self) -> tuple[RemoteFile, ...]:
        return self.remotes

    def load(self, sources: DataSources) -> Task:
        files = sources.find(self)
        targets = np.array([float(len(file.read_bytes())) for file in files])
        source = Source(files[0].name, self.remotes[0].sha256, "sha256")
        crystals = random_crystals(0, len(files))
        folds = np.arange(len(files), dtype=np.int16)
        return Task(self.name, self.target, self.metric, crystals, targets, folds, len(files), source)


def two_files(urls: Sequence[str], sha256: str) -> TwoFiles:
    remotes = tuple(RemoteFile(f"other/{i}.bin", (url,), sha256) for i, url in enumerate(urls))
    return TwoFiles("other", Target("size", Kind.REGRESSION), "mae", True, len(urls), remotes=remotes)


def test_a_task_of_another_package_is_downloaded(server: Any, tmp_path: Path) -> None:
    spec = two_files([server.url("a"), server.url("b")], server.sha256)
    offline = DataSources(tmp_path, download=False)
    assert spec.availability(offline) == spec.availability(DataSources(tmp_path))
    assert not spec.availability(offline).here and "other/1.bin" in spec.availability(offline).where
    with pytest.raises(DataError, match=r"(?s)other: other/0\.bin is not in.*put other/0\.bin, other/1\.bin"):
        require_data([spec], offline)
    reports: list[tuple[str, int, int | None]] = []
    require_data([spec], DataSources(tmp_path, progress=lambda *report: reports.append(report)))
    assert {name for name, _, _ in reports} == {"0.bin", "1.bin"}
    assert server.requests == 2
    assert spec.load(offline).targets.tolist() == [len(server.content)] * 2
    assert spec.availability(offline).rows == 2
    with pytest.raises(ConfigError, match=r"--data other=.*read from 2 files"):
        spec.check_file(tmp_path / "x.bin")


def test_a_single_file_of_another_package_can_be_named(tmp_path: Path) -> None:
    spec = two_files(["https://example.org/a"], "0" * 64)
    file = tmp_path / "elsewhere.bin"
    file.write_bytes(b"12345")
    given = DataSources(tmp_path, {"other": file}, download=False)
    require_data([spec], given)
    assert spec.load(given).targets.tolist() == [5.0]
    file.unlink()
    with pytest.raises(DataError, match=r"--data other=.*elsewhere\.bin: there is no such file"):
        require_data([spec], given)
    assert not spec.availability(given).here


def test_a_task_without_files_is_always_available(tmp_path: Path) -> None:
    spec = two_files([], "")
    assert spec.availability(DataSources(tmp_path)).here
    assert DataSources(tmp_path, download=False).find(spec) == ()
    with pytest.raises(ConfigError, match=r"--data other=.*reads no data file"):
        DataSources(tmp_path, {"other": Path(__file__)}).find(spec)


def test_what_a_task_says_about_its_availability_is_respected(tmp_path: Path) -> None:
    from crystalbench.tasks import Availability

    class Elsewhere(TwoFiles):
        def availability(self, sources: DataSources) -> Availability:
            return Availability(False, None, "the database does not answer")

    spec = Elsewhere("other", Target("size", Kind.REGRESSION), "mae", True, 1)
    with pytest.raises(DataError, match="other: the database does not answer"):
        require_data([spec], DataSources(tmp_path))


# ---------------------------------------------------------------------- --data


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
    with pytest.raises(ConfigError, match="reads no data file"):
        parse_data_options([f"demo_bulk_modulus={table}"])
    with pytest.raises(DataError, match="no such file"):
        parse_data_options([f"matbench_phonons={tmp_path / 'absent.parquet'}"])
