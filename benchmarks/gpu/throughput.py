"""Crystals per second of training on a device, in one process or in several at the same time."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from crystalbench.data.views import get_view
from crystalbench.models import Needs, Runtime, get_model
from crystalbench.runs.visible import VisibleTask
from crystalbench.tasks import load_task

_ENDLESS = 1_000_000
"""Epochs of a fit that is stopped by time."""


@dataclass(frozen=True)
class Request:
    """One row to measure.

    Attributes:
        model: name of a network.
        batch_size: crystals in a batch.
        device: torch device.
        task: name of a regression task with crystals.
        data_dir: folder with its data.
        limit: largest number of rows to train on.
        deterministic: whether torch's deterministic algorithms are used, as in all runs.
        precision: ``float32``, as in all runs, or ``bfloat16`` for torch's automatic mixed precision.
    """

    model: str
    batch_size: int
    device: str
    task: str
    data_dir: Path | None = None
    limit: int | None = None
    deterministic: bool = True
    precision: str = "float32"


class _TimeIsUpError(Exception):
    """Ends a fit from its progress callback."""


def measure(requests: Sequence[Request], processes: int, seconds: float) -> Iterator[tuple[Request, list[float]]]:
    """Measure rows one after another.

    With several processes, all of them train the same model at the same time, and start each row together.

    Args:
        requests: the rows.
        processes: number of processes.
        seconds: time for each row, at least one epoch after the first.

    Yields:
        Rows, and the crystals per second of each process.

    Raises:
        RuntimeError: training failed in a process.
    """
    for request in {each.model: each for each in requests}.values():  # represent with all cores, not in each process
        speed(request, 0.0)
    if processes == 1:
        for request in requests:
            yield request, [speed(request, seconds)]
        return
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(processes), context.SimpleQueue()
    workers = [
        context.Process(target=_work, args=(list(requests), seconds, barrier, answers), daemon=True)
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    for request in requests:
        speeds = [answers.get() for _ in workers]
        if any(isinstance(found, str) for found in speeds):
            raise RuntimeError(f"{request.model}: {next(found for found in speeds if isinstance(found, str))}")
        yield request, speeds
    for worker in workers:
        worker.join()


def _work(requests: Sequence[Request], seconds: float, barrier: Barrier, answers: Any) -> None:
    try:
        for request in requests:
            speed(request, 0.0)  # start the device and read the data before the others are waited for
            barrier.wait()
            answers.put(speed(request, seconds))
            barrier.wait()
    except BaseException as error:
        barrier.abort()
        answers.put(f"{type(error).__name__}: {error}")
        raise


def speed(request: Request, seconds: float) -> float:
    """Crystals per second of training, without the first epoch; validation of a few crystals per epoch is included."""
    task = load_task(request.task, data_dir=request.data_dir, limit=request.limit, download=False)
    shown = VisibleTask.of(task, get_view("full"), Needs.STRUCTURE, processes=_all_cores())
    rows = np.arange(len(task))
    train, valid = shown.samples(rows[:-16], with_targets=True), shown.samples(rows[-16:], with_targets=True)
    times: list[float] = []

    def progress(done: int, total: int, **numbers: float) -> None:
        times.append(time.perf_counter())
        if times[-1] - times[0] >= seconds and (len(times) > 1 or seconds == 0):
            raise _TimeIsUpError

    model = get_model(request.model).from_configuration(
        {"epochs": _ENDLESS, "patience": _ENDLESS, "batch_size": request.batch_size, "schedule": "constant"}
    )
    model.runtime = Runtime(device=request.device, progress=progress)
    order = contextlib.nullcontext() if request.deterministic else patch.object(torch, "use_deterministic_algorithms")
    torch.use_deterministic_algorithms(request.deterministic, warn_only=True)
    with order, in_precision(request.precision, request.device), contextlib.suppress(_TimeIsUpError):
        model.fit(train, valid)
    return len(train) * (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0


def in_precision(precision: str, device: str) -> contextlib.AbstractContextManager[None]:
    """A context with torch's automatic mixed precision for ``bfloat16``, and without it for ``float32``."""
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def _all_cores() -> int:
    from crystalbench.runs.resources import usable_cores

    return usable_cores()
