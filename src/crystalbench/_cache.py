"""The folder for what can be made again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """``CRYSTALBENCH_CACHE``, else the user's cache folder. Anything in it may be deleted at any time."""
    if value := os.environ.get("CRYSTALBENCH_CACHE"):
        return Path(value).expanduser()
    return platformdirs.user_cache_path("crystalbench", appauthor=False)
