"""Check a device: ``python -m benchmarks.gpu.check --device cuda``.

Three parts, chosen by ``--part``:

* ``environment``: versions, GPU, memory.
* ``equality``: every network is fitted briefly on the CPU, saved, and loaded on the device, where it must predict the
  same up to round-off; then it is fitted on the device, where the loss of the first epoch must be that on the CPU.
  Whether two fits on the device give the same bits is reported and is no failure, since not all operations are
  deterministic on a GPU. How far the loss moves in mixed precision (bfloat16) is reported, too.
* ``throughput``: crystals per second of training, for several batch sizes, with one process and with several, and for
  the precisions chosen.

The exit status is 1 if a check fails. Each line is printed as soon as it is known, so that little is lost if a run is
stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu.throughput import Request, in_precision, measure
from crystalbench.data.samples import Samples
from crystalbench.data.views import get_view
from crystalbench.errors import CrystalBenchError
from crystalbench.models import Model, Needs, Runtime, get_model, load_model, model_names, save_model
from crystalbench.models.devices import checked_device
from crystalbench.models.network import NetworkModel
from crystalbench.plugins import missing_extra
from crystalbench.runs.environment import environment
from crystalbench.runs.visible import VisibleTask
from crystalbench.tasks import load_task

PREDICTION_TOLERANCE = 1e-3
"""Largest difference of predictions of the same weights, in standard deviations of the targets.

Round-off of float32 is about 1e-6 of it; a wrong operation differs by far more.
"""

LOSS_TOLERANCE = 0.05
"""Largest relative difference of the training loss in the first epoch; the initial weights and batches are equal."""

EQUALITY_ROWS = (96, 32)
"""Rows to fit and to validate in the check of equality."""

PARTS = ("environment", "equality", "throughput")


@dataclasses.dataclass(frozen=True)
class Equality:
    """How a network on a device compares with the same network on the CPU.

    Attributes:
        model: name of the network.
        prediction: largest difference of the predictions of the same weights, in standard deviations of the targets.
        first_loss: relative difference of the training loss in the first epoch.
        last_loss: the same in the last epoch. Round-off grows in training, so it is not checked.
        repeats: whether two fits on the device predict the same bits.
        mixed_loss: relative difference of the last epoch's training loss in mixed precision from that in single
            precision on the device; not checked.
    """

    model: str
    prediction: float
    first_loss: float
    last_loss: float
    repeats: bool
    mixed_loss: float

    @property
    def passed(self) -> bool:
        """Whether the checked differences are within their tolerances; False if one is not a number."""
        return self.prediction <= PREDICTION_TOLERANCE and self.first_loss <= LOSS_TOLERANCE

    def __str__(self) -> str:
        return (
            f"{'ok' if self.passed else 'FAILED':6} {self.model:22} same weights: {self.prediction:.1e} σ; "
            f"loss of the first epoch: {self.first_loss:.1e}, of the last: {self.last_loss:.1e}; "
            f"two fits are {'equal' if self.repeats else 'not equal'}; "
            f"loss in bfloat16: {self.mixed_loss:.1e}"
        )


def networks() -> list[str]:
    """Names of all registered networks that can be used here."""
    networks = [name for name in model_names() if issubclass(get_model(name), NetworkModel)]
    return [name for name in networks if not missing_extra(get_model(name).extra)]


def compare(name: str, train: Samples, valid: Samples, device: str, epochs: int) -> Equality:
    """Compare a network on a device with the same network on the CPU.

    Args:
        name: the network.
        train: rows to fit.
        valid: rows to validate and predict.
        device: torch device.
        epochs: number of epochs of each fit.
    """
    rows = valid.to_predict()
    scale = float(np.std(train.targets))
    on_cpu, cpu_losses = _fitted(name, train, valid, "cpu", epochs)
    with tempfile.TemporaryDirectory() as folder:
        save_model(on_cpu, Path(folder) / "model")
        loaded = load_model(Path(folder) / "model", device=device)
    difference = np.abs(loaded.predict(rows).values - on_cpu.predict(rows).values).max() / scale
    first, losses = _fitted(name, train, valid, device, epochs)
    second, _ = _fitted(name, train, valid, device, epochs)
    with in_precision("bfloat16", device):
        _, mixed = _fitted(name, train, valid, device, epochs)
    return Equality(
        name,
        float(difference),
        abs(losses[0] / cpu_losses[0] - 1),
        abs(losses[-1] / cpu_losses[-1] - 1),
        bool(np.array_equal(first.predict(rows).values, second.predict(rows).values)),
        abs(mixed[-1] / losses[-1] - 1),
    )


def _fitted(name: str, train: Samples, valid: Samples, device: str, epochs: int) -> tuple[Model, list[float]]:
    """A fitted network and its training losses by epoch."""
    losses: list[float] = []

    def progress(done: int, total: int, **numbers: float) -> None:
        losses.append(numbers["loss"])

    model = get_model(name).from_configuration({"epochs": epochs})
    model.runtime = Runtime(device=device, progress=progress)
    model.fit(train, valid)
    return model, losses


def describe(device: str) -> str:
    """Versions, processor and GPU as lines of text."""
    found = environment(device)
    lines = [f"python {found['python']}, {found['system']}, {found['processor']}, {platform.node()}"]
    lines.append(", ".join(f"{name} {version}" for name, version in found["packages"].items()))
    if device.startswith("cuda"):
        facts = torch.cuda.get_device_properties(device)
        memory = facts.total_memory / 2**30
        lines.append(
            f"{facts.name}, {memory:.0f} GiB, {facts.multi_processor_count} multiprocessors, cuda {found['cuda']}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen parts; returns the exit status."""
    options = _parser().parse_args(arguments)
    parts = options.part or PARTS
    try:
        checked_device(options.device)
        if "environment" in parts:
            print(describe(options.device), flush=True)
        failed = "equality" in parts and not _check_equality(options)
        if "throughput" in parts:
            _measure_throughput(options)
    except CrystalBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return int(failed)


