"""Builders that many tests share: small tasks, specifications, records, toy models, and crystals."""

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
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Samples
from crystalbench.models.model import Model, Runtime
from crystalbench.results.record import (
    DataFile,
    Decision,
    Record,
    RecordedPredictions,
    RowCounts,
    Timings,
    TuningResult,
)
from crystalbench.results.spec import ProtocolSpec, RunSpec, TuningSpec
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources, Source, Task
from crystalbench.testing.crystals import (  # noqa: F401  (re-exported)
    CRYSTAL_SYSTEMS,
    atom_order,
    cell_from_parameters,
    cell_of,
    changed,
    isolated_atom,
    known_structures,
    large_cell,
    moved_by_lattice_vectors,
    one_crystal,
    random_crystals,
    read_only,
    reordered,
    rotated,
    single_atoms,
    supercells,
    translated,
)
from crystalbench.testing.samples import TARGETS, samples_of, targets_for  # noqa: F401  (re-exported)

ROOT = Path(__file__).resolve().parents[1]


SPRINGS = f"{Path(__file__).parent / 'representations' / 'potentials' / 'toys.py'}:SmoothSprings"
"""A potential that takes little time."""

QUICK: dict[str, dict[str, Any]] = {
    "deepknet_sphere": {"q_max": 0.4},
    "diffraction_spectrum": {"q_max": 0.5},
    "hybrid_diffraction": {"q_max": 0.5},
    # Of few rows, the weights may choose the member that does not see the structure; the median reads both.
    "stack": {
        "members": "descriptor_forest(trees=10, bank=gong28) + magpie_boosting(rounds=20)",
        "combination": "median",
    },
    "hybrid_potential": {"potential": SPRINGS, "columns": "cell"},
    "potential": {"columns": "cell"},
    "potential_forest": {"columns": "cell"},
}
"""Hyperparameters of models that replace the defaults where these take many seconds on a few crystals."""


