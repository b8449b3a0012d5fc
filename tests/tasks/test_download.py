from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crystalbench.errors import DataError
from crystalbench.tasks.download import address_of, download_file, rich_progress
from crystalbench.tasks.matbench.official import OFFICIAL

CONTENT = bytes(range(256)) * 9000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Answers one request after another as `answers` says: a status, or bytes to cut off, or None for all."""

    def __init__(self) -> None:
        self.answers: list[int | slice | None] = []
        self.requests = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                answer = outer.answers.pop(0) if outer.answers else None
                if isinstance(answer, int):
                    self.send_error(answer)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT if answer is None else CONTENT[answer])

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/data.json.gz"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def fetch(server: Server, tmp_path: Path) -> Callable[..., Path]:
    def fetch(sha256: str = SHA256, **more: object) -> Path:
        file = tmp_path / "new" / "data.json.gz"
        return download_file(server.url, file, sha256, backoff=0.001, **more)  # type: ignore[arg-type]

    return fetch


def left_over(tmp_path: Path) -> list[str]:
    return sorted(p.name for p in (tmp_path / "new").iterdir() if not p.name.endswith(".lock"))


def test_a_file_arrives_whole_and_its_progress_is_told(
    server: Server, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    told: list[tuple[str, int, int | None]] = []
    file = fetch(progress=lambda *report: told.append(report))
    assert file.read_bytes() == CONTENT
    assert told[-1] == ("data.json.gz", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert left_over(tmp_path) == ["data.json.gz"]


def test_a_file_that_is_there_is_not_downloaded_again(server: Server, fetch: Callable[..., Path]) -> None:
    fetch()
    fetch()
    assert server.requests == 1


def test_of_several_at_once_one_downloads(server: Server, fetch: Callable[..., Path]) -> None:
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(lambda _: fetch(), range(4)))
    assert server.requests == 1
    assert all(file.read_bytes() == CONTENT for file in files)


def test_a_wrong_checksum_is_tried_again_and_leaves_nothing(
    server: Server, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"data.json.gz.*SHA-256.*2 attempts"):
        fetch("0" * 64, attempts=2)
    assert server.requests == 2
    assert left_over(tmp_path) == []


def test_a_transfer_that_breaks_off_is_tried_again(server: Server, fetch: Callable[..., Path]) -> None:
    server.answers = [slice(0, 1000), slice(0, 2_000_000)]
    assert fetch().read_bytes() == CONTENT
    assert server.requests == 3


def test_transfers_that_always_break_off_leave_nothing(
    server: Server, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    server.answers = [slice(0, 1000)] * 3
    with pytest.raises(DataError, match=r"could not be downloaded.*3 attempts"):
        fetch(attempts=3)
    assert left_over(tmp_path) == []


def test_a_missing_file_is_said_at_once(server: Server, fetch: Callable[..., Path], tmp_path: Path) -> None:
    server.answers = [404]
    with pytest.raises(DataError, match="HTTP 404"):
        fetch()
    assert server.requests == 1
    assert left_over(tmp_path) == []


def test_a_busy_server_is_tried_again(server: Server, fetch: Callable[..., Path]) -> None:
    server.answers = [503, 429]
    assert fetch().read_bytes() == CONTENT
    assert server.requests == 3


def test_no_server_is_an_error_for_people(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no answer"):
        download_file("http://127.0.0.1:9/x", tmp_path / "x", SHA256, attempts=2, backoff=0.001)


def test_a_folder_that_cannot_be_made_is_an_error_for_people(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        download_file(server.url, tmp_path / "file" / "data.json.gz", SHA256)


def test_addresses_are_matminers() -> None:
    for task in OFFICIAL.values():
        assert address_of(task) == task.url


def test_the_progress_bar_takes_reports() -> None:
    with rich_progress() as report:
        report("a", 10, 100)
        report("b", 5, None)
        report("a", 100, 100)
