"""The peer in a separate process that does not flush subnormal floats, which is PyTorch's default.

Prints one number, crystals per second. Threads inherit the flag when they start, so one process cannot measure both
states.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.speed.rows import Settings

_ROOT = Path(__file__).resolve().parents[2]


def unflushed(settings: Settings, kind: str) -> float:
    """Crystals per second of the peer, measured in a new process after a pass that is discarded.

    Args:
        settings: the user's options.
        kind: ``training`` or ``inference``.

    Raises:
        RuntimeError: the process failed.
    """
    command = [sys.executable, "-m", __name__, kind, "--threads", str(settings.threads)]
    if settings.data_dir is not None:
        command += ["--data-dir", str(settings.data_dir)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, sys.path)])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("training", "inference"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()

    from benchmarks.speed.machine import prepare_threads

    prepare_threads(options.threads, flush=False)

    from benchmarks.speed.passes import crystals_and_targets, plain_measurement

    crystals, targets = crystals_and_targets(Settings(options.data_dir, options.threads))
    measurement = plain_measurement(crystals, targets, options.kind)
    prepare_threads(options.threads, flush=False)  # checks that no import has changed the flag
    measurement()
    print(measurement())


if __name__ == "__main__":
    main()
