"""Calls in flight: they are submitted to Ray, lost ones again, and their replies are taken in a thread."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from crystalbench.models.model import Progress
from crystalbench.runs.executors.ray.events import EVERY_SECONDS, Event
from crystalbench.runs.executors.ray.node import NoTask
from crystalbench.runs.executors.worker import Reply
from crystalbench.runs.failures import RunFailedError

log = logging.getLogger(__name__)

MOST_DEATHS = 3
"""A call whose worker processes have died this often fails: it may be what kills them, e.g. for lack of memory."""

MOST_LOSSES = 20
"""The same for its nodes, which are lost for other reasons, e.g. because they were lent until somebody needs them."""

POLL_SECONDS = 0.2


class Abandoned(BaseException):
    """The executor was closed. It is not an error of the run, so a trial is released and does not fail."""


@dataclass(eq=False)
class Call:
    """A call of a function on a node.

    Attributes:
        title: title of its run.
        number: number of the call, sent with its events.
        submit: submits it to Ray; returns the reference of the reply.
        store: puts its task into the object store, where nodes find it that do not see its file; with True, again,
            since it was lost there.
        progress: called with its progress.
        future: its value.
    """

    title: str
    number: int
    submit: Callable[[], Any]
    store: Callable[[bool], None]
    progress: Progress
    future: Future[Any] = field(default_factory=Future)
    deaths: int = 0
    losses: int = 0


class Calls:
    """The calls in flight, and the thread that waits for them.

    Args:
        mailbox: the actor that has the events.
    """

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox
        self._calls: dict[Any, Call] = {}  # by reference of the reply
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="crystalbench-ray", daemon=True)
        self._thread.start()

    def begin(self, call: Call) -> None:
        """Submit a call.

        Raises:
            Abandoned: the calls have been abandoned.
        """
        with self._changed:
            if self._closing:
                raise Abandoned
            self._calls[call.submit()] = call
            self._changed.notify()

    def abandon(self) -> None:
        """End all calls, and the thread."""
        import ray

        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        for reference, call in self._calls.items():
            with contextlib.suppress(Exception):
                ray.cancel(reference, force=True)
            if not call.future.done():
                call.future.set_exception(Abandoned())
        self._calls.clear()

    def _work(self) -> None:
        events = _Events(self._mailbox)
        while True:
            with self._changed:
                while not self._calls and not self._closing:
                    self._changed.wait()
                if self._closing:
                    return
                references = list(self._calls)
            try:
                self._take(references, events)
            except Exception as error:  # of Ray, about the connection
                self._fail_all(references, error)

    def _take(self, references: list[Any], events: _Events) -> None:
        """Take replies that are there, or arrive soon, and events."""
        import ray

        ready, _ = ray.wait(references, num_returns=1, timeout=POLL_SECONDS)
        if ready:
            ready, _ = ray.wait(references, num_returns=len(references), timeout=0)
        with self._changed:  # other threads begin calls
            calls = list(self._calls.values())
        events.pass_on({call.number: call for call in calls}, now=bool(ready))
        for reference in ready:
            call = self._calls[reference]
            try:
                self._handle(call, ray.get(reference))
            except RunFailedError as failure:
                call.future.set_exception(failure)
            except ray.exceptions.RayError as error:
                self._handle_loss(call, error)
            with self._changed:
                del self._calls[reference]

    def _handle(self, call: Call, reply: Reply[Any]) -> None:
        value = reply.unwrap()
        if isinstance(value, NoTask):
            call.store(False)
            self._again(call)
        else:
            call.future.set_result(value)

    def _handle_loss(self, call: Call, error: Exception) -> None:
        """Submit a call again if its process or node was lost; it fails otherwise."""
        from ray import exceptions as ray_errors

        nodes = (ray_errors.NodeDiedError, ray_errors.LocalRayletDiedError, ray_errors.ObjectLostError)
        if isinstance(error, nodes):
            call.losses += 1
            if call.losses < MOST_LOSSES:
                log.warning("%s: its node was lost; it is computed again", call.title)
                if isinstance(error, ray_errors.ObjectLostError):
                    call.store(True)
                self._again(call)
                return
            reason = f"its node was lost {call.losses} times"
        elif isinstance(error, (ray_errors.WorkerCrashedError, ray_errors.OutOfMemoryError)):
            call.deaths += 1
            if call.deaths < MOST_DEATHS:
                log.warning("%s: its worker process died; it is computed again", call.title)
                self._again(call)
                return
            reason = (
                f"its worker process died {call.deaths} times, perhaps for lack of memory: reserve more CPUs for each "
                "run, so that fewer share a node (--cpus-per-run)"
            )
        else:
            reason = _reason(error)
        call.future.set_exception(RunFailedError(reason, "".join(traceback.format_exception(error))))

    def _again(self, call: Call) -> None:
        try:
            self.begin(call)
        except Abandoned as error:
            call.future.set_exception(error)

    def _fail_all(self, references: list[Any], error: Exception) -> None:
        details = "".join(traceback.format_exception(error))
        with self._changed:
            lost = [self._calls.pop(reference) for reference in references if reference in self._calls]
        for call in lost:
            if not call.future.done():
                call.future.set_exception(RunFailedError(f"the Ray cluster is gone ({_reason(error)})", details))


class _Events:
    """Takes events from the mailbox, and passes them on to their calls."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox
        self._due = 0.0

    def pass_on(self, calls: dict[int, Call], *, now: bool) -> None:
        """Pass on what has arrived, if it is time to, or at once before calls end."""
        import ray

        if not now and time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY_SECONDS
        events: list[Event] = []
        with contextlib.suppress(ray.exceptions.RayError):  # the actor is being started, perhaps again
            events = ray.get(self._mailbox.take.remote(), timeout=2 * EVERY_SECONDS)
        for number, done, total, details in events:
            if number in calls:
                try:
                    calls[number].progress(done, total, **details)
                except Exception:
                    log.exception("the progress of a run cannot be shown")


def _reason(error: Exception) -> str:
    """One line about an error of Ray, or about one that a node has raised."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):
        text = str(cause).strip().splitlines()
        return f"{type(cause).__name__}: {text[-1] if text else ''}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
