from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import record, write_toy_suite

from crystalbench.models.model import Progress, silent
from crystalbench.records import Record
from crystalbench.runs.engine import Unwatched
from crystalbench.runs.plan import Run, Selection, make_plan
from crystalbench.runs.suite import parse_suite
from crystalbench.runs.workers import _Relay
from crystalbench.tasks import DataSources


class Notes(Unwatched):
    """What a watcher is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, run: Run) -> Progress:
        self.lines.append("started")
        return silent

    def finished(self, run: Run, record: Record, *, here: bool) -> None:
        self.lines.append("made" if here else "found")

    def failed(self, run: Run, reason: str) -> None:
        self.lines.append(f"failed: {reason}")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    plan = make_plan(parse_suite(write_toy_suite(tmp_path)), Selection(), DataSources(limit=60, download=False))
    return plan.runs[0]


MADE, FOUND = ("finished", record(), True), ("finished", record(), False)


@pytest.mark.parametrize(
    ("events", "lines", "made"),
    [
        ([("started",), MADE], ["started", "made"], 1),
        ([("started",), MADE, FOUND], ["started", "made"], 1),
        ([("started",), FOUND, MADE], ["started", "made"], 1),  # the record is seen before its maker tells of it
        ([("started",), ("failed", "cold"), ("failed", "cold")], ["started", "failed: cold"], 0),
        ([("started",), ("progress", 1, 2, {"loss": 0.5}), ("started",), MADE], ["started", "started", "made"], 1),
    ],
    ids=["alone", "found later", "found first", "failed twice", "taken over"],
)
def test_a_run_that_several_workers_tell_of_counts_once(
    run: Run, events: list[tuple[Any, ...]], lines: list[str], made: int
) -> None:
    relay = _Relay({run.asked.key: run}, notes := Notes())
    for event, *details in events:
        relay(event, run.asked.key, *details)
    assert notes.lines == lines
    assert relay.made == made
    assert relay.settled == {run.asked.key}
