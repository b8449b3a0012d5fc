"""Submissions: predictions as files hold them, before they are checked against a task."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crystalbench.errors import ConfigError, DataError
from crystalbench.tasks.matbench.official import OFFICIAL
from crystalbench.tasks.tables.reading import distinct_keys, require_plain_text

MATBENCH_FILE = "results.json.gz"
INFO_FILE = "info.json"


@dataclass(frozen=True, eq=False)
class Submission:
    """Predictions of one model for one task, from one file.

    Attributes:
        task: name of the task.
        name: name of the entry.
        file: the file.
        sha256: its SHA-256.
        format: its format.
        ids: (n,) ids.
        values: (n,) predictions; NaN where the file has no number.
        std: (n,) predicted standard deviations, or None.
        places: (n,) where each row is in the file, for messages.
        folds: (n,) the fold that the file states for each row, or None.
        scores: scores that the file records, by fold and metric.
        labels: (n,) whether a prediction is written as true or false, or None if none is.
    """

    task: str
    name: str
    file: Path
    sha256: str
    format: Literal["matbench", "table", "csv"]
    ids: npt.NDArray[np.str_]
    values: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64] | None
    places: npt.NDArray[np.str_]
    folds: npt.NDArray[np.int64] | None = None
    scores: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    labels: npt.NDArray[np.bool_] | None = None


def files_of(path: Path) -> list[Path]:
    """Files with predictions at a path.

    Args:
        path: a file; or a folder, in which ``*.parquet`` and ``results.json.gz`` are searched, also in the folders
            directly below it other than ``labels``.

    Raises:
        DataError: there is no such file or folder, or it has no such files.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: there is no such file or folder")
    folders = [path, *sorted(child for child in path.iterdir() if child.is_dir() and child.name != "labels")]
    found = [file for folder in folders for glob in ("*.parquet", MATBENCH_FILE) for file in sorted(folder.glob(glob))]
    if not found:
        raise DataError(f"{path}: has neither *.parquet nor {MATBENCH_FILE}; name a CSV file itself, with --task")
    return found


def read_submissions(file: Path, task: str | None = None, name: str | None = None) -> list[Submission]:
    """Read all predictions of a file.

    Args:
        file: ``results.json.gz`` of the package matbench; a table ``TASK.parquet`` with the columns ``id``, perhaps
            ``fold``, and one for each model; or a CSV file with the columns ``id``, ``prediction`` and perhaps ``std``.
        task: name of the task; needed for CSV files, and for tables that are not named by an official task.
        name: name of the entry; of CSV files, the file's name by default.

    Raises:
        ConfigError: the task of a CSV file is not given, or a name is given for a file of several models.
        DataError: the file is damaged or has another layout.
    """
    sha256 = _sha256(file)
    if file.name.endswith((".json.gz", ".json")):
        if task is not None:
            raise ConfigError(f"{file}: names its tasks itself; leave out --task")
        return _read_matbench(file, sha256, name)
    if file.suffix == ".parquet":
        return _read_table(file, sha256, task, name)
    if file.suffix == ".csv":
        if task is None:
            raise ConfigError(f"{file}: give the name of its task with --task")
        return [_read_csv(file, sha256, task, name or file.stem)]
    raise DataError(f"{file}: must end in .json.gz (Matbench), .parquet or .csv")


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error})") from error


# ---------------------------------------------------------------------- results.json.gz


def _read_matbench(file: Path, sha256: str, name: str | None) -> list[Submission]:
    try:
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as stream:
            content = json.load(stream, object_pairs_hook=distinct_keys)
        tasks = dict(content["tasks"])
        results = {str(task): dict(part["results"]) for task, part in tasks.items()}
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{file}: is not a results file of the package matbench ({error!r})") from error
    title = name or _algorithm(file)
    return [_of_matbench(file, sha256, task, title, folds) for task, folds in results.items()]


