"""The machine on which speed is measured: its description, and torch's threads."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe(threads: int) -> str:
    """Processor, cores, GPU, number of threads used and version of torch, in one line."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = f"; {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{_processor()}; {cores} cores{gpu}; threads used: {threads}; torch {torch.__version__}"


def prepare_threads(threads: int, *, flush: bool) -> None:
    """Set torch's number of threads and whether they flush subnormal floats to zero, and check the effect.

    Threads inherit the flag when they start, so call this before any work of torch.

    Args:
        threads: number of threads.
        flush: whether subnormal floats are flushed.

    Raises:
        RuntimeError: a thread does not have the flag: it was started earlier, or the processor cannot flush.
    """
    import torch

    torch.set_flush_denormal(flush)
    torch.set_num_threads(threads)
    # Large enough to be divided among the threads.
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
