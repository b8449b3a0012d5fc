"""Local workers: several processes of this machine share the runs of a plan through the locks of the engine."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from crystalbench.models.model import Progress
from crystalbench.results.record import Record
from crystalbench.results.store import RecordStore
from crystalbench.runs.execute import Resources
from crystalbench.runs.observer import Observer, SilentObserver
from crystalbench.runs.plan import Plan, Run, Selection, make_plan
from crystalbench.runs.scheduler import Outcome, run_plan
from crystalbench.runs.suite import Suite
from crystalbench.tasks import DataSources
from crystalbench.tuning.storage import Storage


@dataclass(frozen=True)
class Work:
    """What each worker needs to make the plan again."""

    suite: Suite
    selection: Selection
    sources: DataSources
    store: RecordStore
    machine: Resources
    since: float = field(default_factory=time.time)
    storage: Storage | None = None


def run_with_workers(plan: Plan, work: Work, workers: int, watcher: Observer) -> Outcome:
    """Do what is missing of a plan in several processes; a worker that dies loses at most its run in flight.

    Args:
        plan: the plan.
        work: what it was made of.
        workers: number of processes.
        watcher: told of everything, in this process.

    Returns:
        The outcome, complete: runs that no worker finished are done here in the end.
    """
    context = multiprocessing.get_context("spawn")
    work = replace(work, sources=replace(work.sources, progress=None, download=False))
    relay = _Relay({run.spec.key: run for run in plan.runs}, watcher)
    processes: list[SpawnProcess] = []
    readers: list[Connection[Any, Any]] = []
    try:
        for _ in range(workers):
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(work, writer), daemon=True)
            process.start()
            writer.close()  # the worker alone holds this end, so that the pipe ends with it
            processes.append(process)
            readers.append(reader)
        _listen(readers, relay)
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        for process in processes:
            process.join()
    # Collects the records; does what is left if a worker died.
    rest = run_plan(plan, work.store, work.machine, _Rest(watcher, relay.settled), work.since, work.storage)
    return replace(rest, made=rest.made + relay.made)


def _listen(readers: list[Connection[Any, Any]], relay: _Relay) -> None:
    """Relay events in the order in which they happened, until all workers are gone, however they went."""
    events: dict[Connection[Any, Any], tuple[Any, ...]] = {}  # of each worker the first that is not relayed yet
    while readers:
        ready: list[Any] = wait([r for r in readers if r not in events], timeout=0 if events else None)
        for reader in ready:
            try:
                events[reader] = reader.recv()
            except (EOFError, OSError):  # an OSError if it was killed in the middle of a message
                readers.remove(reader)
        if events:
            oldest = min(events, key=lambda r: events[r][0])
            _, *event = events.pop(oldest)
            relay(*event)


def _work(work: Work, writer: Connection[Any, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches the whole group; only the parent speaks of it
    plan = make_plan(work.suite, work.selection, work.sources)
    run_plan(plan, work.store, work.machine, _Reporter(writer), work.since, work.storage)


@dataclass
class _Reporter:
    """A worker's watcher: sends what happens, and when, to the parent."""

    writer: Connection[Any, Any]

    def send(self, *event: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent was killed; the records count without it
            self.writer.send((time.monotonic(), *event))

    def started(self, run: Run) -> Progress:
        key = run.spec.key
        self.send("started", key)

        def progress(done: int, total: int, **numbers: float) -> None:
            self.send("progress", key, done, total, numbers)

        return progress

    def finished(self, run: Run, record: Record, *, computed: bool) -> None:
        self.send("finished", run.spec.key, record, computed)

    def waiting(self, runs: list[Run]) -> None:
        return

    def failed(self, run: Run, reason: str) -> None:
        self.send("failed", run.spec.key, reason)


class _Relay:
    """Passes workers' events to a watcher; a run that several workers tell of counts once."""

    def __init__(self, runs: dict[str, Run], watcher: Observer) -> None:
        self.runs, self.watcher = runs, watcher
        self.settled: set[str] = set()
        self.made = 0
        self._progress: dict[str, Progress] = {}

    def __call__(self, event: str, key: str, *details: Any) -> None:
        run = self.runs[key]
        if event == "started":
            self._progress[key] = self.watcher.started(run)
        elif event == "progress":
            done, total, numbers = details
            self._progress[key](done, total, **numbers)
        elif event == "finished" and key not in self.settled:
            record, computed = details
            if not computed and key in self._progress:
                return  # found by one worker before the one that made it tells of it
            self.settled.add(key)
            self.made += computed
            self.watcher.finished(run, record, computed=computed)
        elif event == "failed" and key not in self.settled:
            self.settled.add(key)
            self.watcher.failed(run, *details)


class _Rest(SilentObserver):
    """Tells only of runs that the workers left."""

    def __init__(self, watcher: Observer, settled: set[str]) -> None:
        self.watcher, self.settled = watcher, settled

    def started(self, run: Run) -> Progress:
        return self.watcher.started(run)

    def finished(self, run: Run, record: Record, *, computed: bool) -> None:
        if run.spec.key not in self.settled:
            self.watcher.finished(run, record, computed=computed)

    def waiting(self, runs: list[Run]) -> None:
        self.watcher.waiting(runs)

    def failed(self, run: Run, reason: str) -> None:
        if run.spec.key not in self.settled:
            self.watcher.failed(run, reason)
