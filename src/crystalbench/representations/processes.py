"""Compute a representation of many crystals in several processes.

Worker processes are started by loky (the backend of joblib). Unlike the workers of `multiprocessing`, they do not run
the user's script again, so a script needs no ``if __name__ == "__main__":`` guard, and classes defined in a script or
in a notebook can be used. Workers run single-threaded: one process per core is faster than threads that wait for each
other.

Limits: workers take about a second to start (this process works meanwhile), and every chunk of crystals is pickled.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError

if TYPE_CHECKING:
    from concurrent.futures import Executor

PROCESSES = "CRYSTALBENCH_PROCESSES"
"""Environment variable: number of processes that may compute a representation. It overrides what a caller allows."""

_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMBA_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)
"""Environment of the workers."""
_GRANTED = ("SLURM_CPUS_PER_TASK", "NSLOTS", "PBS_NCPUS", "NCPUS", "LSB_DJOB_NUMPROC")
"""Environment variables in which SLURM, Grid Engine, PBS and LSF say how many cores a job was given."""
_MOST_PROCESSES = 1024
_PATIENCE = 5.0  # seconds; far more than a waiting executor needs to see that work is cancelled
_IDLE = 60.0  # seconds after which a worker without work ends, so that none outlives a killed parent for long

_Result = TypeVar("_Result")
_Message = tuple[str, int, str]  # logger, level, text

Report = Callable[[int, int], None]
"""Called with the number of crystals done and their total, perhaps in another thread."""

_allowed: ContextVar[int | None] = ContextVar("allowed processes", default=1)
_report: ContextVar[Report | None] = ContextVar("report", default=None)
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def allowed_processes(number: int | None) -> Iterator[None]:
    """Allow representations to use this many processes within the context.

    Args:
        number: processes, this one included; None for as many as there are usable cores.
    """
    token = _allowed.set(number)
    try:
        yield
    finally:
        _allowed.reset(token)


@contextlib.contextmanager
def reported_to(report: Report | None) -> Iterator[None]:
    """Report the progress of representations that are computed within the context.

    Args:
        report: called after each chunk of crystals; None for no reports.
    """
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


def processes() -> int:
    """Number of processes that may compute, this one included.

    ``CRYSTALBENCH_PROCESSES`` comes first, then the number that `allowed_processes` sets (1 outside of it). A process
    that was itself started as a worker computes alone.

    Raises:
        ConfigError: the environment variable is not a number of processes.
    """
    value = os.environ.get(PROCESSES)
    if value is None:
        number = _allowed.get()
    elif value.isdecimal() and 0 < int(value) <= _MOST_PROCESSES:
        number = int(value)
    else:
        raise ConfigError(f"{PROCESSES} = {value!r}; it must be a number of processes, 1 to {_MOST_PROCESSES}")
    if multiprocessing.parent_process() is not None:
        return 1
    return usable_cores() if number is None else number


def usable_cores() -> int:
    """Physical cores that this process may use, at least 1.

    The number respects the process's affinity, quotas of control groups, and the environment variables
    ``LOKY_MAX_CPU_COUNT``, ``SLURM_CPUS_PER_TASK`` (SLURM), ``NSLOTS`` (Grid Engine), ``PBS_NCPUS`` or ``NCPUS``
    (PBS), and ``LSB_DJOB_NUMPROC`` (LSF).

    Raises:
        ConfigError: ``LOKY_MAX_CPU_COUNT`` is not a number.
    """
    import joblib  # here, because few commands need it

    try:
        cores = int(joblib.cpu_count(only_physical_cores=True))
    except ValueError as error:
        value = os.environ.get("LOKY_MAX_CPU_COUNT")
        raise ConfigError(f"LOKY_MAX_CPU_COUNT = {value!r}; it must be a number of cores, or unset") from error
    granted = [os.environ.get(name, "") for name in _GRANTED]
    return max(1, min(cores, *(int(value) for value in granted if value.isdecimal()), cores))


def by_chunks(
    work: Callable[[Crystals], _Result], crystals: Crystals, size: int, least: int | None = None
) -> list[_Result]:
    """Apply a function to chunks of crystals, in several processes if they are allowed.

    Args:
        work: a function of crystals that treats each crystal independently.
        crystals: n crystals.
        size: crystals per chunk.
        least: smallest number of crystals for which workers are started; by default more than one chunk.

    Returns:
        The results of all chunks in the order of the crystals; one result if this process works alone and nobody
        wants reports of its progress. A chunk whose worker died (for lack of memory, for instance) is computed in this
        process, after a warning.

    Raises:
        ConfigError: the environment variable ``CRYSTALBENCH_PROCESSES`` is not a number of processes.
        CrystalBenchError: whatever the function raises.
    """
    counted = _Counted(len(crystals), _report.get())
    number = processes()
    if number < 2 or len(crystals) < (size + 1 if least is None else least):
        return _alone(work, crystals, size, counted)
    chunks = [crystals[start : start + size] for start in range(0, len(crystals), size)]
    workers = min(number, len(chunks)) - 1
    if workers < 1:
        return _alone(work, crystals, size, counted)
    try:
        executor = _executor(workers)
    except (OSError, NotImplementedError) as error:  # a system without semaphores
        _log.warning("no worker processes can be started (%s); computing in one process", error)
        return _alone(work, crystals, size, counted)
    shared = _Shared(work, chunks, executor, workers, counted)
    try:
        results = shared.results()
    except BaseException:
        shared.cancel()
        executor.shutdown(wait=False, kill_workers=True)
        raise
    executor.shutdown(wait=True)
    return results


class _Counted:
    """Counts the crystals that are done, and reports them."""

    def __init__(self, total: int, report: Report | None) -> None:
        self.wanted = report is not None
        self._report, self._done, self._total = report or _no_report, 0, total
        self._lock = threading.Lock()
        self._report(0, total)

    def work(self, work: Callable[[Crystals], _Result], chunk: Crystals) -> _Result:
        """Compute a chunk in this process; parts of it are not reported."""
        with reported_to(None):
            result = work(chunk)
        self.add(len(chunk))
        return result

    def add(self, number: int) -> None:
        """Count crystals that are done."""
        with self._lock:
            self._done += number
            self._report(self._done, self._total)


def _no_report(done: int, total: int) -> None:
    """Report nothing."""


def _alone(work: Callable[[Crystals], _Result], crystals: Crystals, size: int, counted: _Counted) -> list[_Result]:
    """Compute in this process: in chunks if their progress is reported."""
    results = []
    step = size if counted.wanted else len(crystals)
    for start in range(0, max(1, len(crystals)), max(1, step)):
        chunk = crystals[start : start + step] if step < len(crystals) else crystals
        results.append(counted.work(work, chunk))
    return results


def _executor(workers: int) -> Any:
    from joblib.externals.loky import ProcessPoolExecutor

    return ProcessPoolExecutor(workers, timeout=_IDLE, initializer=_ignore_interrupts, env=_ONE_THREAD)


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which the terminal sends to all processes, to the parent, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Shared(Generic[_Result]):
    """Chunks that the workers take from the front and this process takes from the back."""

    def __init__(
        self,
        work: Callable[[Crystals], _Result],
        chunks: list[Crystals],
        executor: Executor,
        workers: int,
        counted: _Counted,
    ) -> None:
        self._work = work
        self._counted = counted
        self._chunks = chunks
        self._executor = executor
        self._ahead = workers + 1  # one chunk is queued, so that no worker waits
        self._left = deque(range(len(chunks)))
        self._futures: dict[int, Future[tuple[_Result, list[_Message]]]] = {}
        self._lock = threading.RLock()  # a chunk is either left, submitted, or computed here

    def results(self) -> list[_Result]:
        """The results of all chunks, in order."""
        for _ in range(self._ahead):
            self._submit()
        own: dict[int, _Result] = {}
        while (index := self._last()) is not None:
            own[index] = self._compute(index)
        self._collect(own)
        return [own[index] for index in range(len(self._chunks))]

    def cancel(self) -> None:
        """Cancel the chunks that no worker has begun.

        It waits until the executor has seen that: an executor that is shut down before (loky 3.6) ends with an error.
        """
        with self._lock:
            self._left.clear()
            futures = list(self._futures.values())
        concurrent.futures.wait([future for future in futures if future.cancel()], timeout=_PATIENCE)

    def _submit(self, finished: Future[Any] | None = None) -> None:
        """Submit the next chunk; called again whenever a worker has finished one."""
        if finished is not None and (finished.cancelled() or finished.exception() is not None):
            return
        with self._lock:
            if not self._left:
                return
            index = self._left.popleft()
            level = logging.getLogger("crystalbench").getEffectiveLevel()
            try:
                future = self._executor.submit(_with_messages, self._work, self._chunks[index], level)
            except RuntimeError:  # the workers have ended
                self._left.appendleft(index)
                return
            self._futures[index] = future
        future.add_done_callback(partial(self._finish, index))

    def _finish(self, index: int, future: Future[Any]) -> None:
        """Count a chunk that a worker has finished, and submit the next one."""
        if not future.cancelled() and future.exception() is None:
            self._counted.add(len(self._chunks[index]))
        self._submit(future)

    def _last(self) -> int | None:
        """Take the last of the remaining chunks."""
        with self._lock:
            return self._left.pop() if self._left else None

    def _collect(self, own: dict[int, _Result]) -> None:
        """Add the results of the workers, and those of chunks whose worker died."""
        lost = []
        for index, future in sorted(self._futures.items()):
            try:
                own[index], messages = future.result()
            except BrokenProcessPool as error:
                lost.append(index)
                reason = str(error).partition(". ")[0]
                _log.debug("a worker failed", exc_info=error)
                continue
            for name, level, text in messages:
                logging.getLogger(name).log(level, "%s", text)
        if lost:
            number = sum(len(self._chunks[index]) for index in lost)
            _log.warning(
                "a worker process ended without a result (%s); computing %d crystals in this process instead; "
                "if memory is short, allow fewer processes (%s)",
                reason,
                number,
                PROCESSES,
            )
        for index in lost:
            own[index] = self._compute(index)

    def _compute(self, index: int) -> _Result:
        return self._counted.work(self._work, self._chunks[index])


def _with_messages(work: Callable[[Crystals], _Result], chunk: Crystals, level: int) -> tuple[_Result, list[_Message]]:
    """The result of a chunk and what was logged meanwhile, which the parent process logs."""
    messages: list[_Message] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append((record.name, record.levelno, record.getMessage()))

    logger, handler = logging.getLogger("crystalbench"), Kept()
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    try:
        return work(chunk), messages
    finally:
        logger.removeHandler(handler)
