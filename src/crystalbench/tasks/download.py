"""Downloads: a file arrives whole and checked, or not at all.

The addresses and checksums are those of matminer's data set list. matminer's own fetch reads the file into memory, does
not notice an HTTP error and leaves a broken file behind, so the transfer itself is done here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeAlias

import requests
from filelock import FileLock, Timeout

from crystalbench.errors import DataError
from crystalbench.tasks.matbench.official import OfficialTask

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with a file name, the bytes that have arrived and the bytes expected (None where unknown)."""

CHUNK = 1 << 20
TIMEOUT = (15.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes."""
LOCK_TIMEOUT = 3600.0
_TRANSIENT_CODES = {408, 425, 429, 500, 502, 503, 504}

_log = logging.getLogger(__name__)


class _TransientError(Exception):
    """A failure that may not happen again."""


@cache
def _matminer_list() -> dict[str, dict[str, str]]:
    """Matminer's list of data sets, read without importing matminer; empty where it cannot be read."""
    spec = importlib.util.find_spec("matminer")
    for folder in spec.submodule_search_locations if spec and spec.submodule_search_locations else ():
        try:
            entries = json.loads((Path(folder) / "datasets" / "dataset_metadata.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return dict(entries)
    return {}


def address_of(official: OfficialTask) -> str:
    """Where matminer downloads a task's file from, as the installed matminer says."""
    return str(_matminer_list().get(official.name, {}).get("url") or official.url)


def download_file(
    url: str,
    path: Path,
    sha256: str,
    *,
    progress: Progress | None = None,
    attempts: int = 4,
    backoff: float = 2.0,
    timeout: tuple[float, float] = TIMEOUT,
) -> Path:
    """Download a file, check it and put it in place in one step.

    Of several processes that want the same file one downloads and the others wait for it. Broken transfers, wrong
    checksums and busy servers (HTTP 408, 425, 429, 5xx) are tried again.

    Args:
        url: where the file is.
        path: where it goes; its folder is made if needed.
        sha256: SHA-256 that the file must have.
        progress: told how far it is.
        attempts: how often to try.
        backoff: seconds before the second attempt; doubled before each further one.
        timeout: seconds to wait for a connection, and for the next bytes.

    Returns:
        The path.

    Raises:
        DataError: the file did not arrive, is not what it should be, or cannot be written; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_TIMEOUT):
            if not path.exists():
                _attempt(url, path, sha256, progress, attempts, backoff, timeout)
    except Timeout as error:
        raise DataError(
            f"{path}: another process has been downloading it for over an hour; if none is, delete {error.lock_file}"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error}); choose another data folder or make room") from error
    return path


def _attempt(
    url: str,
    path: Path,
    sha256: str,
    progress: Progress | None,
    attempts: int,
    backoff: float,
    timeout: tuple[float, float],
) -> None:
    for attempt in range(1, attempts + 1):
        try:
            _transfer(url, path, sha256, progress, timeout)
            return
        except _TransientError as error:
            if attempt == attempts:
                raise DataError(
                    f"{path.name}: could not be downloaded from {url} ({error}; {attempts} attempts)"
                ) from error
            _log.warning("%s: %s; trying again (%d of %d)", path.name, error, attempt + 1, attempts)
            time.sleep(backoff * 2 ** (attempt - 1))


def _transfer(url: str, path: Path, sha256: str, progress: Progress | None, timeout: tuple[float, float]) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    scratch = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            found = _receive(url, file.write, path.name, progress, timeout)
            file.flush()
            os.fsync(file.fileno())
        if found != sha256:
            raise _TransientError(f"its SHA-256 is {found[:16]}… and should be {sha256[:16]}…")
        scratch.chmod(0o644)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _receive(
    url: str, write: Callable[[bytes], object], name: str, progress: Progress | None, timeout: tuple[float, float]
) -> str:
    """Stream the answer to `write`; its SHA-256."""
    sha, done = hashlib.sha256(), 0
    response = _get(url, name, timeout)
    with response:
        length = response.headers.get("Content-Length", "")
        encoded = response.headers.get("Content-Encoding", "identity") != "identity"
        total = int(length) if length.isdigit() and not encoded else None
        chunks = response.iter_content(CHUNK)
        while chunk := _next(chunks):
            write(chunk)
            sha.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(name, done, total)
        if total is not None and done != total:
            raise _TransientError(f"the transfer ended after {done} of {total} bytes")
    return sha.hexdigest()


def _get(url: str, name: str, timeout: tuple[float, float]) -> requests.Response:
    try:
        response = requests.get(url, stream=True, timeout=timeout, headers={"Accept-Encoding": "identity"})
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _TransientError(f"no answer: {_cause(error)}") from error
    except requests.RequestException as error:
        raise DataError(f"{name}: cannot be downloaded from {url} ({_cause(error)})") from error
    if response.status_code in _TRANSIENT_CODES:
        response.close()
        raise _TransientError(f"HTTP {response.status_code} {response.reason}")
    if response.status_code != requests.codes.ok:
        response.close()
        raise DataError(f"{name}: cannot be downloaded from {url} (HTTP {response.status_code} {response.reason})")
    return response


def _next(chunks: Iterator[bytes]) -> bytes:
    """The next bytes; the errors of the network only, for those of the disk are handled elsewhere."""
    try:
        return next(chunks, b"")
    except requests.RequestException as error:
        raise _TransientError(f"the transfer broke off: {_cause(error)}") from error


def _cause(error: BaseException) -> str:
    """The innermost reason of a chain of network errors, in one line."""
    text = str(error.args[0] if error.args and isinstance(error.args[0], BaseException) else error)
    return " ".join(text.split())[:200]


@contextmanager
def rich_progress() -> Iterator[Progress]:
    """A progress bar on the terminal's error stream for every file that is downloaded within.

    Yields:
        A callback for `download_file` and `DataSources.progress`.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Bars(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bars:
        rows: dict[str, TaskID] = {}

        def report(name: str, done: int, total: int | None) -> None:
            if name not in rows:
                rows[name] = bars.add_task(name, total=total)
            bars.update(rows[name], completed=done, total=total)

        yield report
