"""Predictions of a complete entry in the formats of other leaderboards."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from crystalbench import __version__
from crystalbench._files import write_bytes
from crystalbench.data.checks import first_ids
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.evaluation.entries import entries, find_entry
from crystalbench.evaluation.metrics import score
from crystalbench.exchange.submissions import INFO_FILE, MATBENCH_FILE
from crystalbench.results.loading import Results
from crystalbench.targets import Kind
from crystalbench.tasks.matbench.official import OFFICIAL, official_ids, official_task

BENCHMARK, MATBENCH_VERSION = "matbench_v0.1", "0.6"
"""The benchmark, and the version of the package matbench whose format is written."""

_SMALLEST_TARGET = 1e-5
"""Rows whose target is smaller do not count in matbench's relative error."""


def complete_rows(results: Results, name: str, tasks: Sequence[str] = ()) -> dict[str, pd.DataFrame]:
    """The predictions of an entry for official tasks, of the smallest seed that has all folds.

    Args:
        results: results with the entry.
        name: title of the entry, as in the tables.
        tasks: names of official tasks; by default, all that the entry was run on.

    Returns:
        By task, one row per sample in official order, with the columns of the predictions frame.

    Raises:
        UnknownNameError: there is no such task or entry.
        ConfigError: several configurations have the title.
        DataError: folds or rows are missing; lists them for each task.
    """
    for task in tasks:
        official_task(task)
    scores = results.scores[results.scores["task"].isin(list(tasks or OFFICIAL))]
    found: dict[str, pd.DataFrame] = {}
    missing: list[str] = []
    for task in tasks or sorted(scores["task"].unique()):
        mine = scores[scores["task"] == task]
        try:
            runs = mine if mine.empty else find_entry(mine, name)[1]
        except UnknownNameError:
            runs = mine.iloc[:0]
        if runs.empty:
            missing += [f"{task}: it was not run"] if tasks else []
            continue
        rows = results.select(task=task, key=runs["key"].unique()).predictions
        seeds = {seed: rows[rows["seed"] == seed] for seed in sorted(rows["seed"].unique().tolist())}
        complete = [part for part in seeds.values() if not _lacks(task, part)]
        if complete:
            found[task] = complete[0].sort_values("id", ignore_index=True)
        else:
            missing.append(f"{task}: {_lacks(task, next(iter(seeds.values())))}")
    if missing:
        raise DataError(
            f"{name}: is not complete, and only complete entries can be exported; {'; '.join(missing)}; run what is "
            "missing, or name the complete tasks with --task"
        )
    if not found:
        raise UnknownNameError(
            "entry on official tasks", name, set() if scores.empty else set(entries(scores)["title"])
        )
    return found


def _lacks(task: str, rows: pd.DataFrame) -> str:
    """What one seed lacks of an official task; empty if it is complete."""
    folds = sorted(set(range(5)) - set(rows["fold"]))
    if folds:
        return f"folds {', '.join(map(str, folds))} are missing" if len(folds) > 1 else f"fold {folds[0]} is missing"
    ids = np.setdiff1d(official_ids(task), rows["id"].to_numpy(np.str_))
    return f"{len(ids):,} of {official_task(task).n_samples:,} rows are missing: {first_ids(ids)}" if len(ids) else ""


def export_matbench(
    results: Results, name: str, folder: Path, tasks: Sequence[str] = (), authors: str = "", notes: str = ""
) -> list[Path]:
    """Write ``results.json.gz`` and ``info.json`` as a submission to Matbench needs them.

    The package matbench reads and validates the first; the second describes the algorithm and has to be completed by
    its authors.

    Args:
        results: results with the entry.
        name: title of the entry.
        folder: folder of the two files.
        tasks: names of official tasks; all that the entry was run on by default.
        authors: authors of the algorithm.
        notes: remarks for readers of the leaderboard.

    Returns:
        The files.

    Raises:
        DataError: the entry is not complete; see `complete_rows`.
        ConfigError: a file cannot be written.
    """
    content: dict[str, Any] = {
        "@module": "matbench.bench",
        "@class": "MatbenchBenchmark",
        "version": MATBENCH_VERSION,
        "tasks": {
            task: _matbench_task(task, rows, results) for task, rows in complete_rows(results, name, tasks).items()
        },
        "user_metadata": {"algorithm": name},
        "benchmark_name": BENCHMARK,
        "datestamp": datetime.now(UTC).strftime("%Y.%m.%d %H:%M.%S"),
    }
    content["hash"] = hashlib.sha256(json.dumps(_sorted(content)).encode()).hexdigest()  # as matbench computes it
    info = {
        "authors": authors,
        "algorithm": name,
        "algorithm_long": "",
        "bibtex_refs": "",
        "notes": notes,
        "requirements": {"python": [f"crystalbench=={__version__}"]},
    }
    paths = [folder / MATBENCH_FILE, folder / INFO_FILE]
    _write(paths[0], gzip.compress(json.dumps(content).encode(), mtime=0))
    _write(paths[1], (json.dumps(info, indent=4, ensure_ascii=False) + "\n").encode())
    return paths


