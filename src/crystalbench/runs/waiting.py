"""How long a thread was ready to compute but had to wait for a processor, because others used it."""

from __future__ import annotations

from pathlib import Path

_STATISTICS = Path("/proc/thread-self/schedstat")


def waited_seconds() -> float | None:
    """Seconds that this thread has waited for a processor since it started; None where the system does not say.

    Only Linux says. Waiting for data, a GPU or other threads does not count.
    """
    try:
        return int(_STATISTICS.read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
