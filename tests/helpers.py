"""Small builders that many tests share: crystals of every crystal system, tiny tasks, records, toy models."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import settings
from scipy.spatial.transform import Rotation

from crystalbench.compositions import Compositions
from crystalbench.crystals import Crystals
from crystalbench.records import Asked, Predicted, Protocol, Record, Rows, Seconds, SourceOf
from crystalbench.samples import Inputs, Kind, Samples, Target
from crystalbench.tasks import Source, Task

ROOT = Path(__file__).resolve().parents[1]

CRYSTAL_SYSTEMS = ("cubic", "tetragonal", "orthorhombic", "hexagonal", "trigonal", "monoclinic", "triclinic")

TARGETS = {
    Kind.REGRESSION: Target("energy", Kind.REGRESSION, "eV"),
    Kind.BINARY: Target("metal", Kind.BINARY, classes=("false", "true")),
    Kind.MULTICLASS: Target("system", Kind.MULTICLASS, classes=("cubic", "hexagonal", "other")),
}


def repeatable(examples: int) -> settings:
    """Settings of a property test that tries the same examples everywhere."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


# ---------------------------------------------------------------------- crystals


def cell_of(system: str, rng: np.random.Generator) -> np.ndarray:
    """A random cell of a crystal system: rows are lattice vectors in Å."""
    a, b, c = rng.uniform(2.5, 7.0, 3)
    alpha, beta, gamma = 90.0, 90.0, 90.0
    if system in ("cubic", "trigonal"):
        b = c = a
    if system in ("tetragonal", "hexagonal"):
        b = a
    if system == "hexagonal":
        gamma = 120.0
    if system == "trigonal":
        alpha = beta = gamma = rng.uniform(50, 110)
    if system == "monoclinic":
        beta = rng.uniform(95, 130)
    if system == "triclinic":
        alpha, beta, gamma = rng.uniform(60, 115, 3)
    return cell_from_parameters(a, b, c, alpha, beta, gamma)


def cell_from_parameters(a: float, b: float, c: float, alpha: float, beta: float, gamma: float) -> np.ndarray:
    """The cell with these lengths in Å and angles in degrees."""
    cos_a, cos_b, cos_g = np.cos(np.radians([alpha, beta, gamma]))
    sin_g = np.sin(np.radians(gamma))
    y = (cos_a - cos_b * cos_g) / sin_g
    z = np.sqrt(1 - cos_b**2 - y**2)
    return np.array([[a, 0, 0], [b * cos_g, b * sin_g, 0], [c * cos_b, c * y, c * z]])


