"""What happens in a worker process: it computes packed runs, and ends when the process that started it has ended."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import psutil

from crystalbench.runs.execute import Computed
from crystalbench.runs.executors.events import EventClient, Place
from crystalbench.runs.executors.packing import PackedRun, TaskReader
from crystalbench.runs.failures import RunFailedError
from crystalbench.runs.runner import Runner

LOOK_SECONDS = 1.0
"""How often a worker checks whether the process that started it still exists."""

Value = TypeVar("Value")
Message = tuple[str, int, str]
"""Logger, level and text."""


@dataclass(frozen=True)
class Reply(Generic[Value]):
    """The result of a call, and the messages logged during the call, which the other process logs."""

    value: Value | RunFailedError
    messages: list[Message]

    def unwrap(self) -> Value:
        """Log the messages and return the value.

        Raises:
            RunFailedError: the run failed.
        """
        for name, level, text in self.messages:
            logger = logging.getLogger(name)
            if logger.isEnabledFor(level):
                logger.log(level, "%s", text)
        if isinstance(self.value, RunFailedError):
            raise self.value
        return self.value


@dataclass(frozen=True)
class _Worker:
    runner: Runner
    tasks: TaskReader
    events: EventClient


_worker: _Worker | None = None


def initialize(runner: Runner, place: Place, parent: int, level: int) -> None:
    """Prepare this process.

    Args:
        runner: computes the runs.
        place: where events are sent.
        parent: number of the process that started this one.
        level: level of messages worth sending.
    """
    global _worker
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    logging.getLogger("crystalbench").setLevel(level)
    _worker = _Worker(runner, TaskReader(), EventClient(place))


def compute(packed: PackedRun, number: int) -> Reply[Computed]:
    """Compute a run.

    Args:
        packed: the run.
        number: number of the call, sent with its events.
    """
    worker = _this_worker()
    with messages_logged() as messages:
        try:
            run = packed.unpack(worker.tasks)
            return Reply(worker.runner.run(run, worker.events.progress(number)), messages)
        except RunFailedError as failure:
            return Reply(failure, messages)
        finally:
            worker.events.end(number)


def help_tuning(packed: PackedRun) -> Reply[int]:
    """Take part in the tuning of a run."""
    worker = _this_worker()
    with messages_logged() as messages:
        return Reply(worker.runner.help(packed.unpack(worker.tasks)), messages)


def _this_worker() -> _Worker:
    assert _worker is not None
    return _worker


def _end_with(parent: int) -> None:
    """End this process, whatever it does, when its parent has ended, e.g. because it was killed."""
    while os.getppid() == parent and psutil.pid_exists(parent):
        time.sleep(LOOK_SECONDS)
    os._exit(1)


@contextlib.contextmanager
def messages_logged() -> Iterator[list[Message]]:
    """Collect what is logged."""
    messages: list[Message] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append((record.name, record.levelno, record.getMessage()))

    logger, collector = logging.getLogger("crystalbench"), Collector()
    logger.addHandler(collector)
    try:
        yield messages
    finally:
        logger.removeHandler(collector)