def _matbench_task(task: str, rows: pd.DataFrame, results: Results) -> dict[str, Any]:
    runs = results.scores.drop_duplicates("key").set_index("key")["settings"]
    folds: dict[str, Any] = {}
    for fold in range(5):
        part = rows[rows["fold"] == fold]
        folds[f"fold_{fold}"] = {
            "data": dict(zip(part["id"], part["prediction"].tolist(), strict=True)),
            "parameters": json.loads(runs[part["key"].iloc[0]]),
            "scores": _matbench_scores(task, part),
            "uncertainty": _uncertainty(task, part),
        }
    return {
        "@module": "matbench.task",
        "@class": "MatbenchTask",
        "benchmark_name": BENCHMARK,
        "dataset_name": task,
        "results": folds,
    }


def _matbench_scores(task: str, rows: pd.DataFrame) -> dict[str, float]:
    """The metrics that matbench records."""
    kind, targets, values = official_task(task).kind, rows["target"].to_numpy(), rows["prediction"].to_numpy()
    scores = score(str(kind), targets, values)
    if kind is Kind.BINARY:
        return {name: scores[name] for name in ("accuracy", "balanced_accuracy", "f1", "rocauc")}
    counts = np.abs(targets) > _SMALLEST_TARGET
    relative = np.abs((targets - values)[counts] / targets[counts])
    mape = float(relative.mean()) if len(relative) else 0.0
    return {name: scores[name] for name in ("mae", "rmse", "max_error")} | {"mape": mape}


def _uncertainty(task: str, rows: pd.DataFrame) -> dict[str, dict[str, float]] | None:
    """Standard deviations with the 95 % interval of a normal distribution; matbench has none for classification."""
    std, values = rows["std"].to_numpy(), rows["prediction"].to_numpy()
    if official_task(task).kind is Kind.BINARY or np.isnan(std).any():
        return None
    half = stats.norm.ppf(0.975) * std
    return {
        name: {"ci_lower": value - h, "ci_upper": value + h, "std": s}
        for name, value, h, s in zip(rows["id"], values.tolist(), half.tolist(), std.tolist(), strict=True)
    }


def _sorted(content: Mapping[str, Any]) -> dict[str, Any]:
    """A dictionary with its keys, and those of the dictionaries in it, in alphabetical order."""
    return {
        key: _sorted(value) if isinstance(value, Mapping) else value
        for key, value in sorted(content.items(), key=lambda item: item[0])
    }


def export_jarvis(results: Results, name: str, folder: Path, tasks: Sequence[str] = ()) -> list[Path]:
    """Write one ``.csv.zip`` per task in the form of the JARVIS-Leaderboard, with the columns id, target, prediction.

    The file is named ``AI-SinglePropertyPrediction-PROPERTY-TASK-test-mae.csv.zip``, or
    ``AI-SinglePropertyClass-PROPERTY-TASK-test-acc.csv.zip`` for labels.

    Args:
        results: results with the entry.
        name: title of the entry.
        folder: folder of the files.
        tasks: names of official tasks; all that the entry was run on by default.

    Returns:
        The files.

    Raises:
        DataError: the entry is not complete; see `complete_rows`.
        ConfigError: a file cannot be written.
    """
    paths = []
    for task, rows in complete_rows(results, name, tasks).items():
        official = official_task(task)
        labels = official.kind is Kind.BINARY
        category, metric = ("SinglePropertyClass", "acc") if labels else ("SinglePropertyPrediction", "mae")
        prop = re.sub(r"[^A-Za-z0-9]+", "_", official.target).strip("_")
        stem = f"AI-{category}-{prop}-{task}-test-{metric}.csv"
        table = rows[["id", "target", "prediction"]]
        if labels:
            table = table.assign(target=table["target"].astype(int), prediction=(table["prediction"] > 0.5).astype(int))
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(stem), table.to_csv(index=False, lineterminator="\n"))
        paths.append(folder / f"{stem}.zip")
        _write(paths[-1], packed.getvalue())
    return paths


def _write(path: Path, content: bytes) -> None:
    try:
        write_bytes(path, content)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror or error}); give another --out") from error
