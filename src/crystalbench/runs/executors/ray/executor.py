"""RayExecutor: computes runs on a Ray cluster.

This process keeps everything that must not be lost. Nodes get a run and return its record as a value; they need no
folder in common. A run whose worker process or node is lost is computed again.

A tuned run is not computed by one worker. This process conducts its study, in a thread, with the storage that other
engines use: it claims a trial, has its evaluations computed one after the other, and decides whether the trial goes on.
Every thread has a trial of its own, so trials of one study are computed in parallel without a database server, and a
lost node costs one evaluation.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from crystalbench.errors import ConfigError, CrystalBenchError
from crystalbench.models.model import Progress, silent
from crystalbench.representations.processes import PROCESSES
from crystalbench.results.record import TuningResult
from crystalbench.runs.environment import environment
from crystalbench.runs.execute import Computed
from crystalbench.runs.executors.base import Executor
from crystalbench.runs.executors.packing import PackingFolder
from crystalbench.runs.executors.ray import node
from crystalbench.runs.executors.ray.calls import Abandoned, Call, Calls
from crystalbench.runs.executors.ray.cluster import Connection, connect, described_nodes, room_of
from crystalbench.runs.executors.ray.events import open_mailbox
from crystalbench.runs.executors.ray.shipping import Shipment, Shipper
from crystalbench.runs.failures import RunFailedError
from crystalbench.runs.fit_checkpoints import FitCheckpoints
from crystalbench.runs.kept_models import write_model_files
from crystalbench.runs.plan import Run
from crystalbench.runs.resources import Reservation, thread_variables
from crystalbench.runs.runner import Evaluation, Runner, reason_of
from crystalbench.source_code import code_digest, source_digest
from crystalbench.tuning import Search

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often the nodes of the cluster are counted."""

RELEASE_SECONDS = 10.0
"""How long closing waits for threads to release their trials. One that waits for another command has none."""

Value = TypeVar("Value")


