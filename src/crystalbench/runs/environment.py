"""The environment of a run: versions, processor, git commit, peak memory."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil

PACKAGES = (
    "crystalbench",
    "e3nn",
    "lightgbm",
    "matminer",
    "moyopy",
    "numpy",
    "optuna",
    "pymatgen",
    "scikit-learn",
    "scipy",
    "spglib",
    "torch",
)
"""Packages that determine numbers."""

OPTIONAL_PACKAGES = ("torch-geometric",)
"""The same, of extras: recorded where they are installed."""


@functools.cache
def environment(device: str = "cpu") -> dict[str, Any]:
    """Versions, processor, GPU, and the git commit of the checkout (None for an installed package).

    Args:
        device: torch device of the run.
    """
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES} | _optional_versions(),
        "git": _git(),
        **(_gpu(device) if device.startswith("cuda") else {}),
    }


def reset_peak_memory() -> None:
    """Restart the measurement of peak memory, if the system supports it (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory_mb() -> float:
    """Largest resident memory in MB (10^6 bytes) since `reset_peak_memory`.

    On systems other than Linux, it is the current resident memory.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return float(psutil.Process().memory_info().rss / 1e6)


def _optional_versions() -> dict[str, str]:
    found = {}
    for name in OPTIONAL_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _gpu(device: str) -> dict[str, Any]:
    import torch  # imported here, because other devices do not need it

    return {"gpu": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}


def _git() -> dict[str, Any] | None:
    folder = Path(__file__).resolve().parents[1]
    if not (folder.parents[1] / ".git").exists():
        return None
    try:
        commit = _run_git(folder, "rev-parse", "HEAD")
        changed = bool(_run_git(folder, "status", "--porcelain", "--untracked-files=no", "--", "."))
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": changed}


def _run_git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
