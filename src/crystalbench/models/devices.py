"""Devices: their choice, threads, determinism, and the arithmetic of subnormal numbers."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from crystalbench.errors import ConfigError

if TYPE_CHECKING:
    from crystalbench.models.model import Runtime


@contextlib.contextmanager
def flushed_subnormals() -> Iterator[None]:
    """Treat subnormal floats as zero in this context, in this thread and in the threads that torch starts.

    Gaussian expansions of distances yield subnormal floats, on which some processors are several times slower. The mode
    is not set on import, since it changes the arithmetic of the process. A thread inherits the mode of the one that
    started it: if torch has computed in parallel before, its threads keep theirs.
    """
    before = bool(np.float32(1e-40) * np.float32(1) == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def prepare_torch(runtime: Runtime) -> torch.device:
    """Set threads and determinism, and return the device.

    Raises:
        ConfigError: the device does not exist on this machine.
    """
    _keep_freed_memory()
    torch.set_num_threads(max(1, runtime.threads))
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = False  # convolutions are as exact as matrix products
    return checked_device(runtime.device)


def checked_device(name: str) -> torch.device:
    """The device of this name, after a small allocation on it.

    Raises:
        ConfigError: the device does not exist on this machine.
    """
    if name.startswith("cuda"):  # without it, matrix products are not deterministic
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        if "device type at start of device string" in reason:  # torch lists twenty of them
            reason = "give cpu, cuda, cuda:1 or mps"
        raise ConfigError(f"device {name!r} cannot be used here: {reason}") from error
    return device


@functools.cache
def _keep_freed_memory() -> None:
    """Make glibc reuse the memory of freed tensors; without effect on other C libraries.

    Blocks above a threshold are mapped again each time, and the kernel clears all their pages. The threshold rises to
    the size of the largest block freed, if that is below 32 MiB (mallopt(3), M_MMAP_THRESHOLD).
    """
    torch.empty(31 << 20, dtype=torch.uint8)
