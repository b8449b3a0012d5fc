"""Progress events from nodes: an actor without CPU collects them, and the driver takes them from time to time."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import Any

from crystalbench.errors import ConfigError
from crystalbench.models.model import Progress

EVERY_SECONDS = 0.5
"""Time between two reports of a run; those between are dropped, unless another phase begins."""

START_SECONDS = 180.0
"""How long the actor may take to start; usually it takes a few."""

MOST_EVENTS = 10_000
"""At most this many events wait for the driver; older ones are dropped."""

Event = tuple[int, int, int, dict[str, Any]]
"""Number of the call, steps done and in all, details."""


class Mailbox:
    """Collects events; it becomes an actor."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)

    def put(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)

    def take(self) -> list[Event]:
        """The events since the last time."""
        events = list(self._events)
        self._events.clear()
        return events


def open_mailbox() -> Any:
    """Start the actor, near the driver if possible. It is started again if its node is lost.

    Raises:
        ConfigError: it does not start, e.g. because CrystalBench is not installed on the nodes.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    mailbox = ray.remote(Mailbox).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here).remote()
    try:
        ray.get(mailbox.take.remote(), timeout=START_SECONDS)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            f"the Ray cluster cannot compute runs ({reason[-1].strip()}); is the same version of CrystalBench "
            "installed on all its nodes?"
        ) from error
    return mailbox


class Reporter(Progress):
    """Sends the progress of a call to a mailbox, but not too often. What is lost on the way is lost.

    Args:
        mailbox: the actor.
        number: number of the call.
    """

    def __init__(self, mailbox: Any, number: int) -> None:
        self._mailbox, self._number = mailbox, number
        self._phase: Any = None
        self._due = 0.0

    def __call__(self, done: int, total: int, **details: Any) -> None:
        """Report, if it is time to."""
        phase = details.get("phase")
        if phase == self._phase and time.monotonic() < self._due and done < total:
            return
        self._phase, self._due = phase, time.monotonic() + EVERY_SECONDS
        with contextlib.suppress(Exception):  # a run does not fail because nobody hears of it
            self._mailbox.put.remote((self._number, done, total, details))
