"""The scheduler: gets the runs of a plan computed whose records are missing, together with other commands."""

from __future__ import annotations

import logging
import time
import traceback
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from crystalbench.models.model import Model
from crystalbench.results.record import Record
from crystalbench.results.store import RecordStore
from crystalbench.runs.execute import Computed
from crystalbench.runs.executors import Executor
from crystalbench.runs.failures import RunFailedError
from crystalbench.runs.ledger import FolderLedger, Ledger, MemoryLedger, Release
from crystalbench.runs.observer import Observer, SilentObserver
from crystalbench.runs.plan import Plan, Run

log = logging.getLogger(__name__)

WAIT_SECONDS = 2.0
"""How often the runs of other commands are checked."""


@dataclass
class Outcome:
    """The outcome of a plan.

    Attributes:
        records: records of all runs that did not fail, in the order of the plan.
        computed: number of records computed just now.
        failures: failed runs with their reasons.
        models: fitted models of the runs computed just now by the key of the run, if the executor returns them.
    """

    records: list[Record] = field(default_factory=list)
    computed: int = 0
    failures: list[tuple[Run, str]] = field(default_factory=list)
    models: dict[str, tuple[Model, ...]] = field(default_factory=dict)


def run_plan(
    plan: Plan,
    store: RecordStore | None,
    executor: Executor,
    observer: Observer | None = None,
    since: float | None = None,
) -> Outcome:
    """Compute the missing records of a plan.

    Commands that share the folder of records share the work: each run is locked while it is computed, and the lock of
    a killed command is free at once. Slots without a run of their own help with the tuning of other runs.

    Args:
        plan: the runs.
        store: where records are found and written; None to compute all of them and write none.
        executor: computes the runs.
        observer: notified of all events.
        since: when the command began (seconds since the epoch). A run that failed later than that in another command
            is not tried again.

    Raises:
        RecordError: a record cannot be written.
    """
    ledger: Ledger = MemoryLedger()
    if store is not None:
        ledger = FolderLedger(store, time.time() if since is None else since)
    scheduler = _Scheduler(plan, ledger, executor, observer or SilentObserver())
    try:
        return scheduler.work()
    finally:
        scheduler.release_all()


@dataclass
class _Active:
    """A run in flight."""

    run: Run
    release: Release


class _Scheduler:
    def __init__(self, plan: Plan, ledger: Ledger, executor: Executor, observer: Observer) -> None:
        self.ledger, self.executor, self.observer = ledger, executor, observer
        self.outcome = Outcome()
        self._order = {id(run): number for number, run in enumerate(plan.runs)}
        self._records: list[tuple[int, Record]] = []
        self._new = deque(plan.runs)
        self._elsewhere: list[Run] = []  # locked by other commands
        self._active: dict[Future[Computed], _Active] = {}
        self._helpers: dict[Future[int], Run] = {}
        self._help_after: dict[int, float] = {}  # by id of the run; there was nothing to do before

    def work(self) -> Outcome:
        while self._new or self._elsewhere or self._active:
            self._begin_runs()
            if not self._new:
                self._begin_helping()
            self._wait()
        self.outcome.records = [record for _, record in sorted(self._records, key=lambda pair: pair[0])]
        return self.outcome

    def release_all(self) -> None:
        for active in self._active.values():
            active.release()
        self._active.clear()

    @property
    def _free_slots(self) -> int:
        return self.executor.slots - len(self._active) - len(self._helpers)

    # ------------------------------------------------------------------ beginning

    def _begin_runs(self) -> None:
        while self._new and self._free_slots > 0:
            run = self._new.popleft()
            if not self._settle_or_begin(run):
                self._elsewhere.append(run)
        if not self._new:
            for run in list(self._elsewhere):
                if self._free_slots > 0 and self._settle_or_begin(run):
                    self._elsewhere.remove(run)

    def _settle_or_begin(self, run: Run) -> bool:
        """Find the record of a run or submit the run; False if another command has locked it."""
        if self._is_settled(run):
            return True
        release = self.ledger.claim(run)
        if release is None:
            return False
        # It may have been computed, or have failed, before it was locked.
        if self._is_settled(run) or self._has_failed(run):
            release()
            return True
        try:
            progress = self.observer.started(run)
            self._active[self.executor.submit(run, progress)] = _Active(run, release)
        except BaseException:
            release()
            raise
        return True

    def _begin_helping(self) -> None:
        now = time.monotonic()
        candidates = [*(active.run for active in self._active.values()), *self._elsewhere]
        candidates = [run for run in candidates if run.spec.tuning and self._help_after.get(id(run), 0) <= now]
        helpers = Counter(id(run) for run in self._helpers.values())
        while candidates and self._free_slots > 0:
            run = min(candidates, key=lambda run: helpers[id(run)])
            helpers[id(run)] += 1
            self._helpers[self.executor.help(run)] = run

    # ------------------------------------------------------------------ ending

    def _wait(self) -> None:
        """Handle what has ended; wait for something to end if nothing has."""
        if self._active or self._helpers:
            futures: list[Future[Any]] = [*self._active, *self._helpers]
            done, _ = wait(futures, WAIT_SECONDS, FIRST_COMPLETED)
            for future in done:
                if future in self._active:
                    self._end(future)
                else:
                    self._end_helping(future)
        elif self._elsewhere:
            self.observer.waiting(self._elsewhere)
            time.sleep(WAIT_SECONDS)

    def _end(self, future: Future[Computed]) -> None:
        active = self._active[future]
        try:
            error = future.exception()
            if error is None:
                self._succeed(active.run, future.result())
            else:
                self._fail(active.run, _failure_of(error))
        finally:
            active.release()
            del self._active[future]

    def _end_helping(self, future: Future[int]) -> None:
        run = self._helpers.pop(future)
        error = future.exception()
        if error is not None:
            log.debug("%s: could not help with tuning: %s", run.title, error)
        if error is not None or future.result() == 0:
            self._help_after[id(run)] = time.monotonic() + WAIT_SECONDS

    def _is_settled(self, run: Run) -> bool:
        record = self.ledger.find(run)
        if record is None:
            return False
        self._records.append((self._order[id(run)], record))
        self.observer.finished(run, record, computed=False)
        return True

    def _has_failed(self, run: Run) -> bool:
        reason = self.ledger.failure(run)
        if reason is None:
            return False
        self._report_failure(run, reason)
        return True

    def _succeed(self, run: Run, computed: Computed) -> None:
        record = computed.record
        self.ledger.keep(run, record)
        self._records.append((self._order[id(run)], record))
        self.outcome.computed += 1
        if computed.models:
            self.outcome.models[record.key] = computed.models
        self.observer.finished(run, record, computed=True)

    def _fail(self, run: Run, failure: RunFailedError) -> None:
        self.ledger.keep_failure(run, failure)
        self._report_failure(run, failure.reason)

    def _report_failure(self, run: Run, reason: str) -> None:
        self.outcome.failures.append((run, reason))
        self.observer.failed(run, reason)


def _failure_of(error: BaseException) -> RunFailedError:
    if isinstance(error, RunFailedError):
        return error
    return RunFailedError(f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))
