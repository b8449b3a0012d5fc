"""Time and memory of models for increasing numbers of crystals.

``python -m benchmarks.speed.scale --data matbench_mp_e_form=PATH`` measures them and writes a table. Each model and
size is measured in a process of its own: reading the stored crystals, representing them, one epoch of training (or a
complete fit of a model without epochs), and predictions for all of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from benchmarks.speed import machine, page, scale_table
from benchmarks.speed.graphs import evenly
from benchmarks.speed.phonons import MP, loaded
from benchmarks.speed.rows import Settings
from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.errors import CrystalBenchError
from crystalbench.models import get_model, model_names
from crystalbench.tasks import parse_data_options

if TYPE_CHECKING:
    import numpy.typing as npt

    from crystalbench.models import Model
    from crystalbench.representations import Arrays, Representation

SIZES = (1_000, 10_000, 100_000, 130_000)
STRAIN = 0.02
"""Standard deviation of the logarithm of the factors that stretch copies. All copies differ and keep their symmetry."""
_WARM = 500
_VALIDATES = 10  # every tenth crystal is in the validation part
_ROOT = Path(__file__).resolve().parents[2]


def replicated(crystals: Crystals, size: int, seed: int = 0) -> Crystals:
    """``size`` crystals with the same distribution of numbers of atoms, in random order; copies are stretched."""
    copies_of_all, rest = divmod(size, len(crystals))
    rng = np.random.default_rng(seed)
    parts = [crystals] * copies_of_all + ([evenly(crystals, rest)] if rest else [])
    copies = concatenate(parts)
    stretch = np.exp(STRAIN * rng.standard_normal(size))
    stretch[: len(parts[0])] = 1
    lattices = copies.lattices * stretch[:, None, None]
    ids = np.arange(size).astype(np.str_)
    return Crystals(lattices, copies.frac_coords, copies.numbers, copies.offsets, ids)[rng.permutation(size)]


def measure_size(folder: Path, threads: int, name: str) -> scale_table.Size:
    """Measure a model on the crystals stored in a folder, in this process."""
    machine.prepare_threads(threads, flush=True)
    passes(_model(name, threads), Crystals.load(folder)[:_WARM], threads)
    start = time.perf_counter()
    crystals = Crystals.load(folder)
    _ = crystals.digest  # reads all data, as a task's store does
    load = time.perf_counter() - start
    seconds = passes(_model(name, threads), crystals, threads)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak += (threads - 1) * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return scale_table.Size(
        crystals=len(crystals),
        atoms=len(crystals.numbers),
        load_s=load,
        graph_s=seconds.represent,
        epoch_s=seconds.fit,
        peak_mb=peak * 1024 / 1e6,
        threads=threads,
        machine=machine.describe(threads),
        model=name,
        predict_s=seconds.predict,
    )


@dataclasses.dataclass(frozen=True)
class Seconds:
    """Seconds of representing crystals, of fitting a model to them and of predicting them."""

    represent: float
    fit: float
    predict: float


def passes(model: Model, crystals: Crystals, threads: int) -> Seconds:
    """Represent crystals, fit a model to random targets of them, and predict all of them.

    The representation is computed once for all crystals, as in a run.
    """
    from crystalbench.data.samples import Samples
    from crystalbench.representations.processes import allowed_processes
    from crystalbench.targets import Kind, Target

    known: dict[str, Arrays] = {}
    represent = 0.0

    def represented(representation: Representation, rows: npt.NDArray[np.int64]) -> Arrays:
        nonlocal represent
        if representation.key not in known:
            start = time.perf_counter()
            with allowed_processes(threads):
                known[representation.key] = representation(crystals)
            represent += time.perf_counter() - start
        return known[representation.key][rows]

    target = Target("noise", Kind.REGRESSION)
    noise = np.random.default_rng(0).standard_normal(len(crystals))
    rows = np.arange(len(crystals))
    validates = rows % _VALIDATES == 0
    train, valid = (
        Samples(crystals[part], target, noise[part], represent=represented, rows=part)
        for part in (rows[~validates], rows[validates])
    )
    start = time.perf_counter()
    model.fit(train, valid)
    fit = time.perf_counter() - start - represent
    start, before = time.perf_counter(), represent
    model.predict(Samples(crystals, target, represent=represented, rows=rows))
    return Seconds(represent, fit, time.perf_counter() - start - (represent - before))


def _model(name: str, threads: int) -> Model:
    """A model with one epoch, if it has epochs, and otherwise its defaults."""
    from crystalbench.models.model import Runtime

    found = get_model(name)
    epochs = {"epochs": 1} if "epochs" in found().configuration() else {}
    model = found.from_configuration(epochs)
    model.runtime = Runtime(threads=threads)
    return model


def main(arguments: list[str] | None = None) -> int:
    """Measure the requested models and sizes and write their table; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.stored is not None:
        print(json.dumps(dataclasses.asdict(measure_size(options.stored, options.threads, *options.model))))
        return 0
    console = Console()
    try:
        settings = Settings(threads=options.threads, data=parse_data_options(options.data))
        crystals = loaded(settings, options.task).inputs
        assert isinstance(crystals, Crystals)  # a task with structures
        models = options.model or ["cgcnn"]
        # Sizes that are not measured now keep their lines.
        file = options.results / scale_table.FILE_NAME
        wanted = [(name, size or len(crystals)) for name in models for size in options.sizes]
        sizes = [size for size in scale_table.read_sizes(file) if (size.model, size.crystals) not in wanted]
        for name, size in wanted:
            with console.status(f"{name}, {size:,} crystals"):
                sizes.append(_elsewhere(crystals, size, options.threads, name))
            scale_table.write_sizes(file, sizes)
        from benchmarks.speed.registry import ROWS  # not imported in the processes that measure

        page.write_page(options.results, ROWS)
        console.print(scale_table.text_of(sizes), highlight=False, markup=False)
    except CrystalBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _elsewhere(crystals: Crystals, size: int, threads: int, name: str) -> scale_table.Size:
    """Measure one size in a new process.

    Raises:
        RuntimeError: the process failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "crystals"
        replicated(crystals, size).save(folder)
        command = [sys.executable, "-m", "benchmarks.speed.scale", "--stored", str(folder)]
        command += ["--threads", str(threads), "--model", name]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, sys.path)])}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stderr}")
    return scale_table.Size(**json.loads(done.stdout.splitlines()[-1]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.scale", description=__doc__)
    parser.add_argument("--task", default=MP, help=f"the task with the crystals (default: {MP})")
    parser.add_argument("--data", action="append", default=[], metavar="TASK=PATH", help="the file of the task")
    known = model_names()
    parser.add_argument(
        "--model", action="append", default=[], choices=known, metavar="NAME", help="repeatable (default: cgcnn)"
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, metavar="N", help=f"0 for all crystals (default: {SIZES})"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads, or processes (default: 1)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of scale.csv (default: results)")
    parser.add_argument("--stored", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
