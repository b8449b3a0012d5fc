"""Executors: where runs are computed."""

from __future__ import annotations

from crystalbench.runs.executors.base import Executor
from crystalbench.runs.executors.processes import ProcessExecutor
from crystalbench.runs.executors.serial import SerialExecutor
from crystalbench.runs.runner import Runner

__all__ = ["Executor", "ProcessExecutor", "SerialExecutor", "executor_for"]


def executor_for(runner: Runner, workers: int) -> Executor:
    """An executor with a number of worker processes; with one, runs are computed in this process."""
    return SerialExecutor(runner) if workers == 1 else ProcessExecutor(runner, workers)
