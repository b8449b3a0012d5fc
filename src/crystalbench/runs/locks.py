"""Locks: each run is computed by one of the commands that share a results folder.

A lock is a file that the operating system locks for its process. It is free at once when the process ends, however it
ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from crystalbench.errors import RecordError


@dataclass(frozen=True)
class RunLocks:
    """Locks of runs, below the folder of records.

    Attributes:
        root: the folder of records.
    """

    root: Path

    def file(self, key: str) -> Path:
        """The file that is locked while the run with a key is computed."""
        return self._folder / f"{key}.lock"

    def acquire(self, key: str) -> FileLock | None:
        """Lock a run; None if another process holds its lock.

        Raises:
            RecordError: the lock file cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.file(key), timeout=0)
            lock.acquire()
        except Timeout:
            return None
        except (OSError, NotImplementedError) as error:  # some network file systems have no locks
            raise self._not_writable(error) from error
        return lock

    def check_writable(self) -> None:
        """Find out before any computation whether the folder can be written.

        Raises:
            RecordError: the folder cannot be created or written.
        """
        probe = self._folder / "probe"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            probe.write_text("", encoding="utf-8")
        except OSError as error:
            raise self._not_writable(error) from error

    @property
    def _folder(self) -> Path:
        return self.root / ".locks"

    def _not_writable(self, error: OSError | NotImplementedError) -> RecordError:
        reason = getattr(error, "strerror", None) or error
        return RecordError(f"{self.root}: records cannot be written there ({reason}); give another --results folder")
