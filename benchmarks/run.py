"""The main job: ``python -m benchmarks.run --suite matbench``."""

from __future__ import annotations

from crystalbench.cli.app import standalone
from crystalbench.cli.run import run

if __name__ == "__main__":
    standalone(run)