def random_crystals(seed: int, n: int = 7, most_atoms: int = 6, largest_z: int = 94) -> Crystals:
    """n crystals, system by system, turned at random, with atoms up to two cells outside the cell."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, most_atoms + 1, n)
    cells = [cell_of(CRYSTAL_SYSTEMS[i % 7], rng) @ Rotation.random(rng=rng).as_matrix() for i in range(n)]
    return Crystals.from_flat(
        np.array(cells),
        rng.uniform(-2, 2, (counts.sum(), 3)),
        rng.integers(1, largest_z + 1, counts.sum()),
        counts,
        [f"crystal-{i}" for i in range(n)],
    )


def one_crystal(cell: Any, coords: Any, numbers: Any, name: str = "one") -> Crystals:
    """A single crystal."""
    numbers = np.atleast_1d(numbers)
    return Crystals.from_flat(np.asarray(cell, float)[None], coords, numbers, [len(numbers)], [name])


def rotated(crystals: Crystals, seed: int = 0) -> Crystals:
    """Every crystal turned by its own rotation."""
    turns = Rotation.random(len(crystals), rng=np.random.default_rng(seed)).as_matrix()
    return changed(crystals, lattices=np.einsum("nij,njk->nik", crystals.lattices, turns))


def translated(crystals: Crystals, seed: int = 0) -> Crystals:
    """Every crystal shifted by its own vector."""
    shifts = np.random.default_rng(seed).uniform(-1, 1, (len(crystals), 3))
    return changed(crystals, frac_coords=crystals.frac_coords + shifts[crystals.owners])


def moved_by_lattice_vectors(crystals: Crystals, seed: int = 0) -> Crystals:
    """Every atom replaced by one of its periodic images."""
    shifts = np.random.default_rng(seed).integers(-3, 4, crystals.frac_coords.shape)
    return changed(crystals, frac_coords=crystals.frac_coords + shifts)


def atom_order(crystals: Crystals, seed: int = 0) -> np.ndarray:
    """A random order of the atoms within each crystal."""
    keys = np.random.default_rng(seed).random(len(crystals.numbers))
    return np.lexsort((keys, crystals.owners))


def reordered(crystals: Crystals, order: np.ndarray) -> Crystals:
    """The atoms in another order."""
    return changed(crystals, frac_coords=crystals.frac_coords[order], numbers=crystals.numbers[order])


def supercells(crystals: Crystals, times: tuple[int, int, int]) -> Crystals:
    """Every crystal repeated along its lattice vectors, copy after copy."""
    cells = np.stack(np.meshgrid(*map(np.arange, times), indexing="ij"), -1).reshape(-1, 3)
    coords, numbers = [], []
    for i in range(len(crystals)):
        atoms = slice(crystals.offsets[i], crystals.offsets[i + 1])
        coords.append(((crystals.frac_coords[atoms][None] + cells[:, None]) / np.array(times)).reshape(-1, 3))
        numbers.append(np.tile(crystals.numbers[atoms], len(cells)))
    return Crystals.from_flat(
        crystals.lattices * np.array(times)[None, :, None],
        np.concatenate(coords),
        np.concatenate(numbers),
        crystals.atom_counts * len(cells),
        crystals.ids,
    )


def changed(crystals: Crystals, **arrays: np.ndarray) -> Crystals:
    """The crystals with some arrays replaced."""
    return Crystals(**{**crystals.to_arrays(), **arrays})


def read_only(crystals: Crystals) -> Crystals:
    """A copy whose arrays cannot be written, like memory-mapped ones."""
    arrays = {name: array.copy() for name, array in crystals.to_arrays().items()}
    for array in arrays.values():
        array.flags.writeable = False
    return Crystals.from_arrays(arrays)


# ---------------------------------------------------------------------- samples and tasks


def targets_for(inputs: Inputs, kind: Kind) -> np.ndarray:
    """Targets that follow from the composition: the mean atomic number, or classes of it."""
    cells = inputs.compositions() if isinstance(inputs, Crystals) else inputs
    means = np.bincount(cells.owners, cells.fractions * cells.numbers, minlength=len(cells))
    if kind is Kind.REGRESSION:
        return means / 10
    ranks = np.argsort(np.argsort(means, kind="stable"), kind="stable")
    return (ranks * (2 if kind is Kind.BINARY else 3) // len(means)).astype(np.float64)


def samples_of(inputs: Inputs, kind: Kind = Kind.REGRESSION) -> Samples:
    """Samples with targets that can be learned."""
    return Samples(inputs, TARGETS[kind], targets_for(inputs, kind))


def tiny_task(
    kind: Kind = Kind.REGRESSION,
    n: int = 30,
    folds: int = 3,
    seed: int = 0,
    name: str = "tiny",
    total: int | None = None,
) -> Task:
    """A task of n small crystals with folds by turns."""
    crystals = random_crystals(seed, n, most_atoms=3)
    return Task(
        name="tiny",
        target=TARGETS[kind],
        metric={Kind.REGRESSION: "mae", Kind.BINARY: "rocauc_true", Kind.MULTICLASS: "balanced_accuracy"}[kind],
        inputs=crystals,
        targets=targets_for(crystals, kind),
        folds=(np.arange(n) % folds).astype(np.int16),
        rows_total=total or n,
        source=Source("tiny.parquet", "0" * 64, "user"),
    )


def formulas_task(n: int = 20) -> Task:
    """A task of compositions without structures."""
    inputs = Compositions.from_formulas([f"Fe{i + 1}O2" for i in range(n)], [f"f{i}" for i in range(n)])
    folds = (np.arange(n) % 2).astype(np.int16)
    targets = targets_for(inputs, Kind.REGRESSION)
    return Task(
        "formulas", TARGETS[Kind.REGRESSION], "mae", inputs, targets, folds, n, Source("f.csv", "1" * 64, "user")
    )


# ---------------------------------------------------------------------- records


def asked(**changes: Any) -> Asked:
    """What a run is asked, with some fields changed."""
    plain: dict[str, Any] = {
        "task": "matbench_phonons",
        "data": "d" * 64,
        "fold": 0,
        "model": "dummy",
        "model_version": 1,
        "parameters": {"width": 64, "rate": 0.01},
        "view": "full",
        "seed": 0,
        "protocol": Protocol(inner_folds=5, ensemble=1),
        "tuning": None,
    }
    return Asked(**{**plain, **changes})


def record(mae: float | None = 1.0, *, scores: dict[str, float | None] | None = None, **changes: Any) -> Record:
    """A record of a regression; changes go to what was asked or to the record, by name."""
    for_asked = {name: changes.pop(name) for name in list(changes) if name in Asked.model_fields}
    plain: dict[str, Any] = {
        "asked": asked(**for_asked),
        "label": "dummy",
        "metric": "mae",
        "kind": "regression",
        "unit": "cm⁻¹",
        "scores": scores or {"mae": mae, "rmse": 2.0, "r2": 0.5, "max_error": 3.0},
        "predictions": Predicted(ids=["a", "b"], targets=[1.0, 2.0], values=[1.5, 2.5]),
        "rows": Rows(train=800, valid=212, test=253, task=1265, task_total=1265, task_folds=5),
        "seconds": Seconds(featurise=0.5, fit=2.0, predict=0.1),
        "peak_memory_mb": 100.0,
        "n_parameters": 1,
        "device": "cpu",
        "threads": 1,
        "source": SourceOf(name="phonons.json.gz", sha256="e" * 64, verified="sha256"),
        "environment": {"python": "3.11.0", "packages": {"numpy": "2.0.0"}, "git": None},
        "model_source": "f" * 64,
        "command": "python -m benchmarks.run",
        "finished": "2025-01-01T00:00:00+00:00",
    }
    return Record(**{**plain, **changes})


# ---------------------------------------------------------------------- toy models

TOY_FILE = """
from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crystalbench.models import Model, Needs
from crystalbench.samples import Predictions


