"""Data in memory: crystals and compositions as flat arrays, the samples that models read, and views.

The names below are imported on first use, so that ``import crystalbench.data`` stays fast and needs neither pymatgen
nor torch.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# spglib prints a line without an id whenever one of its attempts fails, even if another one succeeds. Where no symmetry
# is found at all, the callers say so with the id of the crystal.
os.environ.setdefault("SPGLIB_WARNING", "OFF")

if TYPE_CHECKING:
    from crystalbench.data.compositions import Compositions
    from crystalbench.data.crystals import Crystals, concatenate
    from crystalbench.data.samples import Predictions, Samples
    from crystalbench.data.views import View, get_view, view_names

__all__ = [
    "Compositions",
    "Crystals",
    "Predictions",
    "Samples",
    "View",
    "concatenate",
    "get_view",
    "view_names",
]

_MODULES = {
    "Compositions": "compositions",
    "Crystals": "crystals",
    "Predictions": "samples",
    "Samples": "samples",
    "View": "views",
    "concatenate": "crystals",
    "get_view": "views",
    "view_names": "views",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
