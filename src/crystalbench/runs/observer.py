"""Observers: what is notified of the events of runs, e.g. to show progress."""

from __future__ import annotations

from typing import Protocol

from crystalbench.models.model import Progress, silent
from crystalbench.results.record import Record
from crystalbench.runs.plan import Run


class Observer(Protocol):
    """Notified of the events of runs; the command line shows them."""

    def started(self, run: Run) -> Progress:
        """A run begins; returns the callback for its progress."""

    def finished(self, run: Run, record: Record, *, computed: bool) -> None:
        """A run's record exists: computed just now, or found."""

    def waiting(self, runs: list[Run]) -> None:
        """Only runs that other processes compute are left."""

    def failed(self, run: Run, reason: str) -> None:
        """A run failed; the others go on."""


class SilentObserver:
    """Ignores all events; a base class for observers of some of them."""

    def started(self, run: Run) -> Progress:
        """No progress."""
        return silent

    def finished(self, run: Run, record: Record, *, computed: bool) -> None:
        """Nothing."""

    def waiting(self, runs: list[Run]) -> None:
        """Nothing."""

    def failed(self, run: Run, reason: str) -> None:
        """Nothing."""