class RayExecutor(Executor):
    """Computes runs on a Ray cluster.

    Args:
        runner: computes the runs. Its folders are used by this process only, except that a node that sees the same
            folder of records saves checkpoints there.
        slots: number of runs in flight; by default as many as the nodes have room for, counted again while they come
            and go.
        address: of the cluster, see `crystalbench.runs.executors.ray.cluster.connect`.
        reserves: what a run reserves that declares nothing.

    Raises:
        ConfigError: the cluster cannot be used, or no node has room for a run.
    """

    def __init__(
        self,
        runner: Runner,
        slots: int | None = None,
        address: str | None = None,
        reserves: Reservation | None = None,
    ) -> None:
        self._runner, self._requested = runner, slots
        self._share = (reserves or Reservation()).of(runner.resources)
        self._connection: Connection = connect(address, slots and slots * self._share[0])
        self._counted, self._room = 0.0, 1
        self._shares: set[tuple[float, float]] = set()  # for which there has been room
        try:
            if slots is None and not room_of(*self._share):
                raise ConfigError(_no_room(self._share))
            self._mailbox = open_mailbox()
        except BaseException:
            self._connection.close()
            raise
        self._folder = PackingFolder()
        self._shipper = Shipper(self._folder, runner.checkpoints)
        self._setup = node.Setup(
            session=uuid.uuid4().hex,
            runner=replace(
                runner,
                resources=replace(runner.resources, processes=1, concurrent=self.slots),
                tuner=None,
                keep_models=None,
                checkpoints=runner.checkpoints and FitCheckpoints(runner.checkpoints.folder.absolute()),
            ),
            keeps_models=runner.keep_models is not None,
            mailbox=self._mailbox,
            level=logging.getLogger("crystalbench").getEffectiveLevel(),
        )
        self._calls = Calls(self._mailbox)
        self._numbers = itertools.count()
        self._stored: dict[Path, list[Any]] = {}  # references of tasks in the object store
        self._functions: dict[tuple[Any, float, float], Any] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    @property
    def slots(self) -> int:  # type: ignore[override]
        """Number of calls in flight: as requested, or as many as the nodes have room for at present."""
        if self._requested is not None:
            return self._requested
        if time.monotonic() >= self._counted + LOOK_SECONDS:
            room = room_of(*self._share)
            if not room and self._room:
                log.warning("the cluster has no room for a run at present; waiting for nodes")
            self._counted, self._room = time.monotonic(), room
        return max(1, self._room)

    def submit(self, run: Run, progress: Progress = silent) -> Future[Computed]:
        """Compute a run on a node that has room for it."""
        if run.spec.tuning is not None:
            return self._in_thread(self._tune_and_compute, run, progress)
        return self._in_turn(run, progress, None)

    def help(self, run: Run) -> Future[int]:
        """Do trials of a run whose study this process, or another command, conducts."""
        return self._in_thread(self._help, run)

    def close(self, *, abandon: bool = False) -> None:
        """Disconnect; unfinished calls are abandoned.

        Calls of runs have ended unless there was an exception, and help is not needed when all runs have ended.
        """
        import ray

        self._calls.abandon()
        deadline = time.monotonic() + RELEASE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(self._mailbox)
        self._connection.close()
        self._folder.close()

    # ------------------------------------------------------------------ runs

    def _in_turn(self, run: Run, progress: Progress, tuned: TuningResult | None) -> Future[Computed]:
        """Compute a run; the future has its record when everything of it is kept."""
        computed: Future[Computed] = Future()
        try:
            shipment, number = self._shipment(run), next(self._numbers)
            delivered = self._begin(node.compute, run, shipment, progress, number, (number, tuned))
        except (RunFailedError, CrystalBenchError) as error:
            computed.set_exception(RunFailedError(reason_of(error), traceback.format_exc()))
            return computed
        delivered.add_done_callback(lambda done: self._settle(run, shipment, done, computed))
        return computed

    def _settle(self, run: Run, shipment: Shipment, done: Future[Any], computed: Future[Computed]) -> None:
        try:
            computed.set_result(self._kept(run, shipment, done.result()))
        except Abandoned:
            computed.set_exception(RunFailedError("was abandoned"))
        except Exception as error:
            computed.set_exception(error)

    def _kept(self, run: Run, shipment: Shipment, delivery: node.Delivery) -> Computed:
        """A computed run, after everything of it is kept that nodes cannot keep."""
        found = delivery.computed
        if not shipment.code:  # a class that was sent itself: only this process knows its source
            tuned = found.record.tuned
            classes = run.classes(tuned.parameters if tuned else None)
            facts = {"model_source": source_digest(run.model), "code": code_digest(*classes)}
            found = replace(found, record=found.record.model_copy(update=facts))
        if delivery.files and self._runner.keep_models is not None:
            write_model_files(found.record, delivery.files, self._runner.keep_models)
        return found

    def _begin(
        self,
        function: Callable[..., Any],
        run: Run,
        shipment: Shipment,
        progress: Progress,
        number: int,
        arguments: tuple[Any, ...],
    ) -> Future[Any]:
        """Call a function on a node, with a shipment and further arguments."""
        cpus, gpus = run.reserves.of(self._runner.resources)
        self._check_room(cpus, gpus)
        remote, task = self._function(function, cpus, gpus), shipment.run.task
        call = Call(
            run.title,
            number,
            submit=lambda: remote.remote(self._setup, shipment, self._stored.get(task, []), *arguments),
            store=lambda again: self._store(task, run, again=again),
            progress=progress,
        )
        self._calls.begin(call)
        return call.future

    def _check_room(self, cpus: float, gpus: float) -> None:
        """Refuse a run for which no node has had room so far. If nodes have been lost, the run waits for others.

        Raises:
            RunFailedError: it would wait for ever.
        """
        if self._requested is None and (cpus, gpus) not in self._shares:
            if not room_of(cpus, gpus):
                raise RunFailedError(_no_room((cpus, gpus)))
            self._shares.add((cpus, gpus))

    def _shipment(self, run: Run) -> Shipment:
        with self._lock:
            return self._shipper.ship(run, run.reserves.device(self._runner.resources))

    def _store(self, task: Path, run: Run, *, again: bool) -> None:
        """Put a task into the object store, from which each node copies it once; again only if it was lost there."""
        import ray

        if again or task not in self._stored:  # many calls may have begun before it was there
            self._stored[task] = [ray.put(run.task)]

    def _function(self, function: Callable[..., Any], cpus: float, gpus: float) -> Any:
        """A function of `node` as a function of Ray.

        With a GPU, Ray computes each call in a new process. That is slower, but a process cannot change its GPU.
        """
        import ray

        key = (function, cpus, gpus)
        if key not in self._functions:
            variables = thread_variables(self._runner.resources.threads) | {PROCESSES: "1"}
            self._functions[key] = ray.remote(
                num_cpus=cpus,
                num_gpus=gpus,
                max_retries=0,  # lost calls are submitted again here, where they are counted
                scheduling_strategy="SPREAD",
                runtime_env={"env_vars": variables},
            )(function)
        return self._functions[key]

    # ------------------------------------------------------------------ tuning

    def _tune_and_compute(self, run: Run, progress: Progress) -> Computed:
        try:
            objective = _RemoteObjective(self, run)
            tuned = objective.search().run(objective, progress).tuned()
        except CrystalBenchError as error:
            raise RunFailedError(reason_of(error), traceback.format_exc()) from error
        return self._in_turn(run, progress, tuned).result()

    def _help(self, run: Run) -> int:
        objective = _RemoteObjective(self, run)
        return objective.search().assist(objective)

    def evaluate(self, run: Run, parameters: Mapping[str, Any], split: int, seed: int) -> Evaluation:
        """One evaluation of a trial, computed on a node.

        Raises:
            RunFailedError: the evaluation failed.
            Abandoned: the executor was closed.
        """
        shipment, number = self._shipment(run), next(self._numbers)
        arguments = (dict(parameters), split, seed)
        evaluation: Evaluation = self._begin(node.evaluate, run, shipment, silent, number, arguments).result()
        return evaluation

    def _in_thread(self, function: Callable[..., Value], *arguments: Any) -> Future[Value]:
        future: Future[Value] = Future()

        def work() -> None:
            try:
                future.set_result(function(*arguments))
            except Abandoned:
                future.set_exception(RunFailedError("was abandoned"))
            except BaseException as error:
                future.set_exception(error)

        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=work, daemon=True))
        self._threads[-1].start()
        return future


