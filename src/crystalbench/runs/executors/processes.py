"""ProcessExecutor: computes runs in several processes of this machine.

The processes are loky's (part of joblib). Unlike processes that `multiprocessing` spawns, they do not run the user's
script again. Each slot has a loky pool of one process: in a pool of several, one killed process breaks the pool, which
kills the others with their runs in flight. Here a killed process loses its own run only, which is computed again by a
new process. Progress travels apart from results, see `crystalbench.runs.executors.events`.

Ctrl-C reaches all processes of a terminal. The workers ignore it: this process ends them. If this process is killed,
they notice and end, see `crystalbench.runs.executors.worker`.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import logging
import os
import queue
import signal
import threading
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from joblib.externals import loky
from joblib.externals.loky.process_executor import (
    BrokenProcessPool,
    ShutdownExecutorError,
    TerminatedWorkerError,
)

from crystalbench.models.model import Progress, silent
from crystalbench.representations.processes import PROCESSES
from crystalbench.runs.execute import Computed
from crystalbench.runs.executors import worker
from crystalbench.runs.executors.base import Executor
from crystalbench.runs.executors.events import EventServer
from crystalbench.runs.executors.packing import PackingFolder
from crystalbench.runs.failures import RunFailedError
from crystalbench.runs.plan import Run
from crystalbench.runs.resources import thread_variables
from crystalbench.runs.runner import Runner

log = logging.getLogger(__name__)

MOST_DEATHS = 3
"""A run whose workers have died this often fails: it may be what kills them, e.g. for lack of memory."""

MOST_DEATHS_TUNED = 12
"""The same for a run with tuning, in which each trial that kills its workers fails after a few deaths."""

Value = TypeVar("Value")


class ProcessExecutor(Executor):
    """Computes runs in worker processes, which start when they are first needed.

    Args:
        runner: computes the runs; each process gets a copy.
        slots: number of processes.
    """

    def __init__(self, runner: Runner, slots: int) -> None:
        self.slots = slots
        self._folder = PackingFolder()
        self._events = EventServer(self._folder.path)
        self._numbers = itertools.count()
        self._closing = threading.Event()
        level = logging.getLogger("crystalbench").getEffectiveLevel()
        runner = replace(runner, resources=replace(runner.resources, concurrent=slots))
        arguments = (runner, self._events.place, os.getpid(), level)
        environment = thread_variables(runner.resources.threads) | {PROCESSES: "1"}
        self._workers = [_Worker(arguments, environment) for _ in range(slots)]
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for each in self._workers:
            self._free.put(each)
        self._threads = ThreadPoolExecutor(slots, "crystalbench-executor", _block_interrupts)
        # Each process is replaced when its memory has grown a lot, which loky announces as if it were an accident.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)

    def submit(self, run: Run, progress: Progress = silent) -> Future[Computed]:
        """Compute a run in a process that is free, or as soon as one is."""
        return self._threads.submit(self._compute, run, progress)

    def help(self, run: Run) -> Future[int]:
        """Do trials of a run that another process computes."""
        return self._threads.submit(self._help, run)

    def close(self, *, abandon: bool = False) -> None:
        """End all processes; unfinished calls fail if they are abandoned.

        Help is always abandoned. The scheduler needs none when all runs have ended, and it could last for long.
        """
        self._closing.set()
        for each in self._workers:
            if abandon or each.helps:
                each.end(kill=True)
        self._threads.shutdown(wait=True, cancel_futures=abandon)
        with ThreadPoolExecutor(self.slots) as threads:
            list(threads.map(_Worker.end, self._workers))
        self._events.close()
        self._folder.close()

    def _compute(self, run: Run, progress: Progress) -> Computed:
        packed = self._folder.pack(run)
        number = next(self._numbers)
        self._events.expect(number, progress)
        most = MOST_DEATHS if run.spec.tuning is None else MOST_DEATHS_TUNED
        try:
            computed = self._call(run.title, most, False, worker.compute, packed, number)
            self._events.wait_for_last(number)
            return computed
        finally:
            self._events.forget(number)

    def _help(self, run: Run) -> int:
        return self._call(run.title, 1, True, worker.help_tuning, self._folder.pack(run))

    def _call(
        self, title: str, most: int, helps: bool, function: Callable[..., worker.Reply[Value]], *arguments: Any
    ) -> Value:
        """Call a function in a free process; a new one if it dies, but not for ever."""
        free = self._free.get()
        free.helps = helps
        try:
            for deaths in itertools.count(1):
                try:
                    reply: worker.Reply[Value] = free.call(function, *arguments)
                    return reply.unwrap()
                except (BrokenProcessPool, ShutdownExecutorError, CancelledError) as error:
                    if self._closing.is_set():
                        raise RunFailedError("was abandoned") from error
                    free.kill()
                    if not isinstance(error, TerminatedWorkerError):
                        reason = f"cannot be computed in another process ({error}): try --workers 1"
                        raise RunFailedError(reason, traceback.format_exc()) from error
                    if deaths >= most:
                        times = "" if deaths == 1 else f" {deaths} times"
                        raise RunFailedError(
                            f"its worker process died{times}, perhaps for lack of memory: try fewer --workers",
                            traceback.format_exc(),
                        ) from error
                    log.warning("%s: its worker process died; it is computed again", title)
            raise AssertionError
        finally:
            free.helps = False
            self._free.put(free)


class _Worker:
    """A loky pool of one process. A new process is started for the next call if it was killed.

    Attributes:
        helps: whether it helps with the tuning of another run.
    """

    helps = False

    def __init__(self, arguments: tuple[Any, ...], environment: dict[str, str]) -> None:
        self._arguments, self._environment = arguments, environment
        self._pool: Any = None
        self._lock = threading.Lock()
        self._ended = False

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with self._lock:
            if self._ended:
                raise CancelledError
            if self._pool is None:
                self._pool = loky.ProcessPoolExecutor(
                    1, initializer=worker.initialize, initargs=self._arguments, env=self._environment
                )
            future: concurrent.futures.Future[Any] = self._pool.submit(function, *arguments)
        return future.result()

    def kill(self) -> None:
        """End the process at once; the next call starts a new one."""
        self._shut_down(kill=True)

    def end(self, *, kill: bool = False) -> None:
        """End the process for good, when its call is done or at once; further calls are cancelled."""
        self._ended = True
        self._shut_down(kill=kill)

    def _shut_down(self, *, kill: bool) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=kill)


def _block_interrupts() -> None:
    """Let this thread, and the processes that it starts, ignore Ctrl-C, from their first moment on."""
    if hasattr(signal, "pthread_sigmask"):
        with contextlib.suppress(ValueError, OSError):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
