"""The engine: do the runs of a plan whose records are missing, one after another, beside other processes."""

from __future__ import annotations

import logging
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from crystalbench.errors import CrystalBenchError, RecordError
from crystalbench.results.record import Record
from crystalbench.results.store import RecordStore
from crystalbench.runs.execute import Resources, VisibleTask, execute
from crystalbench.runs.observer import Observer, SilentObserver
from crystalbench.runs.plan import Plan, Run
from crystalbench.runs.tune import Tuner
from crystalbench.tuning.storage import Storage

log = logging.getLogger(__name__)

WAIT_SECONDS = 2.0


@dataclass
class Outcome:
    """What came of a plan: all records, those made now, and the reasons of failed runs."""

    records: list[Record] = field(default_factory=list)
    made: int = 0
    failures: list[tuple[Run, str]] = field(default_factory=list)


def run_plan(
    plan: Plan,
    store: RecordStore,
    machine: Resources,
    watcher: Observer | None = None,
    since: float | None = None,
    storage: Storage | None = None,
) -> Outcome:
    """Do what is missing of a plan.

    A run whose record exists is not done again. Processes that share the folder of records share the work: each run is
    locked while it is done, and the lock of a killed process is free at once. A process for which no run is free joins
    the tuning of those that others do.

    Args:
        plan: the runs.
        store: where records are.
        machine: device and threads.
        watcher: told of everything.
        since: when this call of the command began (seconds since the epoch): a run that failed later than that in
            another process of the same call is not tried again.
        storage: studies of tuned runs; a sqlite file beside the records if none is given.

    Raises:
        RecordError: a record cannot be written.
    """
    watcher = watcher or SilentObserver()
    since = time.time() if since is None else since
    tuner = Tuner.beside(store.root, storage, machine, since)
    engine = _Engine(store, machine, watcher, since, Outcome(), tuner)
    todo = list(plan.runs)
    while todo:
        busy = [run for run in todo if not engine.settle(run)]
        if len(busy) == len(todo) and not any(engine.help(run) for run in busy):
            watcher.waiting(busy)
            time.sleep(WAIT_SECONDS)
        todo = busy
    return engine.outcome


@dataclass
class _Engine:
    store: RecordStore
    machine: Resources
    watcher: Observer
    since: float
    outcome: Outcome
    tuner: Tuner
    _shown: dict[tuple[str, str, str], VisibleTask] = field(default_factory=dict)

    def settle(self, run: Run) -> bool:
        """Do a run or find its record; False when another process is at work on it."""
        if self._found(run):
            return True
        try:
            with self._lock(run):
                # It may have been finished, or failed, while the lock was taken.
                if not self._found(run) and not self._failed_elsewhere(run):
                    self._do(run)
        except Timeout:
            return False
        return True

    def help(self, run: Run) -> bool:
        """Take part in the tuning of a run that another process does; False where there is nothing to do."""
        if run.spec.tuning is None:
            return False
        try:
            return self.tuner.help(run, self._shown_to(run)) > 0
        except CrystalBenchError as error:  # the process that has the run tells it
            log.debug("could not help: %s", error)
            return False

    def _found(self, run: Run) -> bool:
        record = self.store.find(run.spec)
        if record is None:
            return False
        self.outcome.records.append(record)
        self.watcher.finished(run, record, computed=False)
        return True

    def _do(self, run: Run) -> None:
        progress = self.watcher.started(run)
        try:
            shown = self._shown_to(run)
            tuned = self.tuner.tune(run, shown, progress) if run.spec.tuning else None
            record = execute(run.spec, run.label, run.model, run.task, self.machine, progress, shown, tuned, run.given)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            if isinstance(error, CrystalBenchError):
                reason = str(error)
            log.debug("run failed", exc_info=True)
            self._keep_failure(run, reason)
            self._fail(run, reason)
            return
        self.store.write(record)
        self._failure_file(run).unlink(missing_ok=True)  # of an earlier try
        self.outcome.records.append(record)
        self.outcome.made += 1
        self.watcher.finished(run, record, computed=True)

    def _shown_to(self, run: Run) -> VisibleTask:
        key = (run.spec.data, f"{run.view.name}:{run.view.version}", str(run.model.needs))
        if key not in self._shown:
            # Runs come task by task: keep one task's representations in memory, not all.
            self._shown = {k: v for k, v in self._shown.items() if k[0] == run.spec.data}
            self._shown[key] = VisibleTask.of(run.task, run.view, run.model.needs, self.machine.threads)
        return self._shown[key]

    def _lock(self, run: Run) -> FileLock:
        folder = self.store.root / ".locks"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return FileLock(folder / f"{run.spec.key}.lock", timeout=0)
        except OSError as error:
            raise _unwritable(self.store.root, error) from error

    def _fail(self, run: Run, reason: str) -> None:
        self.outcome.failures.append((run, reason))
        self.watcher.failed(run, reason)

    def _failed_elsewhere(self, run: Run) -> bool:
        path = self._failure_file(run)
        try:
            if path.stat().st_mtime < self.since:
                return False
            self._fail(run, path.read_text(encoding="utf-8").splitlines()[1])
        except (OSError, IndexError):
            return False
        return True

    def _keep_failure(self, run: Run, reason: str) -> None:
        path = self._failure_file(run)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = f"{run.title}\n{' '.join(reason.split())}\n\n{traceback.format_exc()}"
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            log.warning("the traceback could not be kept (%s)", error)

    def _failure_file(self, run: Run) -> Path:
        return self.store.root / ".failures" / f"{run.spec.key[:16]}.txt"


def check_writable(root: Path) -> None:
    """Find out before any work whether records can be written.

    Raises:
        RecordError: the folder cannot be made or written.
    """
    probe = root / ".locks" / "probe"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_text("", encoding="utf-8")
    except OSError as error:
        raise _unwritable(root, error) from error


def _unwritable(root: Path, error: OSError) -> RecordError:
    return RecordError(f"{root}: records cannot be written there ({error.strerror or error}); give another --results")
