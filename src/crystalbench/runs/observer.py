"""Observers: objects that are notified of the events of runs, e.g. to show progress.

All methods are called in the thread that called the scheduler; the progress callback may be called in another one.
"""

from __future__ import annotations

from typing import Protocol

from crystalbench.models.model import Progress, silent
from crystalbench.results.record import Record
from crystalbench.runs.plan import Run


class Observer(Protocol):
    """Notified of the events of runs."""

    def started(self, run: Run) -> Progress:
        """A run begins. Returns the callback for its progress."""

    def finished(self, run: Run, record: Record, *, computed: bool) -> None:
        """The record of a run exists: it was computed just now, or found."""

    def waiting(self, runs: list[Run]) -> None:
        """All remaining runs are being computed by other processes."""

    def failed(self, run: Run, reason: str) -> None:
        """A run failed. The others go on."""


class SilentObserver:
    """Ignores all events. A base class for observers of some of them."""

    def started(self, run: Run) -> Progress:
        """Ignore the progress."""
        return silent

    def finished(self, run: Run, record: Record, *, computed: bool) -> None:
        """Ignore the event."""

    def waiting(self, runs: list[Run]) -> None:
        """Ignore the event."""

    def failed(self, run: Run, reason: str) -> None:
        """Ignore the event."""
