"""Results: specifications of runs, records, studies of hyperparameters, and the frames that are made from them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crystalbench.results.loading import Results, load_results
    from crystalbench.results.record import Record
    from crystalbench.results.spec import ProtocolSpec, RunSpec, TuningSpec
    from crystalbench.results.store import RecordStore, StudyStore
    from crystalbench.results.study import Study

__all__ = [
    "ProtocolSpec",
    "Record",
    "RecordStore",
    "Results",
    "RunSpec",
    "Study",
    "StudyStore",
    "TuningSpec",
    "load_results",
]

_MODULES = {
    "ProtocolSpec": "spec",
    "Record": "record",
    "RecordStore": "store",
    "Results": "loading",
    "RunSpec": "spec",
    "Study": "study",
    "StudyStore": "store",
    "TuningSpec": "spec",
    "load_results": "loading",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: pandas is slow to import, and only frames need it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
