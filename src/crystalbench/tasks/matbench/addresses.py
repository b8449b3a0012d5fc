"""Where matminer's files can be downloaded from."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path

from crystalbench.tasks.matbench.official_table import OfficialTask


def addresses_of(official: OfficialTask) -> tuple[str, ...]:
    """The addresses of the file of an official task: that of the installed matminer, and the one known here."""
    listed = _matminer_list().get(official.name, {}).get("url")
    return tuple(dict.fromkeys(url for url in (listed, official.url) if url))


@cache
def _matminer_list() -> dict[str, dict[str, str]]:
    """The data sets that matminer lists, read without importing matminer; empty if the list cannot be read."""
    spec = importlib.util.find_spec("matminer")
    for folder in spec.submodule_search_locations if spec and spec.submodule_search_locations else ():
        try:
            entries = json.loads((Path(folder) / "datasets" / "dataset_metadata.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return dict(entries)
    return {}
