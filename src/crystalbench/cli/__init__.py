"""The command line."""

from __future__ import annotations

from crystalbench.cli.app import main

__all__ = ["main"]
