"""CrystalBench: a fair comparison of representations of crystals.

The public names for scripts and notebooks are imported when they are first used::

    import crystalbench as cb

    task = cb.load_task("demo_bulk_modulus")
    result = cb.run("magpie_forest", task, folds=[0])
    result.scores
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Compositions": "crystalbench.data.compositions",
    "Crystals": "crystalbench.data.crystals",
    "FinalModel": "crystalbench.runs.final",
    "Results": "crystalbench.results",
    "check_model": "crystalbench.testing",
    "compare": "crystalbench.api",
    "export_jarvis": "crystalbench.exchange.api",
    "export_matbench": "crystalbench.exchange.api",
    "fit": "crystalbench.api",
    "get_model": "crystalbench.models",
    "import_predictions": "crystalbench.exchange.api",
    "leaderboard": "crystalbench.api",
    "list_models": "crystalbench.api",
    "list_tasks": "crystalbench.tasks",
    "load_model": "crystalbench.api",
    "load_results": "crystalbench.results",
    "load_task": "crystalbench.tasks",
    "plot": "crystalbench.reports",
    "run": "crystalbench.api",
}
"""Public names and the modules that define them."""

_RENAMED = {"plot": "plots"}

if TYPE_CHECKING:
    from crystalbench.api import (
        compare,
        fit,
        leaderboard,
        list_models,
        load_model,
        run,
    )
    from crystalbench.data.compositions import Compositions
    from crystalbench.data.crystals import Crystals
    from crystalbench.exchange.api import export_jarvis, export_matbench, import_predictions
    from crystalbench.models import get_model
    from crystalbench.reports import plots as plot
    from crystalbench.results import Results, load_results
    from crystalbench.runs.final import FinalModel
    from crystalbench.tasks import list_tasks, load_task
    from crystalbench.testing import check_model

__all__ = [
    "Compositions",
    "Crystals",
    "FinalModel",
    "Results",
    "__version__",
    "check_model",
    "compare",
    "export_jarvis",
    "export_matbench",
    "fit",
    "get_model",
    "import_predictions",
    "leaderboard",
    "list_models",
    "list_tasks",
    "load_model",
    "load_results",
    "load_task",
    "plot",
    "run",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    attribute = _RENAMED.get(name, name)
    if name in _RENAMED:
        found: Any = importlib.import_module(f"{_PUBLIC[name]}.{attribute}")
    else:
        found = getattr(importlib.import_module(_PUBLIC[name]), attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
