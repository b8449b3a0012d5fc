"""Who works on a trial: a sign of life while it runs, and whether a worker of this machine is still there."""

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
    """Signs of life of a running trial, from a thread; one that fails is tried again.

    Args:
        database: Optuna's storage.
        trial: id of the trial there.
        seconds: between two signs.
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
                log.debug("no sign of life could be given (%s)", error)
        self._database.remove_session()


def this_worker() -> str:
    """A name of this process that no other has: machine, start of the machine, process and its start."""
    return f"{_machine()} {os.getpid()} {_started(os.getpid())}"


def has_gone(worker: str) -> bool:
    """Whether a process of this machine is no more; those of other machines cannot be seen from here."""
    machine, process, started = worker.rsplit(" ", 2)
    return machine == _machine() and _started(int(process)) != started


def _started(process: int) -> str:
    """When a process was started, in a form that no change of the clock alters; empty where there is none."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if state == "Z" else fields[18]  # ticks after the start of the machine, proc_pid_stat(5)
    except OSError:
        pass
    try:  # where there is no such file, as off Linux
        found = psutil.Process(process)
        return "" if found.status() == psutil.STATUS_ZOMBIE else f"{found.create_time():.2f}"
    except psutil.Error:
        return ""


@functools.cache
def _machine() -> str:
    """This machine since it was started, seen from this container: processes of another have numbers of their own."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return "/".join(parts)
