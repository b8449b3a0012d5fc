"""Files with predictions as others write them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

STEELS, GLASS = "matbench_steels", "matbench_glass"


def write_results_file(folder: Path, task: str, rows: pd.DataFrame, values: npt.NDArray[np.float64]) -> Path:
    """Write a results.json.gz as the package matbench does; its scores are those of the mean absolute error only."""
    folds = {}
    for fold in range(5):
        mine = (rows["fold"] == fold).to_numpy()
        error = float(np.abs(values[mine] - rows["target"][mine]).mean())
        folds[f"fold_{fold}"] = {
            "data": dict(zip(rows["id"][mine], values[mine].tolist(), strict=True)),
            "parameters": {},
            "scores": {"mae": error},
            "uncertainty": None,
        }
    part = {"@module": "matbench.task", "benchmark_name": "matbench_v0.1", "dataset_name": task, "results": folds}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json.gz"
    with gzip.open(path, "wt") as stream:
        json.dump({"benchmark_name": "matbench_v0.1", "tasks": {task: part}, "user_metadata": {}}, stream)
    (folder / "info.json").write_text(json.dumps({"algorithm": "Foreign"}))
    return path
