"""Progress as plain lines, for streams that are not a terminal: logs, scripts and notebooks."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from crystalbench.results.record import Record
from crystalbench.runs.observer import SilentObserver
from crystalbench.runs.phases import RunProgress
from crystalbench.runs.plan import Run
from crystalbench.targets import METRICS

FIRST_SECONDS = 2.0
"""A phase is announced when it has lasted this long; shorter ones are not worth a line."""

EVERY_SECONDS = 30.0
"""Time between two lines about the same phase."""

LOOK_SECONDS = 0.5
"""How often it is checked whether something is to be said."""

Shown = TypeVar("Shown", bound=RunProgress)


def write_to_stderr(text: str) -> None:
    """Write a line to the error stream of the moment, which a notebook replaces."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


@dataclass(frozen=True)
class _Told:
    """When a line about a run was written, and when the phase of this line began; None if there was no line yet."""

    when: float
    phase_began: float | None = None


class ProgressLines:
    """Writes a line about each running run: when a phase has begun, and from time to time.

    Used as a context manager, it writes from a thread of its own, so that a phase without reports is told of as well.

    Args:
        write: writes a line; by default to the error stream.
        clock: current time in seconds.
    """

    def __init__(
        self, write: Callable[[str], None] = write_to_stderr, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write, self._clock = write, clock
        self._running: dict[RunProgress, _Told] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_again_and_again, daemon=True)

    def __enter__(self) -> ProgressLines:
        """Begin to write."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write no more."""
        self._over.set()
        self._thread.join()

    def add(self, progress: Shown) -> Shown:
        """Write about a run from now on; returns its progress."""
        with self._lock:
            self._running[progress] = _Told(self._clock())
        return progress

    def remove(self, progress: RunProgress) -> bool:
        """Write no more about a run; returns whether a line was written about it."""
        with self._lock:
            told = self._running.pop(progress, None)
            return told is not None and told.phase_began is not None

    def look(self) -> None:
        """Write the lines that are due."""
        now = self._clock()
        with self._lock:
            for progress, told in self._running.items():
                began = progress.phase_began
                is_news = began != told.phase_began and now - began >= FIRST_SECONDS
                if progress.phase is not None and (is_news or now - told.when >= EVERY_SECONDS):
                    self._running[progress] = _Told(now, began)
                    self._write(f"{progress.title}: {progress.text()}")

    def _look_again_and_again(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self.look()


class LineObserver(SilentObserver):
    """Writes lines about runs that take more than a moment. Used as a context manager.

    Args:
        write: writes a line; by default to the error stream.
    """

    def __init__(self, write: Callable[[str], None] = write_to_stderr) -> None:
        self._write, self._lines = write, ProgressLines(write)
        self._progress: dict[str, RunProgress] = {}

    def __enter__(self) -> LineObserver:
        """Begin to write."""
        self._lines.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Write no more."""
        self._lines.__exit__()

    def started(self, run: Run) -> RunProgress:
        """Write about the run from now on."""
        self._end(run)  # another worker takes over from one that died
        self._progress[run.spec.key] = self._lines.add(RunProgress(run.title, run.task.target))
        return self._progress[run.spec.key]

    def finished(self, run: Run, record: Record, *, computed: bool) -> None:
        """Write the score of a run about which there was a line."""
        if self._end(run):
            self._write(f"{run.title}: {score_of(record)} ({record.seconds.fit:.1f} s)")

    def failed(self, run: Run, reason: str) -> None:
        """Write no more about the run; the caller tells of failures."""
        self._end(run)

    def _end(self, run: Run) -> bool:
        progress = self._progress.pop(run.spec.key, None)
        return progress is not None and self._lines.remove(progress)


def score_of(record: Record) -> str:
    """The main score of a record with its metric and unit, e.g. ``MAE 35.2 cm^-1``."""
    metric, value = METRICS[record.metric], record.scores.get(record.metric)
    unit = f" {record.unit}" if metric.has_unit and record.unit else ""
    return f"{metric.label} " + ("undefined" if value is None else f"{value:.4g}{unit}")
