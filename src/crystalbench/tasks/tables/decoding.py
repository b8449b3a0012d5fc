"""The rows of a table as inputs, targets and folds, as a task file describes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crystalbench.data.checks import first_ids
from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.errors import ConfigError, DataError
from crystalbench.targets import Kind
from crystalbench.tasks.folds import checked_folds, grouped_kfold, kfold, stratified_kfold
from crystalbench.tasks.tables.config import FoldsConfig, TableConfig
from crystalbench.tasks.tables.inputs import inputs_of, invalid_rows
from crystalbench.tasks.tables.labels import encode_labels, is_missing, numbers_of
from crystalbench.tasks.tables.reading import Table, read_table
from crystalbench.tasks.task import NEVER_TESTED

DEFAULT_K = 5
_Ids = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class DecodedTable:
    """The usable rows of a table.

    Attributes:
        inputs: n crystals or compositions, with ids.
        classes: class labels in their order; empty for regression.
        targets: (n,) targets; class numbers for classification.
        folds: (n,) fold numbers.
        remarks: which rows were dropped, and why.
    """

    inputs: Inputs
    classes: tuple[str, ...]
    targets: npt.NDArray[np.float64]
    folds: npt.NDArray[np.int16]
    remarks: tuple[str, ...]


def decode_table(file: Path, config: TableConfig, task_file: Path) -> DecodedTable:
    """Read a table as a task file describes it.

    Args:
        file: the table.
        config: the content of the task file.
        task_file: the task file, for messages.

    Raises:
        DataError: the table cannot be read, or has rows that cannot be used; names the file and the ids.
        ConfigError: the table has an unknown format, or its rows cannot be split as the task file says.
        UnknownNameError: the table lacks a column.
    """
    table = read_table(file, config.columns)
    try:
        ids = ids_of(table, config.id)
        index, remarks = _usable(table, config, ids)
        table, ids = table.taken(index), ids[index]
        index, dropped = _with_finite_targets(table, config, ids)
        table, ids, remarks = table.taken(index), ids[index], remarks + dropped
        if not len(ids):
            raise DataError("has no rows")
        inputs, kept, dropped = _valid_inputs(table, config, ids)
        table, ids, remarks = table.taken(kept), ids[kept], remarks + dropped
        classes, targets = _targets_of(table, config, ids)
        if config.per_atom:
            targets = targets / (inputs.compositions() if isinstance(inputs, Crystals) else inputs).totals
        folds = _folds_of(table, config.folds, inputs, None if config.kind is Kind.REGRESSION else targets)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{task_file}: {error}") from error
    return DecodedTable(inputs, classes, targets, folds, remarks)


def _valid_inputs(
    table: Table, config: TableConfig, ids: _Ids
) -> tuple[Inputs, npt.NDArray[np.int64], tuple[str, ...]]:
    """The inputs of the valid rows, their row numbers, and remarks about rows that are dropped.

    Raises:
        DataError: rows are invalid and the task file does not say to drop them, or no row is valid; lists all of them.
    """
    read = inputs_of(table, config.structure, config.composition, ids)
    if read.problems and (config.invalid == "error" or read.inputs is None):
        raise invalid_rows(read, ids, 'Correct them, or write invalid = "drop" in the task file to drop these rows')
    assert read.inputs is not None
    dropped = sorted(read.problems.items())
    return read.inputs, read.rows, tuple(f"dropped as invalid: {ids[row]}: {problem}" for row, problem in dropped)


def ids_of(table: Table, column: str | None) -> _Ids:
    """Ids of the rows, row numbers without a column of ids.

    Raises:
        DataError: an id is missing or occurs twice.
    """
    if column is None:
        return np.arange(table.rows).astype(np.str_)
    values = table.values(column)
    if absent := [str(row) for row, value in enumerate(values) if is_missing(value)]:
        raise DataError(f"{len(absent)} rows have no id in column {column!r}: rows {first_ids(absent)}")
    ids = np.array([str(value) for value in values], dtype=np.str_)
    distinct, counts = np.unique(np.char.strip(ids), return_counts=True)  # blanks at the ends tell no ids apart
    if (counts > 1).any():
        repeated = first_ids(distinct[counts > 1])
        raise DataError(f"ids in column {column!r} must be unique, but these occur more than once: {repeated}")
    return ids


def _usable(table: Table, config: TableConfig, ids: _Ids) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Rows that have an input and a target, and remarks about the others."""
    has_input = np.logical_and.reduce([table.present(name) for name in config.input_columns])
    if config.kind is Kind.REGRESSION:
        has_target = ~np.isnan(numbers_of(table.values(config.target), ids, config.target))
    else:
        has_target = np.array([not is_missing(value) for value in table.values(config.target)], np.bool_)
    usable = has_input & has_target
    if usable.all():
        return np.arange(table.rows), ()
    lacking = [
        f"{int((~has).sum()):,} of {table.rows:,} rows have no {content}: {first_ids(ids[~has])}"
        for has, content in ((has_target, f"target ({config.target})"), (has_input, "structure or composition"))
        if not has.all()
    ]
    if config.missing == "error":
        raise DataError(f'{"; ".join(lacking)}. Complete them, or write missing = "drop" in the task file')
    return np.flatnonzero(usable), tuple(f"dropped: {line}" for line in lacking)


