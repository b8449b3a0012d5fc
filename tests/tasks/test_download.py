from __future__ import annotations

import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pooch
import pytest

from crystalbench.errors import ConfigError, DataError
from crystalbench.tasks import RemoteFile
from crystalbench.tasks.download import download, rich_progress
from crystalbench.tasks.matbench.addresses import addresses_of
from crystalbench.tasks.matbench.official import OFFICIAL

SHA256 = "0" * 64
Fetch = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "new"


@pytest.fixture
def fetch(server: Any, folder: Path) -> Fetch:
    def fetch(sha256: str | None = None, name: str = "data.json.gz", **more: Any) -> Path:
        remote = RemoteFile(name, (server.url("data.json.gz"),), sha256 or server.sha256)
        return download(remote, folder, **more)

    return fetch


def left_over(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def test_a_file_arrives_complete_and_reports_its_progress(server: Any, fetch: Fetch, folder: Path) -> None:
    reports: list[tuple[str, int, int | None]] = []
    file = fetch(progress=lambda *report: reports.append(report))
    assert file.read_bytes() == server.content
    size = len(server.content)
    assert reports[-1] == ("data.json.gz", size, size)
    assert [done for _, done, _ in reports] == sorted(done for _, done, _ in reports)
    assert left_over(folder) == ["data.json.gz"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_progress_without_a_known_length(server: Any, fetch: Fetch) -> None:
    server.known_length = False
    reports: list[tuple[str, int, int | None]] = []
    assert fetch(progress=lambda *report: reports.append(report)).read_bytes() == server.content
    assert {total for _, _, total in reports} == {None}
    assert [done for _, done, _ in reports] == sorted(done for _, done, _ in reports)


def test_an_existing_file_is_not_downloaded_again(server: Any, fetch: Fetch) -> None:
    fetch()
    fetch()
    assert server.requests == 1


def test_one_of_several_threads_downloads(server: Any, fetch: Fetch) -> None:
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(lambda _: fetch(), range(4)))
    assert server.requests == 1
    assert all(file.read_bytes() == server.content for file in files)


def test_one_of_several_processes_downloads(server: Any, folder: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom crystalbench.tasks import RemoteFile\n"
        "from crystalbench.tasks.download import download\n"
        "download(RemoteFile('x.bin', (sys.argv[1],), sys.argv[2]), Path(sys.argv[3]))\n"
    )
    command = [sys.executable, "-c", code, server.url("x.bin"), server.sha256, str(folder)]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [worker.communicate(timeout=60)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], errors
    assert errors == [""] * 3  # pooch's own messages are not shown
    assert server.requests == 1
    assert (folder / "x.bin").read_bytes() == server.content


def test_a_wrong_checksum_is_retried_and_leaves_nothing(server: Any, fetch: Fetch, folder: Path) -> None:
    with pytest.raises(DataError, match=r"data\.json\.gz.*SHA-256.*2 attempts"):
        fetch(SHA256, retries=1)
    assert server.requests == 2
    assert left_over(folder) == []


def test_an_interrupted_transfer_is_retried(server: Any, fetch: Fetch) -> None:
    server.answers = [slice(0, 1000), slice(0, 2_000_000)]
    assert fetch().read_bytes() == server.content
    assert server.requests == 3


def test_a_transfer_without_length_that_is_cut_is_retried(server: Any, fetch: Fetch) -> None:
    server.known_length = False
    server.answers = [slice(0, 1000)]
    assert fetch().read_bytes() == server.content
    assert server.requests == 2


def test_transfers_that_are_always_interrupted_leave_nothing(server: Any, fetch: Fetch, folder: Path) -> None:
    server.answers = [slice(0, 1000)] * 3
    with pytest.raises(DataError, match=r"could not be downloaded.*3 attempts"):
        fetch(retries=2)
    assert left_over(folder) == []


def test_a_missing_file_is_reported_at_once(server: Any, fetch: Fetch, folder: Path) -> None:
    server.answers = [404]
    with pytest.raises(DataError, match="HTTP 404"):
        fetch()
    assert server.requests == 1
    assert left_over(folder) == []


def test_a_busy_server_is_retried(server: Any, fetch: Fetch, caplog: pytest.LogCaptureFixture) -> None:
    server.answers = [503, 429]
    assert fetch().read_bytes() == server.content
    assert server.requests == 3
    assert "HTTP 503" in caplog.text and "HTTP 429" in caplog.text


def test_addresses_are_tried_in_order(server: Any, folder: Path) -> None:
    addresses = (server.url("gone"), server.url("here"))
    server.answers = [404]
    file = download(RemoteFile("data/x.bin", addresses, server.sha256), folder)
    assert file == folder / "data" / "x.bin" and file.read_bytes() == server.content
    assert server.requests == 2
    server.answers = [404, 410]
    with pytest.raises(DataError, match=r"gone \(HTTP 404.*here \(HTTP 410"):
        download(RemoteFile("data/y.bin", addresses, server.sha256), folder)


def test_pauses_grow_between_attempts(server: Any, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(pooch.core.time, "sleep", pauses.append)
    server.answers = [503] * 5
    with pytest.raises(DataError, match=r"HTTP 503.*5 attempts"):
        fetch()
    assert pauses == [1, 2, 3, 4]


def test_an_unreachable_server_is_an_error_that_names_it(server: Any, folder: Path) -> None:
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/x.*2 attempts"):
        download(RemoteFile("x", ("http://127.0.0.1:9/x",), SHA256), folder, retries=1)


def test_a_server_that_stops_answering_is_retried(server: Any, fetch: Fetch) -> None:
    server.answers = [0.5]
    assert fetch(timeout=(5.0, 0.1)).read_bytes() == server.content
    server.answers = [0.5]
    with pytest.raises(DataError, match=r"(?i)timed out.*1 attempt"):
        fetch("1" * 64, name="other", timeout=(5.0, 0.1), retries=0)


def test_a_folder_that_cannot_be_created_is_an_error_that_names_it(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/data\.json\.gz: cannot be written"):
        download(RemoteFile("data.json.gz", (server.url("x"),), server.sha256), tmp_path / "file")


def test_the_addresses_of_matbench_are_those_of_matminer() -> None:
    for task in OFFICIAL.values():
        assert addresses_of(task) == (task.url,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../x"}, "relative path"),
        ({"name": "/x"}, "relative path"),
        ({"name": ""}, "relative path"),
        ({"urls": ()}, "at least one address"),
        ({"urls": ("ftp://a/x",)}, "not an http or https address"),
        ({"urls": ("https://a/x", "https://a b/x")}, "not an http or https address"),
        ({"sha256": "0" * 63}, "not a SHA-256"),
        ({"sha256": "F" * 64}, "not a SHA-256"),
    ],
)
def test_declarations_with_mistakes_are_refused(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"name": "a/x.csv", "urls": ("https://a.org/x.csv",), "sha256": SHA256}
    RemoteFile(**good)
    with pytest.raises(ConfigError, match=message):
        RemoteFile(**{**good, **change})


def test_the_progress_bar_accepts_reports() -> None:
    with rich_progress() as report:
        report("a", 10, 100)
        report("b", 5, None)
        report("a", 100, 100)


def test_a_host_that_is_not_found_ends_the_download_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def resolve(host: str, *_: Any) -> None:
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        for variable in (name, name.lower()):
            monkeypatch.delenv(variable, raising=False)
    remote = RemoteFile("x.gz", ("https://one.invalid/x.gz", "https://two.invalid/x.gz"), SHA256)
    with pytest.raises(DataError, match=r"one\.invalid is not found.*two\.invalid is not found; is there a network"):
        download(remote, folder)
    assert asked == ["one.invalid", "two.invalid"]
    assert left_over(folder) == []
