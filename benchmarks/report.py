"""Leaderboards from records: ``python -m benchmarks.report``."""

from __future__ import annotations

from crystalbench.cli.app import standalone
from crystalbench.cli.report import report

if __name__ == "__main__":
    standalone(report)