def repeatable(examples: int) -> settings:
    """Settings of a property test that uses the same examples on every run and machine."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


# ---------------------------------------------------------------------- tasks


def tiny_task(
    kind: Kind = Kind.REGRESSION,
    n: int = 30,
    folds: int = 3,
    seed: int = 0,
    name: str = "tiny",
    total: int | None = None,
) -> Task:
    """A task of n small crystals, of ``total`` in the complete task; row i is in fold ``i % folds``."""
    crystals = random_crystals(seed, n, most_atoms=3)
    return Task(
        name=name,
        target=TARGETS[kind],
        metric={Kind.REGRESSION: "mae", Kind.BINARY: "rocauc_true", Kind.MULTICLASS: "balanced_accuracy"}[kind],
        inputs=crystals,
        targets=targets_for(crystals, kind),
        folds=(np.arange(n) % folds).astype(np.int16),
        rows_total=total or n,
        source=Source("tiny.parquet", "0" * 64, "user"),
    )


def write_formulas(folder: Path, rows: int = 40) -> DataSources:
    """Rows of `matbench_perovskites` in a table of compositions, as the data of this task."""
    columns = {
        "id": [f"mb-perovskites-{row:05d}" for row in range(1, rows + 1)],
        "target": [float(row % 7) for row in range(rows)],
        "formula": [f"Fe{row} O3" for row in range(1, rows + 1)],
    }
    pq.write_table(pa.table(columns), folder / "formulas.parquet")
    return DataSources(files={"matbench_perovskites": folder / "formulas.parquet"}, download=False)


def formulas_task(n: int = 20) -> Task:
    """A task of n compositions, without structures."""
    inputs = Compositions.from_formulas([f"Fe{i + 1}O2" for i in range(n)], [f"f{i}" for i in range(n)])
    folds = (np.arange(n) % 2).astype(np.int16)
    targets = targets_for(inputs, Kind.REGRESSION)
    return Task(
        "formulas", TARGETS[Kind.REGRESSION], "mae", inputs, targets, folds, n, Source("f.csv", "1" * 64, "user")
    )


# ---------------------------------------------------------------------- networks

SMALL_CGCNN: dict[str, Any] = {
    "width": 12,
    "layers": 2,
    "neighbors": 6,
    "head_width": 16,
    "batch_size": 16,
    "epochs": 3,
}


def fitted_cgcnn(train: Samples, valid: Samples, seed: int = 0, **parameters: Any) -> Any:
    """A fitted CGCNN of `SMALL_CGCNN`, with some hyperparameters changed."""
    from crystalbench.models.cgcnn import CGCNN  # imports torch, which is slow

    model = CGCNN(**{**SMALL_CGCNN, **parameters})
    model.runtime = Runtime(seed=seed)
    return model.fit(train, valid)


def predicted(model: Model, crystals: Crystals) -> np.ndarray:
    """Predictions (n,) of a regression model for n crystals."""
    return model.predict(Samples(crystals, TARGETS[Kind.REGRESSION])).values


def batch_of(model: Any, crystals: Crystals) -> Any:
    """One batch of the arrays that an unfitted network model reads of crystals."""
    from crystalbench.nn.batches import DeviceArrays  # imports torch, which is slow

    arrays = model.inputs(Samples(crystals, TARGETS[Kind.REGRESSION]))
    return DeviceArrays(arrays, "cpu").batch(np.arange(len(crystals)))


# ---------------------------------------------------------------------- records


def spec(**changes: Any) -> RunSpec:
    """The specification of a run, with some fields changed."""
    plain: dict[str, Any] = {
        "task": "matbench_phonons",
        "data": "d" * 64,
        "fold": 0,
        "model": "dummy",
        "model_version": 1,
        "parameters": {"width": 64, "rate": 0.01},
        "view": "full",
        "seed": 0,
        "protocol": ProtocolSpec(inner_folds=5, ensemble=1),
        "tuning": None,
    }
    return RunSpec(**{**plain, **changes})


def record(mae: float | None = 1.0, *, scores: dict[str, float | None] | None = None, **changes: Any) -> Record:
    """A record of a regression. Changes go to its specification or to the record itself, by name."""
    of_spec = {name: changes.pop(name) for name in list(changes) if name in RunSpec.model_fields}
    plain: dict[str, Any] = {
        "spec": spec(**of_spec),
        "label": "dummy",
        "metric": "mae",
        "kind": "regression",
        "unit": "cm⁻¹",
        "scores": scores or {"mae": mae, "rmse": 2.0, "r2": 0.5, "max_error": 3.0},
        "predictions": RecordedPredictions(ids=["a", "b"], targets=[1.0, 2.0], values=[1.5, 2.5]),
        "rows": RowCounts(train=800, valid=212, test=253, task=1265, task_total=1265, task_folds=5),
        "seconds": Timings(featurise=0.5, fit=2.0, predict=0.1),
        "peak_memory_mb": 100.0,
        "n_parameters": 1,
        "device": "cpu",
        "threads": 1,
        "concurrent": 1,
        "source": DataFile(name="phonons.json.gz", sha256="e" * 64, verified="sha256"),
        "environment": {"python": "3.11.0", "processor": "Z80", "packages": {"numpy": "2.0.0"}, "git": None},
        "model_source": "f" * 64,
        "command": "crystalbench run",
        "finished": "2025-01-01T00:00:00+00:00",
    }
    return Record(**{**plain, **changes})


def tuned_record(
    mae: float = 1.0, *, fold: int = 0, scheme: str = "per_fold", trials: int = 20, best: int = 3, **changes: Any
) -> Record:
    """A record of a tuned run, with the scheme and number of trials of its study, and its chosen trial."""
    where = 0 if scheme == "first_fold" else fold
    found = TuningResult(
        study=f"study-{where}-{trials}",
        fold=where,
        parameters={"width": 128},
        trial=best,
        metric="mae",
        value=0.5,
        complete=trials - 3,
        pruned=2,
        failed=1,
        seconds=10.0 + where,
        decision=Decision(
            kept=not best, reason="as decided", candidate=best or 1, gain=0.4, standard_error=0.5 if not best else 0.25
        ),
    )
    how = TuningSpec(trials=trials, scheme=scheme, space="a" * 64)  # type: ignore[arg-type]
    return record(mae, fold=fold, tuning=how, tuned=found, **changes)


# ---------------------------------------------------------------------- toy models

TOY_FILE = """
from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crystalbench.models import Model, Needs
from crystalbench.data.samples import Predictions


@dataclass
class Shifted(Model):
    '''Predicts the training mean plus a shift; appends a line to a file for each fit.'''

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
    '''Fails in fit.'''

    needs = Needs.COMPOSITION

    def fit(self, train, valid):
        raise RuntimeError("the oven is cold")

    def predict(self, samples):
        raise AssertionError
"""


def write_toys(folder: Path) -> Path:
    """Write a file with toy models, ``Shifted`` and ``Broken``.

    Each fit of ``Shifted`` appends its process id and seed to the file named by the environment variable ``TOY_LOG``.
    It waits until ``TOY_PROCESSES`` processes have done so, and hangs once the file has ``TOY_HANGS_AT`` lines.
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


def started(suite: Path, results: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    """Start ``crystalbench run`` on a suite in another process."""
    command = [sys.executable, "-m", "crystalbench", "run", "--suite", str(suite)]
    return subprocess.Popen(
        [*command, "--results", str(results), "--threads", "1", *options],
        cwd=suite.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition is met.

    Raises:
        TimeoutError: it is not met in time.
    """
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            raise TimeoutError
        time.sleep(0.02)


# ---------------------------------------------------------------------- real data, if available


def real_file(name: str) -> Path:
    """A file in the folder named by CRYSTALBENCH_TEST_DATA. The test is skipped if there is none."""
    folder = os.environ.get("CRYSTALBENCH_TEST_DATA")
    if not folder:
        pytest.skip("CRYSTALBENCH_TEST_DATA names no folder with real data")
    found = sorted(Path(folder).rglob(name))
    if not found:
        pytest.skip(f"{name} is not in CRYSTALBENCH_TEST_DATA")
    return found[0]
