"""Time and memory of a report on many records.

``python -m benchmarks.speed.records`` generates records of several models, tasks, folds and seeds in a temporary
folder, runs ``crystalbench report`` on them in a new process, and prints the seconds (of the clock, and of the
processor), and the largest resident memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from crystalbench.results.record import DataFile, Record, RecordedPredictions, RowCounts, Timings
from crystalbench.results.spec import ProtocolSpec, RunSpec
from crystalbench.results.store import RecordStore
from crystalbench.sees import Sees

MOST_SECONDS, MOST_MB = 30, 2000
"""The report on `RECORDS` records stays below both."""

RECORDS = 10_000
FOLDS, SEEDS = 5, 5
ROWS = 1265
"""Rows of a generated task: those of matbench_phonons, so that a record has 253 predictions."""

_ROOT = Path(__file__).resolve().parents[2]


def generated(number: int, rows: int = ROWS) -> Iterator[Record]:
    """About ``number`` records: as many tasks as models, five folds, and five seeds. The first model is ``dummy``.

    Args:
        number: number of records, at least 100.
        rows: rows of each task.
    """
    side = max(2, round((number / FOLDS / SEEDS) ** 0.5))
    kinds = [kind.value for kind in Sees if kind is not Sees.UNDECLARED]
    for t in range(side):
        rng = np.random.default_rng(t)
        targets = rng.lognormal(5, 0.7, rows)
        ids = [f"generated-{t}-{i:06}" for i in range(rows)]
        for m in range(side):
            error = 60 * 0.93**m if m else 250.0
            for fold in range(FOLDS):
                test = np.arange(fold, rows, FOLDS)
                for seed in range(SEEDS):
                    yield _record(t, m, fold, seed, kinds[m % len(kinds)], ids, targets, test, error, rng)


def _record(
    task: int,
    model: int,
    fold: int,
    seed: int,
    sees: str,
    ids: list[str],
    targets: np.ndarray,
    test: np.ndarray,
    error: float,
    rng: np.random.Generator,
) -> Record:
    values = targets[test] + rng.laplace(0, error, len(test))
    residuals = np.abs(values - targets[test])
    name = f"model_{model}" if model else "dummy"
    n = len(targets)
    return Record(
        spec=RunSpec(
            task=f"generated_{task}",
            data=f"{task:064x}",
            fold=fold,
            model=name,
            model_version=1,
            parameters={f"parameter_{i}": i for i in range(20)},
            view="full",
            seed=seed,
            protocol=ProtocolSpec(inner_folds=10, ensemble=1),
            tuning=None,
        ),
        label=name,
        metric="mae",
        kind="regression",
        unit="cm⁻¹",
        scores={
            "mae": float(residuals.mean()),
            "rmse": float(np.sqrt((residuals**2).mean())),
            "r2": float(1 - (residuals**2).sum() / ((targets[test] - targets[test].mean()) ** 2).sum()),
            "max_error": float(residuals.max()),
        },
        predictions=RecordedPredictions(
            ids=[ids[i] for i in test], targets=targets[test].tolist(), values=values.tolist()
        ),
        rows=RowCounts(
            train=n - 2 * len(test), valid=len(test), test=len(test), task=n, task_total=n, task_folds=FOLDS
        ),
        seconds=Timings(featurise=1.0, fit=1.0 + model, predict=0.01),
        peak_memory_mb=500.0,
        n_parameters=1000 * model,
        device="cpu",
        threads=1,
        concurrent=1,
        source=DataFile(name="generated", sha256="0" * 64, verified="sha256"),
        environment={"processor": "generated", "packages": {}},
        model_source="0" * 64,
        command="crystalbench run",
        finished="2025-01-01T00:00:00+00:00",
        sees=sees,
    )


def measured(folder: Path, *options: str) -> tuple[float, float, float]:
    """Seconds of the clock and of the processor, and largest memory in MB, of ``crystalbench report`` on a folder.

    Args:
        folder: a folder of results.
        *options: further options of the command.

    Raises:
        RuntimeError: the command failed.
    """
    command = [sys.executable, "-m", "crystalbench", "report", "--results", str(folder), *options]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, sys.path)])}
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stderr}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6


def main(arguments: list[str] | None = None) -> int:
    """Generate the records, measure, and print; returns 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.records", description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS, metavar="N", help=f"(default: {RECORDS})")
    parser.add_argument("--folder", type=Path, help="keep the records in this folder, and use those that are there")
    parser.add_argument("options", nargs="*", help="further options of the report, after --")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        store = RecordStore(folder / "records")
        if not store.paths():
            for record in generated(options.records):
                path = store.root / record.file_name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(record.to_json(), encoding="utf-8")
        seconds, of_processor, megabytes = measured(folder, *options.options)
        print(
            f"{len(store.paths()):,} records: {seconds:.1f} s, {of_processor:.1f} s of the processor, "
            f"{megabytes:,.0f} MB"
        )
    return int(seconds > MOST_SECONDS or megabytes > MOST_MB)


if __name__ == "__main__":
    raise SystemExit(main())
