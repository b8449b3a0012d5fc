"""Workers: the heartbeat of a running trial, and whether a worker on this machine is still alive."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import socket
import threading
from pathlib import Path

import psutil
from optuna.storages import RDBStorage

log = logging.getLogger(__name__)


class Heartbeat:
    """A context in which a thread records heartbeats of a running trial. Errors of the database are ignored.

    Args:
        database: Optuna's storage.
        trial: id of the trial in the storage.
        seconds: time between two heartbeats.
    """

    def __init__(self, database: RDBStorage, trial: int, seconds: float) -> None:
        self._database, self._trial, self._seconds = database, trial, seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._seconds):
            try:
                self._database.record_heartbeat(self._trial)
            except Exception as error:
                log.debug("a heartbeat was not recorded (%s)", error)
        self._database.remove_session()


def worker_id() -> str:
    """A unique name of this process: the machine and when it booted, the process id and when the process started."""
    return f"{_machine()} {os.getpid()} {_started(os.getpid())}"


def is_dead(worker: str) -> bool:
    """Whether the process with a `worker_id` has ended; always False for processes of other machines."""
    machine, process, started = worker.rsplit(" ", 2)
    return machine == _machine() and _started(int(process)) != started


def _started(process: int) -> str:
    """When a process started, unaffected by changes of the system clock; empty if there is no such process."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if state == "Z" else fields[18]  # in clock ticks since the machine booted, see proc_pid_stat(5)
    except OSError:
        pass
    try:  # systems other than Linux have no such file
        found = psutil.Process(process)
        return "" if found.status() == psutil.STATUS_ZOMBIE else f"{found.create_time():.2f}"
    except psutil.Error:
        return ""


@functools.cache
def _machine() -> str:
    """Host name, boot id and, because each container has its own process ids, the process-id namespace."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return "/".join(parts)