def _with_finite_targets(table: Table, config: TableConfig, ids: _Ids) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Rows whose targets are finite, and remarks about the others if the task file says to drop invalid rows.

    Infinite targets that are not dropped are left to the checks of the task, which refuse them.
    """
    everything = np.arange(table.rows), ()
    if config.kind is not Kind.REGRESSION or config.invalid != "drop":
        return everything
    finite = np.isfinite(numbers_of(table.values(config.target), ids, config.target))
    if finite.all():
        return everything
    return np.flatnonzero(finite), tuple(
        f"dropped as invalid: {name}: its {config.target!r} is not finite" for name in ids[~finite]
    )


def _targets_of(table: Table, config: TableConfig, ids: _Ids) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    values = table.values(config.target)
    if config.kind is Kind.REGRESSION:
        return (), numbers_of(values, ids, config.target)
    classes, targets = encode_labels(values, ids)
    if config.kind is Kind.BINARY and len(classes) != 2:
        hint = '; write kind = "multiclass"' if len(classes) > 2 else ""
        raise DataError(f"a binary target has two classes, but {config.target!r} has {', '.join(classes)}{hint}")
    if len(classes) < 2:
        raise DataError(f"all rows have the same {config.target!r} ({classes[0]}), so there is nothing to predict")
    return classes, targets


def _folds_of(
    table: Table, config: FoldsConfig, inputs: Inputs, labels: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.int16]:
    n, k, seed = len(inputs), config.k or DEFAULT_K, config.seed
    if config.column is not None:
        return _folds_of_column(table, config.column)
    if config.group_column is not None:
        values = [value.strip() if isinstance(value, str) else value for value in table.values(config.group_column)]
        groups = np.array([None if is_missing(value) else value for value in values], dtype=object)
        return grouped_kfold(groups, k, seed).astype(np.int16)
    if config.group is not None:
        cells = inputs.compositions() if isinstance(inputs, Crystals) else inputs
        names = cells.normalised_formulas() if config.group == "formula" else cells.chemical_systems()
        return grouped_kfold(np.array(names, dtype=np.str_), k, seed).astype(np.int16)
    return (kfold(n, k, seed) if labels is None else stratified_kfold(labels, k, seed)).astype(np.int16)


def _folds_of_column(table: Table, column: str) -> npt.NDArray[np.int16]:
    values = table.values(column)
    if set(values) == {"train", "test"}:
        return np.array([0 if value == "test" else NEVER_TESTED for value in values], np.int16)
    try:
        return checked_folds(values).astype(np.int16)
    except DataError as error:
        raise DataError(f"column {column!r}: {error} Or write train and test in every row") from error
