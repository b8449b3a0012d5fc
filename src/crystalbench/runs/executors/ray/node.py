"""What happens on a node: it computes runs, and evaluations of trials, in Ray's worker processes.

A worker process computes one call after the other, and keeps the representations of the last task between them.
"""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import joblib

from crystalbench.errors import CrystalBenchError
from crystalbench.results.record import TuningResult
from crystalbench.runs.execute import Computed
from crystalbench.runs.executors.packing import TaskReader
from crystalbench.runs.executors.ray.events import Reporter
from crystalbench.runs.executors.ray.shipping import Shipment, check_code, sha256_of
from crystalbench.runs.executors.worker import Reply, messages_logged
from crystalbench.runs.failures import RunFailedError
from crystalbench.runs.kept_models import models_as_files
from crystalbench.runs.plan import Run
from crystalbench.runs.runner import Evaluation, Runner
from crystalbench.tasks.task import Task


@dataclass(frozen=True)
class Setup:
    """What is the same for all calls of an executor.

    Attributes:
        session: name of the executor.
        runner: computes the runs, with settings that hold on every node.
        keeps_models: whether the files of fitted models are sent to the driver.
        mailbox: takes progress events.
        level: level of messages worth sending.
    """

    session: str
    runner: Runner
    keeps_models: bool
    mailbox: Any
    level: int


@dataclass(frozen=True)
class Delivery:
    """A computed run on its way to the driver.

    Attributes:
        computed: the record, and fitted models if they are wanted.
        files: content of the files of fitted models by path, if they are kept.
    """

    computed: Computed
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class NoTask:
    """The answer of a node that does not see the file of a task, so that it is sent through the object store."""


class _Worker:
    """The state of this process."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._tasks = _Tasks()
        self._runners: dict[str, Runner] = {}
        logging.getLogger("crystalbench").setLevel(setup.level)

    def unpack(self, shipment: Shipment, stored: list[Any]) -> Run | NoTask:
        """The run of a shipment.

        Raises:
            RunFailedError: the model or view cannot be found here, or has other code.
        """
        node = socket.gethostname()
        task = self._tasks.find(shipment, stored)
        if task is None:
            return NoTask()
        try:
            for plugin in shipment.plugins:
                plugin.make_importable()
            run = shipment.run.unpack(_Known(task))
            check_code(shipment, run, node)
        except CrystalBenchError as error:
            raise RunFailedError(f"cannot be computed on node {node}: {error}") from error
        return run

    def runner(self, shipment: Shipment) -> Runner:
        """Computes runs on the device of a shipment; it saves checkpoints if this node sees the folder of records."""
        if shipment.device not in self._runners:
            shared = self.setup.runner
            self._runners[shipment.device] = replace(
                shared,
                resources=replace(shared.resources, device=shipment.device),
                return_models=shared.return_models or self.setup.keeps_models,
            )
        runner = self._runners[shipment.device]
        sees_records = shipment.lock is not None and shipment.lock.is_seen()
        runner.checkpoints = self.setup.runner.checkpoints if sees_records else None
        return runner


class _Tasks:
    """Finds tasks, and keeps the last one."""

    def __init__(self) -> None:
        self._last: tuple[str, Task] | None = None

    def find(self, shipment: Shipment, stored: list[Any]) -> Task | None:
        """The task from its file if this is the same one, from the object store otherwise; None if it is in neither."""
        if self._last is None or self._last[0] != shipment.sha256:
            path, self._last = shipment.run.task, None
            if path.is_file() and sha256_of(path) == shipment.sha256:
                self._last = shipment.sha256, joblib.load(path, mmap_mode="r")
            elif stored:
                import ray

                self._last = shipment.sha256, ray.get(stored[0])
            else:
                return None
        return self._last[1]


class _Known(TaskReader):
    """Reads a task that has been found before."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task

    def read(self, path: Path) -> Task:
        return self._task


_worker: _Worker | None = None


def _this_worker(setup: Setup) -> _Worker:
    global _worker
    if _worker is None or _worker.setup.session != setup.session:
        _worker = _Worker(setup)
    return _worker


def compute(
    setup: Setup, shipment: Shipment, stored: list[Any], number: int, tuned: TuningResult | None
) -> Reply[Delivery | NoTask]:
    """Compute a run.

    Args:
        setup: of the executor.
        shipment: the run.
        stored: reference of its task in the object store, if it is there.
        number: number of the call, sent with its events.
        tuned: the result of tuning, for a run with tuning.
    """
    worker = _this_worker(setup)
    with messages_logged() as messages:
        try:
            run = worker.unpack(shipment, stored)
            if isinstance(run, NoTask):
                return Reply(run, messages)
            computed = worker.runner(shipment).run_tuned(run, tuned, Reporter(setup.mailbox, number))
            files = models_as_files(computed.record, computed.models) if setup.keeps_models else {}
            if not setup.runner.return_models:
                computed = replace(computed, models=())
            return Reply(Delivery(computed, files), messages)
        except RunFailedError as failure:
            return Reply(failure, messages)


def evaluate(
    setup: Setup, shipment: Shipment, stored: list[Any], parameters: dict[str, Any], split: int, seed: int
) -> Reply[Evaluation | NoTask]:
    """Make one evaluation of a trial.

    Args:
        setup: of the executor.
        shipment: the run that is tuned.
        stored: reference of its task in the object store, if it is there.
        parameters: the tuned hyperparameters of the trial.
        split: number of the inner split.
        seed: number of the repetition.
    """
    worker = _this_worker(setup)
    with messages_logged() as messages:
        try:
            run = worker.unpack(shipment, stored)
            if isinstance(run, NoTask):
                return Reply(run, messages)
            return Reply(worker.runner(shipment).evaluate(run, parameters, split, seed), messages)
        except RunFailedError as failure:
            return Reply(failure, messages)
