"""Downloads: a file arrives complete and verified, or not at all.

pooch does the transfer: it streams to a temporary file, checks the SHA-256, renames the file into place, and repeats
failed transfers after a growing pause. What it lacks is here:

* a lock, so that one of several processes downloads a file and the others wait for it;
* errors that no repetition can fix (HTTP 404, a host name that cannot be resolved) end the download at once;
* several addresses for one file;
* progress as a callback;
* files that every user of the machine can read (pooch's are readable for their owner only).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from crystalbench.errors import DataError
from crystalbench.tasks.remote import RemoteFile

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with a file name, the number of bytes received and the total number of bytes (None if unknown)."""

CHUNK = 1 << 20
RETRIES = 4
TIMEOUT = (15.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes."""
LOCK_TIMEOUT = 3600.0
_TRANSIENT_CODES = {408, 425, 429, 500, 502, 503, 504}

_log = logging.getLogger(__name__)


def download(
    remote: RemoteFile,
    folder: Path,
    *,
    progress: Progress | None = None,
    retries: int = RETRIES,
    timeout: tuple[float, float] = TIMEOUT,
) -> Path:
    """Download a file into a folder, unless it is there already.

    Interrupted transfers, wrong checksums and busy servers (HTTP 408, 425, 429, 5xx) are retried.

    Args:
        remote: the file.
        folder: where to put it; created if necessary.
        progress: called as the file arrives.
        retries: number of retries for each address.
        timeout: seconds to wait for a connection, and for the next bytes.

    Returns:
        The path of the file.

    Raises:
        DataError: the file could not be downloaded from any address, or it cannot be written; nothing is left behind.
    """
    path = folder / remote.name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_TIMEOUT):
            if not path.exists():
                _from_any(remote, path, progress, retries, timeout)
    except Timeout as error:
        raise DataError(
            f"{path}: another process has been downloading it for over an hour; if none is, delete {error.lock_file}"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise DataError(
            f"{path}: cannot be written ({error}); choose another data folder or free some space"
        ) from error
    return path


def _from_any(
    remote: RemoteFile, path: Path, progress: Progress | None, retries: int, timeout: tuple[float, float]
) -> None:
    failures = []
    for url in remote.urls:
        try:
            return _fetch(url, path, remote.sha256, _Downloader(path.name, progress, timeout), retries)
        except DataError as error:
            failures.append(str(error))
    raise DataError("; ".join(failures))


def _fetch(url: str, path: Path, sha256: str, downloader: _Downloader, retries: int) -> None:
    import pooch
    import requests  # both take time to import

    store = pooch.create(
        path.parent,
        base_url="",
        registry={path.name: f"sha256:{sha256}"},
        urls={path.name: url},
        retry_if_failed=retries,
    )
    attempts = f"{retries + 1} attempt{'s' * (retries > 0)}"
    try:
        with _quiet(pooch.get_logger()):
            store.fetch(path.name, downloader=downloader)
    except requests.RequestException as error:
        raise DataError(f"{path.name}: could not be downloaded from {url} ({_reason(error)}; {attempts})") from error
    except ValueError as error:  # pooch's error for a wrong checksum
        raise DataError(
            f"{path.name}: the file at {url} is not the expected one, its SHA-256 is not {sha256[:16]}… ({attempts})"
        ) from error


class _Downloader:
    """pooch's HTTP downloader, with a progress callback, errors that end the retries, and usual file permissions."""

    def __init__(self, name: str, progress: Progress | None, timeout: tuple[float, float]) -> None:
        self._name, self._progress, self._timeout = name, progress, timeout

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        import requests
        from pooch import HTTPDownloader
        from urllib3.exceptions import NameResolutionError

        fetch = HTTPDownloader(
            progressbar=_Bar(self._name, self._progress) if self._progress else False,
            chunk_size=CHUNK,
            timeout=self._timeout,
            headers={"Accept-Encoding": "identity"},
        )
        try:
            fetch(url, output_file, pooch)
        except requests.HTTPError as error:
            if error.response is None or error.response.status_code not in _TRANSIENT_CODES:
                raise DataError(f"{self._name}: could not be downloaded from {url} ({_reason(error)})") from error
            _log.warning("%s: %s", self._name, _reason(error))
            raise
        except requests.RequestException as error:
            if isinstance(_cause(error), NameResolutionError):
                host = urlsplit(url).hostname
                raise DataError(
                    f"{self._name}: could not be downloaded from {url} ({host} is not found; is there a network?)"
                ) from error
            _log.warning("%s: %s", self._name, _reason(error))
            raise
        Path(output_file).chmod(0o644)


class _Bar:
    """The progress bar that pooch updates, as a callback. pooch counts chunks, the last of which is rarely full."""

    def __init__(self, name: str, report: Progress) -> None:
        self.total = 0
        self._name, self._report, self._done = name, report, 0

    def update(self, size: int) -> None:
        self._done = min(self._done + size, self.total) if self.total else self._done + size
        self._report(self._name, self._done, self.total or None)

    def reset(self) -> None:
        self._done = 0 if self.total else self._done  # pooch then adds the total

    def close(self) -> None:
        """Do nothing; pooch calls this at the end."""


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Silence pooch's messages, which go to the terminal by default."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _reason(error: Exception) -> str:
    """One line about a network error: the HTTP status, or the innermost reason."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code} {response.reason}"
    text = " ".join(str(_cause(error)).split())
    return re.sub(r"^\S*(?:\(.*?\)|<.*?>): ", "", text) or type(error).__name__


def _cause(error: Exception) -> BaseException:
    """The innermost reason of an error of requests, which wraps those of urllib3."""
    cause = error.args[0] if error.args and isinstance(error.args[0], BaseException) else error
    return getattr(cause, "reason", None) or cause


@contextmanager
def rich_progress() -> Iterator[Progress]:
    """Show a progress bar on the terminal's error stream for every file that is downloaded in the ``with`` block.

    Yields:
        A callback for `download` and `DataSources.progress`.
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
