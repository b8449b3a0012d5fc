"""Folders: where things may be written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """``CRYSTALBENCH_CACHE``, else the user's cache folder. Anything in it may be deleted at any time."""
    if value := os.environ.get("CRYSTALBENCH_CACHE"):
        return Path(value).expanduser()
    return platformdirs.user_cache_path("crystalbench", appauthor=False)


def is_read_only(directory: Path) -> bool:
    """Whether a folder is not to be written to: by its mode (also for the superuser), its owner or its file system."""
    mode = directory.stat().st_mode
    return not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(directory, os.W_OK | os.X_OK)
