"""Failure files: title, reason and traceback of each run that failed, next to the records."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from crystalbench.runs.plan import Run

log = logging.getLogger(__name__)


class RunFailedError(Exception):
    """A run failed.

    Attributes:
        reason: one line for the user.
        details: the traceback.
    """

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(reason, details)  # all arguments, so that it can be pickled
        self.reason, self.details = reason, details

    def __str__(self) -> str:
        """The reason."""
        return self.reason


@dataclass(frozen=True)
class FailureFiles:
    """Failure files, below the folder of records.

    Attributes:
        root: the folder of records.
    """

    root: Path

    def path_of(self, run: Run) -> Path:
        """The failure file of a run."""
        return self.root / ".failures" / f"{run.spec.key[:16]}.txt"

    def write(self, run: Run, failure: RunFailedError) -> None:
        """Keep a failure; a warning is logged if the file cannot be written."""
        path = self.path_of(run)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = f"{run.title}\n{' '.join(failure.reason.split())}\n\n{failure.details}"
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            log.warning("%s: the traceback could not be written (%s)", path, error)

    def reason_since(self, run: Run, since: float) -> str | None:
        """Why a run failed after a time (seconds since the epoch); None if it did not fail after it."""
        path = self.path_of(run)
        try:
            if path.stat().st_mtime < since:
                return None
            return path.read_text(encoding="utf-8").splitlines()[1]
        except (OSError, IndexError):
            return None

    def remove(self, run: Run) -> None:
        """Remove the failure file of a run that has succeeded since."""
        self.path_of(run).unlink(missing_ok=True)
