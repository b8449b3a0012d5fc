"""Runs: plans, executors and the scheduler, and `run_models` for scripts and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crystalbench.runs.api import RunResult, run_models

__all__ = ["RunResult", "run_models"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that importing a part of this package does not import all of it."""
    if name in __all__:
        from crystalbench.runs import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