@dataclass
class Shifted(Model):
    '''The training mean, shifted; notes every fit as a line of a file.'''

    needs = Needs.COMPOSITION
    shift: float = 0.0

    def fit(self, train, valid):
        log = Path(os.environ["TOY_LOG"])
        with log.open("a") as file:
            file.write(f"{os.getpid()} {self.runtime.seed}\\n")
        begun = time.time()
        while self.must_wait(log.read_text().split("\\n")[:-1]) and time.time() - begun < 60:
            time.sleep(0.02)
        self.value = train.targets.mean() + self.shift
        self.value += 0.01 * np.random.default_rng(self.runtime.seed).normal()
        return self

    def must_wait(self, lines):
        too_few = len({line.split()[0] for line in lines}) < int(os.environ.get("TOY_PROCESSES", "1"))
        return too_few or len(lines) >= int(os.environ.get("TOY_HANGS_AT", "1000"))

    def predict(self, samples):
        return Predictions(np.full(len(samples), self.value))


@dataclass
class Broken(Model):
    '''Fails.'''

    needs = Needs.COMPOSITION

    def fit(self, train, valid):
        raise RuntimeError("the oven is cold")

    def predict(self, samples):
        raise AssertionError
"""


def write_toys(folder: Path) -> Path:
    """Write a file with toy models, ``Shifted`` and ``Broken``.

    ``Shifted`` appends process and seed to the file in ``TOY_LOG``, waits until ``TOY_PROCESSES`` different processes
    have done so, and hangs when the file has ``TOY_HANGS_AT`` lines.
    """
    path = folder / "toys.py"
    path.write_text(TOY_FILE, encoding="utf-8")
    return path


def write_toy_suite(folder: Path) -> Path:
    """Write a suite of eight runs of toy models on 60 rows of a demo task."""
    toys = write_toys(folder)
    path = folder / "toys.toml"
    path.write_text(
        f"""
        tasks = ["demo_formation_energy"]
        limit = 60
        models = [
            {{ model = '{toys}:Shifted', label = "plain" }},
            {{ model = '{toys}:Shifted', label = "shifted", parameters = {{ shift = 1 }} }},
        ]
        [protocol]
        folds = [0, 1, 2, 3]
        inner_folds = 3
        """,
        encoding="utf-8",
    )
    return path


def started(suite: Path, results: Path, **environment: str) -> subprocess.Popen[str]:
    """The command line at work on a suite in a process of its own."""
    command = [sys.executable, "-c", "from crystalbench.cli import main; main()", "run", "--suite", str(suite)]
    return subprocess.Popen(
        [*command, "--results", str(results), "--threads", "1"],
        cwd=suite.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it is still not.
    """
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            raise TimeoutError
        time.sleep(0.02)
