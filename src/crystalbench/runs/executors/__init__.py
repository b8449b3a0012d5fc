"""Executors: where runs are computed."""

from __future__ import annotations

from dataclasses import dataclass, field

from crystalbench.errors import ConfigError
from crystalbench.runs.executors.base import Executor
from crystalbench.runs.executors.processes import ProcessExecutor
from crystalbench.runs.executors.serial import SerialExecutor
from crystalbench.runs.resources import Reservation
from crystalbench.runs.runner import Runner

__all__ = ["ENGINES", "Engine", "Executor", "ProcessExecutor", "SerialExecutor", "executor_for"]

ENGINES = ("serial", "processes", "ray")


@dataclass(frozen=True)
class Engine:
    """Where runs are computed, as the user has chosen.

    Attributes:
        name: ``serial``, ``processes`` or ``ray``; None for processes, or this one if one worker is enough.
        address: of a Ray cluster; None for one on this machine, unless the variable ``RAY_ADDRESS`` names another one.
        reserves: what a run reserves on a cluster unless its suite declares something else.

    Raises:
        ConfigError: there is no such engine, or the others are given without Ray.
    """

    name: str | None = None
    address: str | None = None
    reserves: Reservation = field(default_factory=Reservation)

    def __post_init__(self) -> None:
        if self.name is not None and self.name not in ENGINES:
            raise ConfigError(f"engine {self.name!r}: there is none; choose one of {', '.join(ENGINES)}")
        if self.name != "ray":
            for option, value in (
                ("--address", self.address),
                ("--cpus-per-run", self.reserves.cpus),
                ("--gpus-per-run", self.reserves.gpus),
            ):
                if value is not None:
                    raise ConfigError(f"{option} {value} is for a Ray cluster: add --engine ray, or leave it out")

    @property
    def is_cluster(self) -> bool:
        """Whether runs are computed on a cluster, whose devices are not those of this machine."""
        return self.name == "ray"

    def workers(self, requested: int | None) -> int | None:
        """The number of workers that was requested; one for the serial engine.

        Raises:
            ConfigError: several are requested for the serial engine.
        """
        if self.name != "serial":
            return requested
        if requested not in (None, 1):
            raise ConfigError(f"--workers {requested}: the engine serial has one; choose the engine processes")
        return 1


def executor_for(runner: Runner, workers: int, engine: Engine | None = None, requested: int | None = None) -> Executor:
    """The executor of an engine.

    Args:
        runner: computes the runs.
        workers: number of worker processes on this machine. With one, runs are computed in this process unless the
            engine says otherwise.
        engine: the user's choice.
        requested: runs in flight on a cluster that the user requested.

    Raises:
        ConfigError: the cluster cannot be used.
    """
    engine = engine or Engine()
    if engine.name == "ray":
        from crystalbench.runs.executors.ray import RayExecutor

        return RayExecutor(runner, requested, engine.address, engine.reserves)
    if engine.name == "processes" or (engine.name is None and workers > 1):
        return ProcessExecutor(runner, workers)
    return SerialExecutor(runner)
