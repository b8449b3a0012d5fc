"""Progress events from worker processes to the process that started them.

Each worker has a connection of its own. A worker that is killed in the middle of a message ends its connection and
disturbs no other one, which a queue with a shared lock could not guarantee. Events may be lost; results do not travel
this way.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from crystalbench.models.model import Progress, silent

log = logging.getLogger(__name__)

_LONGEST_SOCKET_NAME = 100  # bytes; the systems allow 104 to 108

Address = str | tuple[str, int]
LAST_SECONDS = 1.0
"""How long the last events of a call may arrive after its result."""

Place = tuple[Address, bytes]
"""Where events are sent: an address and the key that opens it."""


class EventServer:
    """Receives progress events and passes them to the callback of their run.

    Args:
        folder: an empty folder for a socket.
    """

    def __init__(self, folder: Path) -> None:
        name = str(folder / "events")
        unix = os.name == "posix" and len(os.fsencode(name)) <= _LONGEST_SOCKET_NAME
        key = os.urandom(32)
        self._listener = Listener(name if unix else ("localhost", 0), backlog=128, authkey=key)
        address: Any = self._listener.address
        self.place: Place = (address, key)
        self._callbacks: dict[int, Progress] = {}
        self._ends: dict[int, threading.Event] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def expect(self, number: int, progress: Progress) -> None:
        """Pass the events of a call to a callback."""
        with self._lock:
            self._callbacks[number] = progress
            self._ends[number] = threading.Event()

    def wait_for_last(self, number: int) -> None:
        """Wait for the events of a call that has ended; not for long, because they may be lost."""
        self._ends[number].wait(LAST_SECONDS)

    def forget(self, number: int) -> None:
        """Ignore further events of a call; none is passed on when this returns."""
        with self._lock:
            self._callbacks.pop(number, None)
            self._ends.pop(number, None)

    def close(self) -> None:
        """Stop accepting connections."""
        self._closed = True
        with contextlib.suppress(OSError):
            _touch(self.place[0])  # wakes the thread that accepts connections, if it still does
        self._thread.join()

    def _accept(self) -> None:
        with self._listener:
            while not self._closed:
                try:
                    connection = self._listener.accept()
                except (OSError, EOFError, AuthenticationError):  # a worker that was killed while it connected
                    continue
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: Connection[Any, Any]) -> None:
        with connection:
            while True:
                try:
                    number, event = connection.recv()
                except (OSError, EOFError):  # an OSError if the worker was killed in the middle of a message
                    return
                with self._lock:
                    if event is None:
                        if number in self._ends:
                            self._ends[number].set()
                        continue
                    done, total, details = event
                    progress = self._callbacks.get(number, silent)
                    try:
                        progress(done, total, **details)
                    except Exception:
                        log.exception("the progress of a run cannot be shown")


def _touch(address: Address) -> None:
    """Connect and hang up, without waiting for an answer."""
    if isinstance(address, tuple):
        socket.create_connection(address).close()
    else:
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(address)


class EventClient:
    """Sends progress events from a worker.

    Args:
        place: of the server.
    """

    def __init__(self, place: Place) -> None:
        address, key = place
        self._connection = Client(address, authkey=key)

    def progress(self, number: int) -> Progress:
        """A callback that sends the progress of a call."""

        def send(done: int, total: int, **details: Any) -> None:
            self._send(number, (done, total, details))

        return send

    def end(self, number: int) -> None:
        """Announce that a call has no further events."""
        self._send(number, None)

    def _send(self, number: int, event: tuple[int, int, dict[str, Any]] | None) -> None:
        with contextlib.suppress(OSError):  # the server is gone; this process ends soon
            self._connection.send((number, event))
