"""Files: the cache folder, read-only folders, and atomic writes."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from crystalbench.errors import ConfigError


def cache_dir() -> Path:
    """The folder in ``CRYSTALBENCH_CACHE``, or the user's cache folder. Its content may be deleted at any time.

    Raises:
        ConfigError: it is not set and the user has no home folder, or it names that of an unknown user.
    """
    if value := os.environ.get("CRYSTALBENCH_CACHE"):
        return expanded(value)
    return _user_folder(platformdirs.user_cache_path, "CRYSTALBENCH_CACHE")


def data_dir() -> Path:
    """The folder in ``CRYSTALBENCH_DATA`` or ``MATMINER_DATA``, or the user's data folder.

    Raises:
        ConfigError: none is set and the user has no home folder, or it names that of an unknown user.
    """
    for variable in ("CRYSTALBENCH_DATA", "MATMINER_DATA"):
        if value := os.environ.get(variable):
            return expanded(value)
    return _user_folder(platformdirs.user_data_path, "CRYSTALBENCH_DATA")


def expanded(path: Path | str) -> Path:
    """The path with ``~`` and ``~user`` replaced by home folders.

    Raises:
        ConfigError: there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except (RuntimeError, KeyError) as error:
        raise ConfigError(f"{path}: there is no such home folder; give the path without ~ ({error})") from error


def _user_folder(find: Callable[..., Path], variable: str) -> Path:
    try:
        return find("crystalbench", appauthor=False)
    except (RuntimeError, KeyError) as error:  # no HOME, and no entry in the user database
        raise ConfigError(f"this user has no home folder; set {variable} to a folder ({error})") from error


def is_read_only(directory: Path) -> bool:
    """Whether a folder is read-only because of its mode (even for the superuser), its owner or its file system."""
    mode = directory.stat().st_mode
    return not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(directory, os.W_OK | os.X_OK)


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a text file atomically, as UTF-8 without translating line ends; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8"), durable=durable)


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file atomically: other processes see the complete file or none.

    Args:
        path: the file; its folder is created if necessary.
        data: the content.
        durable: whether to flush the content to disk (fsync).

    Raises:
        OSError: the file cannot be written; no partial file is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
        scratch = Path(file.name)
        try:
            file.write(data)
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
    """Fill a folder that appears atomically, with all its files, at the end of the ``with`` block.

    Yields:
        A temporary folder next to it, which is renamed to ``path`` at the end.

    Raises:
        OSError: the folder cannot be written, or a non-empty folder of this name exists.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
        folder = Path(scratch) / path.name
        folder.mkdir(mode=0o755)
        yield folder
        folder.rename(path)
