"""Ledgers: where the scheduler finds and keeps records, shared with other commands through a folder or in memory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from crystalbench.results.record import Record
from crystalbench.results.store import RecordStore
from crystalbench.runs.failures import FailureFiles, RunFailedError
from crystalbench.runs.fit_checkpoints import FitCheckpoints
from crystalbench.runs.locks import RunLocks
from crystalbench.runs.plan import Run

Release = Callable[[], None]
"""Ends a claim."""


class Ledger(Protocol):
    """What the scheduler knows about runs and keeps of them."""

    def find(self, run: Run) -> Record | None:
        """The record of a run, if it exists."""

    def claim(self, run: Run) -> Release | None:
        """Claim a run for this process; None if another process has claimed it."""

    def failure(self, run: Run) -> str | None:
        """Why a run failed since this command began, perhaps in another command; None if it did not."""

    def keep(self, run: Run, record: Record) -> None:
        """Keep the record of a run.

        Raises:
            RecordError: it cannot be written.
        """

    def keep_failure(self, run: Run, failure: RunFailedError) -> None:
        """Keep the failure of a run."""


@dataclass(frozen=True)
class FolderLedger:
    """Records, locks and failure files in a folder that several commands may share.

    Attributes:
        store: the records.
        since: when the command began (seconds since the epoch). A run that failed later than that in another command
            is not computed again.
    """

    store: RecordStore
    since: float = field(default_factory=time.time)

    def find(self, run: Run) -> Record | None:
        """The record of a run, if it exists; a damaged one counts as missing."""
        return self.store.find(run.spec)

    def claim(self, run: Run) -> Release | None:
        """Lock a run; None if another command has locked it.

        Raises:
            RecordError: the lock file cannot be written.
        """
        lock = RunLocks(self.store.root).acquire(run.spec.key)
        return None if lock is None else lock.release

    def failure(self, run: Run) -> str | None:
        """Why a run failed since the command began, in this command or another one."""
        return self._failures.reason_since(run, self.since)

    def keep(self, run: Run, record: Record) -> None:
        """Write the record of a run, whose checkpoints are then removed.

        Raises:
            RecordError: it cannot be written.
        """
        self.store.write(record)
        FitCheckpoints.of_records(self.store.root).remove(run.spec)
        with contextlib.suppress(OSError):
            self._failures.remove(run)

    def keep_failure(self, run: Run, failure: RunFailedError) -> None:
        """Write a failure file."""
        self._failures.write(run, failure)

    @property
    def _failures(self) -> FailureFiles:
        return FailureFiles(self.store.root)


class MemoryLedger:
    """Keeps nothing: every run is computed, and its record is returned only."""

    def find(self, run: Run) -> Record | None:
        """None."""
        return None

    def claim(self, run: Run) -> Release | None:
        """Always succeeds."""
        return lambda: None

    def failure(self, run: Run) -> str | None:
        """None."""
        return None

    def keep(self, run: Run, record: Record) -> None:
        """Does nothing."""

    def keep_failure(self, run: Run, failure: RunFailedError) -> None:
        """Does nothing."""
