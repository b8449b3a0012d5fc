"""Leaderboards from records: ``python -m benchmarks.report``."""

from __future__ import annotations

from crystalbench.cli import app as cli

if __name__ == "__main__":
    cli.standalone(cli.report)
