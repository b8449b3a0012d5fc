"""The 13 official tasks of Matbench v0.1.

A task is read from matminer's file, or from a Parquet table with some of its rows. Such a table has

* official ids in the column ``id_<short name>``, else ``id``;
* the target in ``y_<short name>``, else the official name with or without its punctuation, else ``target``;
* structures as ``lattice`` (9 numbers), ``frac_coords`` and ``numbers``, or ``composition``, else ``formula``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, Inputs, joined
from crystalbench.errors import DataError
from crystalbench.targets import Kind, Target
from crystalbench.tasks import columns as _columns
from crystalbench.tasks.matbench.fingerprint import content_fingerprint
from crystalbench.tasks.matbench.folds import official_folds, official_labels
from crystalbench.tasks.matbench.matminer_json import read_rows, without_garbage_collection
from crystalbench.tasks.matbench.official import OFFICIAL, OfficialTask, official_ids, rows_of_ids
from crystalbench.tasks.sources import DataSources
from crystalbench.tasks.store import Decoded, file_sha256, load_or_build
from crystalbench.tasks.task import Availability, Source, Task, TaskSpec

_ROWS_AT_ONCE = 250
"""Rows that are held as Python objects while a file is read."""


@dataclass(frozen=True)
class MatbenchTaskSpec(TaskSpec):
    """An official task; `official` looks its facts up."""

    @property
    def official(self) -> OfficialTask:
        """What is fixed about the task."""
        return OFFICIAL[self.name]

    @classmethod
    def of(cls, official: OfficialTask) -> MatbenchTaskSpec:
        """The spec of an official task."""
        classes = ("false", "true") if official.kind is Kind.BINARY else ()
        unit = "" if official.unit == "unitless" else official.unit
        return cls(
            name=official.name,
            target=Target(official.target, official.kind, unit, classes),
            metric=official.metric,
            has_structures=official.input == "structure",
            rows_total=official.n_samples,
            description=f"Matbench v0.1: {official.target} from {official.input}",
            license=official.license,
            reference=official.reference,
        )

    def load(self, sources: DataSources) -> Task:
        """Read the task, from its store if it was read before.

        Raises:
            DataError: the data is missing, damaged or not that of the task.
        """
        file = sources.find(self.official)
        sha256 = file_sha256(file)

        def build() -> Decoded:
            decode = _decode_table if file.name.endswith(".parquet") else _decode_official
            return decode(self, file, sha256)

        task = load_or_build(self.name, file, sha256, build)
        source = replace(task.source, name=file.name)
        return replace(task, target=self.target, metric=self.metric, source=source).limited(sources.limit)

    def availability(self, sources: DataSources) -> Availability:
        """Whether the data is at hand; reads no more than the ids of a table."""
        file = sources.locate(self.official)
        if file is None:
            return Availability(False, None, f"not in {sources.directory}")
        if not file.name.endswith(".parquet"):
            return Availability(True, self.rows_total, str(file))
        try:
            column = _id_column(self.official, pq.read_schema(file).names)
            ids = pq.read_table(file, columns=[column])[column]
        except (OSError, pa.ArrowException, DataError) as error:
            return Availability(False, None, f"{file} cannot be read ({error})")
        rows = len(ids) - ids.null_count
        others = f", {ids.null_count:,} others without an official id" if ids.null_count else ""
        return Availability(True, rows, f"{file}: {rows:,} of {self.rows_total:,} rows{others}")


TASKS: tuple[TaskSpec, ...] = tuple(MatbenchTaskSpec.of(official) for official in OFFICIAL.values())
"""The official tasks, smallest first."""


# ---------------------------------------------------------------------- matminer's file


def _decode_official(spec: MatbenchTaskSpec, file: Path, sha256: str) -> Decoded:
    official = spec.official
    inputs, targets = _read_official(official, file)
    verified = "sha256"
    if sha256 != official.sha256:
        reason = _difference(official, inputs, targets)
        if reason:
            raise DataError(
                f"{file}: is not the official data of {spec.name}: its SHA-256 is {sha256[:16]}… instead of "
                f"{official.sha256[:16]}…, and {reason}. Delete it and let CrystalBench download the official file; "
                "or, if these are data of your own, describe them in a task file (TOML) and run that"
            )
        verified = "content"
    source = Source(file.name, sha256, verified)
    folds = official_folds(spec.name).astype(np.int16)
    return Decoded(Task(spec.name, spec.target, spec.metric, inputs, targets, folds, official.n_samples, source))


def _difference(official: OfficialTask, inputs: Inputs, targets: npt.NDArray[np.float64]) -> str:
    """What tells the data from the official ones; empty if nothing does."""
    if len(inputs) != official.n_samples:
        return f"it has {len(inputs):,} rows instead of {official.n_samples:,}"
    cells = inputs.compositions() if isinstance(inputs, Crystals) else inputs
    found = content_fingerprint((cells.amounts_of(i) for i in range(len(cells))), targets)
    return (
        ""
        if found == official.fingerprint
        else "its formulas or its targets, in their order, are not the official ones"
    )


def _read_official(official: OfficialTask, file: Path) -> tuple[Inputs, npt.NDArray[np.float64]]:
    rows = read_rows(file, (official.input, official.target))
    parts: list[Inputs] = []
    targets: list[float] = []
    try:
        with without_garbage_collection():
            while batch := list(islice(rows, _ROWS_AT_ONCE)):
                names = list(_names(official, len(targets), len(batch)))
                targets.extend(_number(official, name, value) for name, (_, value) in zip(names, batch, strict=True))
                parts.append(_inputs_of(official, [value for value, _ in batch], names))
    except DataError as error:
        raise error if str(error).startswith(str(file)) else DataError(f"{file}: {error}") from error
    if not parts:
        raise DataError(f"{file}: has no rows; {official.name} has {official.n_samples:,}")
    return joined(parts), np.array(targets, np.float64)


def _names(official: OfficialTask, start: int, count: int) -> Iterator[str]:
    ids = official_ids(official.name)
    return (str(ids[row]) if row < len(ids) else f"row {row}" for row in range(start, start + count))


def _inputs_of(official: OfficialTask, values: list[Any], names: list[str]) -> Inputs:
    if official.input == "structure":
        return Crystals.from_dicts(values, names)
    return Compositions.from_formulas(values, names)


def _number(official: OfficialTask, name: str, value: Any) -> float:
    labels = official.kind is Kind.BINARY
    if value is None or value != value:
        raise DataError(f"{name}: its {official.target!r} is missing")
    if isinstance(value, bool) != labels and not (labels and value in (0, 1)):
        raise DataError(f"{name}: its {official.target!r} is {value!r}, not a {'label' if labels else 'number'}")
    if not isinstance(value, (bool, int, float)) or not np.isfinite(value):
        raise DataError(f"{name}: its {official.target!r} is {value!r}, not a finite number")
    return float(value)


# ---------------------------------------------------------------------- a table with some of the rows


def _decode_table(spec: MatbenchTaskSpec, file: Path, sha256: str) -> Decoded:
    try:
        return _decode_rows(spec, file, sha256)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: cannot be read as Parquet ({error})") from error
    except DataError as error:
        raise DataError(f"{file}: {error}") from error


def _decode_rows(spec: MatbenchTaskSpec, file: Path, sha256: str) -> Decoded:
    official = spec.official
    names = pq.read_schema(file).names
    id_column, target_column = _id_column(official, names), _target_column(official, names)
    used = _input_columns(official, names)
    wanted = [id_column, *used, *([target_column] if target_column else [])]
    table = pq.read_table(file, columns=list(dict.fromkeys(wanted)))
    total = len(table)
    table = table.filter(pc.is_valid(table[id_column]))
    if len(table) == 0:
        raise DataError(f"no row has an id of {spec.name} in column {id_column!r}")
    ids, rows = _official_rows(official, table[id_column].to_pylist(), id_column)
    order = np.argsort(rows, kind="stable")
    table, rows, ids = table.take(order), rows[order], ids[order]
    inputs: Inputs
    if official.input == "structure":
        inputs = _columns.crystals_of_columns(table[used[0]], table[used[1]], table[used[2]], ids)
    else:
        inputs = Compositions.from_formulas(table[used[0]].to_pylist(), ids)
    values = table[target_column].to_pylist() if target_column else None
    targets = _targets(official, ids, rows, values)
    folds = official_folds(spec.name)[rows].astype(np.int16)
    verified = "ids"
    if len(ids) == official.n_samples:
        # All rows stand beside the published scores, so they must be what was published.
        if reason := _difference(official, inputs, targets):
            raise DataError(f"it has all rows of {spec.name}, but {reason}; describe own data in a task file (TOML)")
        verified = "content"
    source = Source(file.name, sha256, verified)
    task = Task(spec.name, spec.target, spec.metric, inputs, targets, folds, official.n_samples, source)
    left_out = total - len(task)
    remark = f"{left_out:,} of {total:,} rows of {file.name} have no {id_column} and are left out"
    return Decoded(task, (remark,) if left_out else ())


def _official_rows(
    official: OfficialTask, given: list[str], column: str
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.intp]]:
    if official.name == "matbench_mp_is_metal" and column == "id_mp_gap":
        given = [str(name).replace("mb-mp-gap-", official.id_prefix, 1) for name in given]
    try:
        rows = rows_of_ids(official.name, given)
    except DataError as error:
        raise DataError(f"column {column!r}: {error}") from error
    return np.asarray(given, np.str_), rows


def _targets(
    official: OfficialTask, ids: npt.NDArray[np.str_], rows: npt.NDArray[np.intp], values: list[Any] | None
) -> npt.NDArray[np.float64]:
    """The targets of the table; for labels the official ones, with which those of the table must agree."""
    given = None
    if values is not None:
        given = np.array([_number(official, name, value) for name, value in zip(ids, values, strict=True)], np.float64)
    if official.kind is Kind.BINARY:
        labels = official_labels(official.name)[rows].astype(np.float64)
        if given is not None and (given != labels).any():
            raise DataError(f"the labels of {_columns.first_ids(ids[given != labels])} are not the official ones")
        return labels
    assert given is not None
    return given


def _id_column(official: OfficialTask, names: list[str]) -> str:
    choices = [f"id_{official.short}", *(["id_mp_gap"] if official.short == "mp_is_metal" else []), "id"]
    return _first(choices, names, "official ids")


def _target_column(official: OfficialTask, names: list[str]) -> str | None:
    """The column with the target; None where the official labels serve."""
    plain = re.sub(r"[^0-9A-Za-z]+", "_", official.target).strip("_")
    choices = [f"y_{official.short}", official.target, plain, "target"]
    if official.kind is Kind.BINARY:
        return next((name for name in choices if name in names), None)
    return _first(choices, names, "targets")


def _input_columns(official: OfficialTask, names: list[str]) -> list[str]:
    if official.input == "structure":
        return [_first([name], names, "structures") for name in ("lattice", "frac_coords", "numbers")]
    return [_first(["composition", "formula"], names, "compositions")]


def _first(choices: list[str], names: list[str], what: str) -> str:
    for name in choices:
        if name in names:
            return name
    raise DataError(f"has no column with the {what} ({' or '.join(choices)}); its columns are {', '.join(names)}")