class _TrialFailedError(CrystalBenchError):
    """An evaluation failed on a node, with this reason."""


class _RemoteObjective:
    """The objective of a study whose evaluations are computed on nodes."""

    def __init__(self, executor: RayExecutor, run: Run) -> None:
        self._executor, self._run = executor, run
        self._seconds = 0.0
        self._environment: dict[str, Any] = dict(environment())

    def search(self) -> Search:
        """This thread's part in the study. Its clock counts the time of evaluations, wherever they are computed."""
        tuner = self._executor._runner.tuner
        if tuner is None:
            raise ValueError("a run with tuning needs a tuner")
        return tuner.search(self._run, lambda: self._seconds, self._environment)

    def __call__(self, number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        assert self._run.spec.tuning is not None
        for split, seed in self._run.spec.tuning.evaluations:
            try:
                found = self._executor.evaluate(self._run, parameters, split, seed)
            except RunFailedError as failure:
                raise _TrialFailedError(failure.reason) from failure
            self._seconds += found.seconds
            self._environment.update(found.environment)
            yield found.score


def _no_room(share: tuple[float, float]) -> str:
    cpus, gpus = share
    wanted = f"{cpus:g} CPU{'s' * (cpus != 1)}" + (f" and {gpus:g} GPU{'s' * (gpus != 1)}" if gpus else "")
    return (
        f"no node of the cluster has {wanted} for a run ({described_nodes()}); reserve less with --cpus-per-run and "
        "--gpus-per-run, or give --workers if the cluster adds nodes by itself"
    )
