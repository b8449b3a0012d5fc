"""Time and memory for increasing numbers of crystals.

``python -m benchmarks.speed.scale --data matbench_mp_e_form=PATH`` measures them and writes a table. Each size is
measured in a separate process: reading the stored crystals, computing their graphs, and one epoch of `cgcnn`.
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
from crystalbench.tasks import parse_data_options

if TYPE_CHECKING:
    from crystalbench.models.network import NetworkModel
    from crystalbench.representations import Arrays

SIZES = (1_000, 10_000, 100_000, 130_000)
STRAIN = 0.02
"""Standard deviation of the logarithm of the factors that stretch copies. All copies differ and keep their symmetry."""
_WARM = 2_000
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


def measure_size(folder: Path, threads: int) -> scale_table.Size:
    """Measure the crystals stored in a folder, in this process."""
    machine.prepare_threads(threads, flush=True)

    from crystalbench.models.cgcnn import CGCNN
    from crystalbench.models.model import Runtime
    from crystalbench.representations.processes import allowed_processes

    model = CGCNN(width=64, layers=3, neighbors=12, batch_size=256, epochs=1)
    model.runtime = Runtime(threads=threads)
    train(model, model.representation(Crystals.load(folder)[:_WARM]))
    start = time.perf_counter()
    crystals = Crystals.load(folder)
    _ = crystals.digest  # reads all data, as a task's store does
    load = time.perf_counter() - start
    start = time.perf_counter()
    with allowed_processes(threads):
        arrays = model.representation(crystals)
    graph = time.perf_counter() - start
    atoms, count = len(crystals.numbers), len(crystals)
    epoch = train(model, arrays)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak += (threads - 1) * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    where = machine.describe(threads)
    return scale_table.Size(count, atoms, load, graph, epoch, peak * 1024 / 1e6, threads, where)


def train(model: NetworkModel, arrays: Arrays) -> float:
    """Seconds of one epoch, including the transfer of the arrays to the device."""
    import torch

    from crystalbench.models.devices import prepare_torch
    from crystalbench.models.training import Part, train_network
    from crystalbench.nn.batches import DeviceArrays
    from crystalbench.targets import Kind, Target

    torch.manual_seed(0)
    device = prepare_torch(model.runtime)
    start = time.perf_counter()
    part = Part(DeviceArrays(arrays, device), torch.randn((len(arrays), 1), device=device))
    network = model.network(Target("noise", Kind.REGRESSION)).to(device)
    train_network(network, torch.nn.L1Loss(), part, model, model.runtime, last_epoch=1)
    return time.perf_counter() - start


def main(arguments: list[str] | None = None) -> int:
    """Measure the requested sizes and write their table; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.stored is not None:
        print(json.dumps(dataclasses.asdict(measure_size(options.stored, options.threads))))
        return 0
    console = Console()
    try:
        settings = Settings(threads=options.threads, data=parse_data_options(options.data))
        crystals = loaded(settings, MP).inputs
        assert isinstance(crystals, Crystals)  # a task with structures
        sizes = []
        for size in options.sizes:
            with console.status(f"{size:,} crystals"):
                sizes.append(_elsewhere(crystals, size, options.threads))
            scale_table.write_sizes(options.results / scale_table.FILE_NAME, sizes)
        from benchmarks.speed.registry import ROWS  # not imported in the processes that measure

        page.write_page(options.results, ROWS)
        console.print(scale_table.text_of(sizes), highlight=False, markup=False)
    except CrystalBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _elsewhere(crystals: Crystals, size: int, threads: int) -> scale_table.Size:
    """Measure one size in a new process.

    Raises:
        RuntimeError: the process failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "crystals"
        replicated(crystals, size).save(folder)
        command = [sys.executable, "-m", "benchmarks.speed.scale", "--stored", str(folder), "--threads", str(threads)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, sys.path)])}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stderr}")
    return scale_table.Size(**json.loads(done.stdout.splitlines()[-1]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.scale", description=__doc__)
    parser.add_argument("--data", action="append", default=[], metavar="TASK=PATH", help=f"the file of {MP}")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help=f"(default: {SIZES})")
    parser.add_argument("--threads", type=int, default=1, help="threads, or processes (default: 1)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of scale.csv (default: results)")
    parser.add_argument("--stored", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
