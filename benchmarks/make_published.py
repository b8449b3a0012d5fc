"""Write the files about Matbench v0.1 in the package from a folder with its published labels and scores.

``python -m benchmarks.make_published DIR`` reads ``DIR/matbench_v0.1_scores.csv`` and ``DIR/labels/TASK.parquet`` and
writes, inside the package, ``evaluation/data/matbench_v0.1_published.csv`` (one row per task, algorithm and metric)
and ``tasks/matbench/data/official_labels.npz`` (labels of the three classification tasks as bits). The same
input gives the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import crystalbench
from crystalbench.evaluation.published import FILE, FOLD_COLUMNS
from crystalbench.targets import Kind
from crystalbench.tasks.matbench.official import OFFICIAL

METRICS = ("mae", "rmse", "max_error", "accuracy", "balanced_accuracy", "f1", "rocauc")

HEADER = """\
# Published scores of Matbench v0.1. Source: github.com/materialsproject/matbench, commit
# 936176db18ca4cd7b38cbd957c017a5bac770c6b (January 2024), MIT licence.
# std is the population standard deviation over the folds. rocauc is of thresholded labels and equals the balanced
# accuracy. source: json = results file, 7 digits; docs = tables of the documentation, 4 decimals; history = results
# files from the repository's history and branches, not on the leaderboard.
"""


def published_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Condense the long table (algorithm, task, fold, metric, value, source) to one row per entry and metric."""
    rows = []
    for (task, algorithm, metric), group in scores.groupby(["task", "algorithm", "metric"], sort=True):
        if metric not in METRICS:
            continue
        values = group.set_index("fold")["value"]
        folds = values[[str(fold) for fold in range(5)]].to_numpy()
        source = group.loc[group["fold"] == "0", "source"].item()
        # The documentation rounds to 4 decimals, so compute the values in full precision and compare.
        mean, std = (values["mean"], values["std"]) if source == "docs" else (folds.mean(), folds.std())
        if abs(mean - values["mean"]) > 6e-5 or abs(std - values["std"]) > 6e-5:
            raise ValueError(f"{task}, {algorithm}, {metric}: mean or std differs from the documentation's")
        entry = [f"matbench_{task}", algorithm, metric, mean, std, *folds]
        rows.append([*entry, source, source != "history"])
    names = ["task", "algorithm", "metric", "mean", "std", *FOLD_COLUMNS, "source", "leaderboard"]
    return pd.DataFrame(rows, columns=names)


def main(directory: Path) -> None:
    """Write both files."""
    package = Path(crystalbench.__file__).parent
    table = published_table(pd.read_csv(directory / "matbench_v0.1_scores.csv", dtype={"fold": str}))
    csv = package / "evaluation" / "data" / FILE
    csv.write_text(HEADER + table.to_csv(index=False, float_format="%.7g", lineterminator="\n"), encoding="utf-8")
    labels = {
        task.name: np.packbits(pd.read_parquet(directory / "labels" / f"{task.short}.parquet")["target"] == 1)
        for task in OFFICIAL.values()
        if task.kind is Kind.BINARY
    }
    npz = package / "tasks" / "matbench" / "data" / "official_labels.npz"
    np.savez(npz, **labels)  # type: ignore[arg-type]
    for file in (csv, npz):
        print(f"{file.relative_to(package)}: {file.stat().st_size} bytes")
    print(f"{len(table)} rows, {table['algorithm'].nunique()} algorithms, {table['task'].nunique()} tasks")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.make_published DIR")
    main(Path(sys.argv[1]))