def _check_equality(options: argparse.Namespace) -> bool:
    fitted, validated = EQUALITY_ROWS
    task = load_task(options.task, data_dir=options.data_dir, limit=fitted + validated, download=False)
    shown = VisibleTask.of(task, get_view("full"), Needs.STRUCTURE)
    rows = np.arange(len(task))
    cut = len(task) * fitted // (fitted + validated)
    train, valid = (shown.samples(part, with_targets=True) for part in (rows[:cut], rows[cut:]))
    passed = True
    for name in options.model or networks():
        result = compare(name, train, valid, options.device, options.epochs)
        passed &= result.passed
        print(result, flush=True)
    return passed


def _measure_throughput(options: argparse.Namespace) -> None:
    for processes in options.processes:
        for deterministic in (True, False) if options.nondeterministic else (True,):
            for request, speeds in measure(
                [
                    Request(
                        *(name, size, options.device, options.task, options.data_dir, options.limit),
                        deterministic,
                        precision,
                    )
                    for name in options.model or networks()
                    for size in options.batch_size
                    for precision in options.precision
                ],
                processes,
                options.seconds,
            ):
                order = "deterministic" if deterministic else "any order"
                print(
                    f"{request.model:22} batch {request.batch_size:5}, {processes} process{'es' * (processes > 1):2} "
                    f"{order}, {request.precision:8}: {sum(speeds):10,.0f} crystals/s",
                    flush=True,
                )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.check", description=__doc__)
    parser.add_argument("--device", default="cuda", help="torch device [default: cuda]")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part (repeatable)")
    parser.add_argument("--model", action="append", help="only this network (repeatable) [default: all registered]")
    parser.add_argument("--task", default="demo_bulk_modulus", help="regression task with crystals")
    parser.add_argument("--data-dir", type=Path, help="folder with matminer's Matbench files")
    parser.add_argument("--limit", type=int, default=4096, help="rows to train on for the throughput [default: 4096]")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of the fits compared [default: 3]")
    parser.add_argument(
        "--batch-size", type=int, nargs="+", default=[64, 256, 1024], help="batch sizes of the throughput"
    )
    parser.add_argument(
        "--processes", type=int, nargs="+", default=[1, 4], help="numbers of processes that train at once"
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=("float32", "bfloat16"),
        default=["float32"],
        help="precisions of the throughput [default: float32]",
    )
    parser.add_argument("--seconds", type=float, default=5, help="time for each row of the throughput [default: 5]")
    parser.add_argument(
        "--nondeterministic",
        action="store_true",
        help="also measure with torch's faster algorithms, whose sums depend on the order of the threads",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
