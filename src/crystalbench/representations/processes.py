"""Share the crystals of a large computation out among processes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextvars import ContextVar
from typing import TypeVar

from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError

PROCESSES = "CRYSTALBENCH_PROCESSES"
"""Environment variable: processes that may compute a representation; it comes before what a program allows."""

_AHEAD = 3  # chunks that another process has before it

_Result = TypeVar("_Result")
_Message = tuple[str, int, str]  # logger, level, text

_allowed: ContextVar[int] = ContextVar("allowed processes", default=1)
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def allowed_processes(number: int) -> Iterator[None]:
    """Let representations be computed by as many processes within, where the environment does not say how many."""
    token = _allowed.set(number)
    try:
        yield
    finally:
        _allowed.reset(token)


def processes() -> int:
    """How many processes may compute, this one included; 1 in a process that another one started for its work.

    Raises:
        ConfigError: the environment variable is not a number of processes.
    """
    value = os.environ.get(PROCESSES)
    if value is None:
        number = _allowed.get()
    elif value.isdigit() and int(value) > 0:
        number = int(value)
    else:
        raise ConfigError(f"{PROCESSES} = {value!r} must be a whole number of processes, at least 1")
    return 1 if multiprocessing.parent_process() is not None else number


def by_chunks(
    work: Callable[[Crystals], _Result], crystals: Crystals, size: int, least: int | None = None
) -> list[_Result]:
    """What a function makes of chunks of crystals, in their order; of all at once where this process is alone.

    Others are started anew and need about a second, in which this one works already.

    Args:
        work: may be pickled, and treats every crystal by itself.
        crystals: n crystals.
        size: crystals of a chunk.
        least: crystals for which other processes are worth starting; more than one chunk by default.

    Raises:
        ConfigError: the environment variable is not a number of processes.
        CrystalBenchError: whatever the function raises.
    """
    number = processes()
    if number < 2 or len(crystals) < (size + 1 if least is None else least):
        return [work(crystals)]
    chunks = [crystals[start : start + size] for start in range(0, len(crystals), size)]
    if len(chunks) < 2:
        return [work(crystals)]
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(number, len(chunks)) - 1, mp_context=spawn) as pool:
        try:
            return _shared(work, chunks, pool, _AHEAD * (number - 1))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _shared(
    work: Callable[[Crystals], _Result], chunks: list[Crystals], pool: concurrent.futures.Executor, ahead: int
) -> list[_Result]:
    """Results in the order of the chunks. Other processes begin with the first, this one with the last."""
    first, last = 0, len(chunks)
    own: dict[int, _Result] = {}
    futures: list[concurrent.futures.Future[tuple[_Result, list[_Message]]]] = []
    while first < last:
        try:
            while first < last and sum(not future.done() for future in futures) < ahead:
                futures.append(pool.submit(_with_messages, work, chunks[first]))
                first += 1
        except BrokenProcessPool:
            ahead = 0
        if first < last:
            last -= 1
            own[last] = work(chunks[last])
    others = [_result(future, work, chunks[i]) for i, future in enumerate(futures)]
    return others + [own[i] for i in range(len(futures), len(chunks))]


def _with_messages(work: Callable[[Crystals], _Result], chunk: Crystals) -> tuple[_Result, list[_Message]]:
    """A result, and what was logged meanwhile, which is for the other process to say."""
    messages: list[_Message] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append((record.name, record.levelno, record.getMessage()))

    logger, handler = logging.getLogger("crystalbench"), Kept()
    logger.addHandler(handler)
    try:
        return work(chunk), messages
    finally:
        logger.removeHandler(handler)


def _result(
    future: concurrent.futures.Future[tuple[_Result, list[_Message]]],
    work: Callable[[Crystals], _Result],
    chunk: Crystals,
) -> _Result:
    try:
        result, messages = future.result()
    except BrokenProcessPool:
        _log.warning(
            "a process that computed ended without a result; %d crystals are computed here instead (a program of your "
            'own must be guarded by `if __name__ == "__main__":` to use several processes)',
            len(chunk),
        )
        return work(chunk)
    for name, level, text in messages:
        logging.getLogger(name).log(level, "%s", text)
    return result
