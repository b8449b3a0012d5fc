"""The machine that measures: its description, and torch's threads."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe(threads: int) -> str:
    """Processor, cores, GPU, threads used and version of torch, in one line."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = f"; {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{_processor()}; {cores} cores{gpu}; threads used: {threads}; torch {torch.__version__}"


def prepare_threads(threads: int, *, flush: bool) -> None:
    """Set torch's number of threads and whether subnormal floats count as zero, and see that all threads obey.

    Threads inherit the flag when they are made, so this has to come before any work of torch.

    Raises:
        RuntimeError: a thread does not obey: it was made earlier, or its processor cannot flush.
    """
    import torch

    torch.set_flush_denormal(flush)
    torch.set_num_threads(threads)
    # Large enough to be shared out among the threads.
    tiny = torch.full((1 << 20,), 2e-38) * 0.1
    zeros = int((tiny.view(torch.int32) == 0).sum())
    if zeros != (len(tiny) if flush else 0):
        raise RuntimeError(f"subnormal floats are {'not ' * flush}flushed in some thread; measure in a new process")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