def _algorithm(file: Path) -> str:
    """Name of a submission: ``algorithm`` of the ``info.json`` next to it, or else the name of the folder."""
    info = file.parent / INFO_FILE
    if not info.is_file():
        return file.resolve().parent.name
    try:
        return str(json.loads(info.read_text(encoding="utf-8"))["algorithm"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{info}: has no algorithm ({error!r}); name the entry with --name") from error


def _of_matbench(file: Path, sha256: str, task: str, name: str, folds: Mapping[str, Any]) -> Submission:
    ids: list[str] = []
    values: list[float] = []
    labels: list[bool] = []
    std: list[float] = []
    numbers: list[int] = []
    scores: dict[int, dict[str, float]] = {}
    for key, part in folds.items():
        try:
            fold, data = int(str(key).removeprefix("fold_")), dict(part["data"])
            spread = part.get("uncertainty") or {}
            stds = [(spread.get(i) or {}).get("std") for i in data]
            scores[fold] = {str(metric): float(value) for metric, value in (part.get("scores") or {}).items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{file}: {task}, {key}: is not a fold of the package matbench ({error!r})") from error
        ids += map(str, data)
        values += [_number(value) for value in data.values()]
        labels += [isinstance(value, bool) for value in data.values()]
        std += [_number(value) for value in stds]
        numbers += [fold] * len(data)
    spreads = np.array(std, np.float64)
    return Submission(
        task=task,
        name=name,
        file=file,
        sha256=sha256,
        format="matbench",
        ids=np.array(ids, np.str_),
        values=np.array(values, np.float64),
        std=None if np.isnan(spreads).all() else spreads,
        places=np.array([f"{task}, fold_{fold}" for fold in numbers], np.str_),
        folds=np.array(numbers, np.int64),
        scores=scores,
        labels=np.array(labels, np.bool_),
    )


def _number(value: Any) -> float:
    """A prediction as a number; NaN for anything else."""
    if isinstance(value, list) and len(value) == 1:  # matbench stores some deviations as lists of one number
        value = value[0]
    return float(value) if isinstance(value, bool | int | float) else np.nan


# ---------------------------------------------------------------------- tables of several models


def _read_table(file: Path, sha256: str, task: str | None, name: str | None) -> list[Submission]:
    task = task or next((t for t in (file.stem, f"matbench_{file.stem}") if t in OFFICIAL), None)
    if task is None:
        raise ConfigError(f"{file}: its name is not that of an official task; give the task with --task")
    try:
        table = pq.read_table(file).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}: cannot be read as Parquet ({error})") from error
    if "id" not in table:
        raise DataError(f"{file}: has no column id")
    models = [str(column) for column in table.columns if column not in ("id", "fold")]
    if not models:
        raise DataError(f"{file}: has no column with predictions")
    if name is not None and len(models) > 1:
        raise ConfigError(f"{file}: has {len(models)} models, which its columns name; leave out --name")
    if text := [model for model in models if table[model].dtype.kind not in "fiub"]:
        raise DataError(f"{file}: column {text[0]!r} does not hold numbers")
    places = np.array([f"row {row}" for row in range(1, len(table) + 1)], np.str_)
    if "fold" in table and table["fold"].dtype.kind not in "iu":
        raise DataError(f"{file}: column 'fold' must hold integers in every row, not {table['fold'].dtype}")
    return [
        Submission(
            task=task,
            name=name or model,
            file=file,
            sha256=sha256,
            format="table",
            ids=table["id"].to_numpy(np.str_),
            values=table[model].to_numpy(np.float64),
            std=None,
            places=places,
            folds=table["fold"].to_numpy(np.int64) if "fold" in table else None,
            labels=np.full(len(table), table[model].dtype.kind == "b"),
        )
        for model in models
    ]


# ---------------------------------------------------------------------- id,prediction[,std]


def _read_csv(file: Path, sha256: str, task: str, name: str) -> Submission:
    try:
        require_plain_text(file)
        table = pd.read_csv(file, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as CSV ({error})") from error
    known = {"id", "prediction", "std"}
    if missing := sorted({"id", "prediction"} - set(table)):
        raise DataError(
            f"{file}: has no column {', '.join(missing)}; its columns must be id, prediction and perhaps std"
        )
    if others := sorted(set(map(str, table)) - known):
        raise DataError(
            f"{file}: has the unknown column {others[0]}; its columns must be id, prediction and perhaps std"
        )
    return Submission(
        task=task,
        name=name,
        file=file,
        sha256=sha256,
        format="csv",
        ids=table["id"].to_numpy(np.str_),
        values=_numbers(table["prediction"]),
        std=_numbers(table["std"]) if "std" in table else None,
        places=np.array([f"line {line}" for line in range(2, len(table) + 2)], np.str_),
        labels=table["prediction"].str.lower().isin(("true", "false")).to_numpy(np.bool_),
    )


def _numbers(column: pd.Series) -> npt.NDArray[np.float64]:
    """Text as numbers, labels as 0 and 1; NaN for anything else."""
    labels = {"true": "1", "false": "0"}
    return pd.to_numeric(column.map(lambda text: labels.get(text.lower(), text)), errors="coerce").to_numpy(np.float64)
