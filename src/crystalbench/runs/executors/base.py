"""The interface of executors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from crystalbench.models.model import Progress, silent
from crystalbench.runs.execute import Computed
from crystalbench.runs.plan import Run


class Executor(ABC):
    """Computes runs somewhere and returns their records as values.

    An executor reads and writes no records and knows no locks; the scheduler does. It is a context manager: leaving
    the context releases its processes, and abandons unfinished runs if an exception is the reason.

    Attributes:
        slots: number of calls that are computed at the same time. More calls wait for a free slot.
    """

    slots: int

    @abstractmethod
    def submit(self, run: Run, progress: Progress = silent) -> Future[Computed]:
        """Compute a run.

        Args:
            run: the run.
            progress: called with the progress of the run, perhaps in another thread.

        Returns:
            The record, and the fitted models if the executor was configured to return them. The exception of a future
            is a `crystalbench.runs.failures.RunFailedError`.
        """

    @abstractmethod
    def help(self, run: Run) -> Future[int]:
        """Take part in the tuning of a run that is computed elsewhere.

        Returns:
            The number of trials done; 0 if there was none to begin.
        """

    @abstractmethod
    def close(self, *, abandon: bool = False) -> None:
        """Release all processes.

        Args:
            abandon: end unfinished calls instead of waiting for them.
        """

    def __enter__(self) -> Self:
        """The executor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release all processes; end unfinished calls if there was an exception."""
        self.close(abandon=kind is not None)
