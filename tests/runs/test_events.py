from __future__ import annotations

import os
import pickle
import struct
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path

import pytest
from helpers import wait_for

from crystalbench.runs.executors.events import EventClient, EventServer

Call = tuple[int, int, dict[str, float]]


@pytest.fixture
def server() -> Iterator[EventServer]:
    with tempfile.TemporaryDirectory() as folder:
        server = EventServer(Path(folder))
        yield server
        server.close()


@pytest.fixture
def calls(server: EventServer) -> dict[int, list[Call]]:
    """What is passed on of two calls."""
    calls: dict[int, list[Call]] = {0: [], 1: []}
    for number, received in calls.items():
        server.expect(number, lambda done, total, received=received, **numbers: received.append((done, total, numbers)))
    return calls


def test_events_reach_the_callback_of_their_call(server: EventServer, calls: dict[int, list[Call]]) -> None:
    one, other = EventClient(server.place), EventClient(server.place)
    one.progress(0)(1, 3, loss=0.5)
    other.progress(1)(2, 3)
    one.progress(0)(2, 3, loss=0.25)
    one.progress(7)(1, 1)  # of a call that nobody expects
    wait_for(lambda: len(calls[0]) == 2 and len(calls[1]) == 1)
    assert calls == {0: [(1, 3, {"loss": 0.5}), (2, 3, {"loss": 0.25})], 1: [(2, 3, {})]}
    server.forget(0)
    one.progress(0)(3, 3)
    one.progress(1)(3, 3)
    wait_for(lambda: len(calls[1]) == 2)
    assert len(calls[0]) == 2


@pytest.mark.parametrize("sent", [0, 2, 4, 20_000], ids=["none", "half the size", "the size", "half the content"])
def test_a_message_that_breaks_off_ends_its_connection_only(
    server: EventServer, calls: dict[int, list[Call]], sent: int
) -> None:
    address, key = server.place
    dying, alive = Client(address, authkey=key), EventClient(server.place)
    alive.progress(1)(1, 2)
    content = pickle.dumps((0, 1, 2, {"x" * 40_000: 0.0}))
    os.write(dying.fileno(), (struct.pack("!i", len(content)) + content)[:sent])
    dying.close()
    alive.progress(1)(2, 2)
    wait_for(lambda: len(calls[1]) == 2)
    EventClient(server.place).progress(0)(2, 2)
    wait_for(lambda: len(calls[0]) == 1)


def test_a_client_without_the_key_is_refused(server: EventServer, calls: dict[int, list[Call]]) -> None:
    with pytest.raises(AuthenticationError):
        Client(server.place[0], authkey=b"guessed")
    EventClient(server.place).progress(0)(1, 1)
    wait_for(lambda: len(calls[0]) == 1)


def test_a_callback_that_fails_does_not_end_the_connection(
    server: EventServer, calls: dict[int, list[Call]], caplog: pytest.LogCaptureFixture
) -> None:
    def fails(done: int, total: int, **numbers: float) -> None:
        raise RuntimeError("the screen is dark")

    server.expect(2, fails)
    client = EventClient(server.place)
    client.progress(2)(1, 1)
    client.progress(0)(1, 1)
    wait_for(lambda: len(calls[0]) == 1)
    assert "the screen is dark" in caplog.text


def test_long_temporary_paths_are_accepted(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25)
    folder.mkdir()
    server = EventServer(folder)
    received: list[Call] = []
    server.expect(0, lambda done, total, **numbers: received.append((done, total, numbers)))
    EventClient(server.place).progress(0)(1, 1)
    wait_for(lambda: len(received) == 1)
    server.close()


def test_a_worker_continues_without_its_event_server(server: EventServer) -> None:
    progress = EventClient(server.place).progress(0)
    server.close()
    for _ in range(3):
        progress(1, 1)


def test_the_last_events_are_passed_on_before_a_call_is_forgotten(server: EventServer) -> None:
    calls = []

    def slow(done: int, total: int, **_: float) -> None:
        time.sleep(0.05)
        calls.append((done, total))

    server.expect(4, slow)
    client = EventClient(server.place)
    for done in range(1, 4):
        client.progress(4)(done, 3)
    client.end(4)
    server.wait_for_last(4)
    server.forget(4)
    assert calls == [(1, 3), (2, 3), (3, 3)]
