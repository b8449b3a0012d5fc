"""Files: the cache folder, writable folders, and writing whole files or none."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """``CRYSTALBENCH_CACHE``, or the user's cache folder. Anything in it may be deleted at any time."""
    if value := os.environ.get("CRYSTALBENCH_CACHE"):
        return Path(value).expanduser()
    return platformdirs.user_cache_path("crystalbench", appauthor=False)


def is_read_only(directory: Path) -> bool:
    """Whether a folder cannot be written: by its mode (also for the superuser), its owner or its file system."""
    mode = directory.stat().st_mode
    return not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(directory, os.W_OK | os.X_OK)


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a text file atomically: another process sees the whole file or none.

    Args:
        path: the file; its folder is created if necessary.
        text: the content, written as UTF-8 without translating line ends.
        durable: whether the content is on disk when this returns (fsync).

    Raises:
        OSError: the file cannot be written; no partial file is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="", dir=path.parent, prefix=".", suffix=".part", delete=False
    ) as file:
        scratch = Path(file.name)
        try:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            scratch.chmod(0o644)
            scratch.replace(path)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder that appears atomically, as a whole, at the end of the ``with`` block.

    Yields:
        A temporary folder in the same place, renamed to ``path`` at the end.

    Raises:
        OSError: the folder cannot be written, or a non-empty folder of this name exists.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
        whole = Path(scratch) / path.name
        whole.mkdir(mode=0o755)
        yield whole
        whole.rename(path)
