"""The rows of a table as inputs, targets and folds, as a task file describes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crystalbench._words import counted
from crystalbench.data.checks import first_ids
from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.errors import ConfigError, DataError
from crystalbench.targets import Kind
from crystalbench.tasks.folds import checked_folds, grouped_kfold, kfold, stratified_kfold
from crystalbench.tasks.tables.config import FoldsConfig, TableConfig
from crystalbench.tasks.tables.inputs import PERIODIC, has_input, inputs_of, invalid_rows
from crystalbench.tasks.tables.labels import encode_labels, groups_of, label_problems, read_numbers
from crystalbench.tasks.tables.reading import Table, read_table
from crystalbench.tasks.tables.text import is_missing, visible
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
    table = read_table(file, config.columns, [PERIODIC] if config.structure else [])
    try:
        ids = ids_of(table, config.id)
        if not len(ids):
            raise DataError("has no rows")
        usable = _usable(table, config, ids)
        table, ids = table.taken(usable.rows), ids[usable.rows]
        inputs, remarks = usable.inputs, usable.remarks
        classes, targets = _targets_of(table, config, ids)
        if config.per_atom:
            targets = targets / (inputs.compositions() if isinstance(inputs, Crystals) else inputs).totals
        folds = _folds_of(table, config.folds, inputs, None if config.kind is Kind.REGRESSION else targets)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{task_file}: {error}") from error
    return DecodedTable(inputs, classes, targets, folds, (*remarks, *_rare_classes(classes, targets, folds)))


def _rare_classes(
    classes: tuple[str, ...], targets: npt.NDArray[np.float64], folds: npt.NDArray[np.int16]
) -> list[str]:
    """A remark on each class with fewer rows than there are folds, so that some test parts have none of it."""
    if not classes:
        return []
    counts = np.bincount(targets.astype(np.int64), minlength=len(classes)).tolist()
    k = int(folds.max()) + 1
    return [
        f"class {name} has {counted(n, 'row')}, fewer than there are folds ({k}): some test parts have none of it"
        for name, n in zip(classes, counts, strict=True)
        if n < k
    ]


@dataclass(frozen=True, eq=False)
class _Usable:
    """The rows that can be used.

    Attributes:
        rows: (n,) their numbers.
        inputs: their n inputs.
        remarks: which rows were dropped, and why.
    """

    rows: npt.NDArray[np.int64]
    inputs: Inputs
    remarks: tuple[str, ...]


def _usable(table: Table, config: TableConfig, ids: _Ids) -> _Usable:
    """The rows that are complete and valid.

    Raises:
        DataError: rows are incomplete or invalid and the task file does not say to drop them, or none is left; lists
            all of them.
    """
    values = table.values(config.target)
    problems = label_problems(values) if config.kind is not Kind.REGRESSION else read_numbers(values, config.target)[1]
    has_target = np.array([not is_missing(value) for value in values], np.bool_)
    with_input = has_input(table, config.structure, str(config.composition))
    lacking = [
        f"{int((~has).sum()):,} of {table.rows:,} rows have no {content}: {first_ids(ids[~has])}"
        for has, content in ((has_target, f"target ({config.target})"), (with_input, "structure or composition"))
        if not has.all()
    ]
    complete = np.flatnonzero(has_target & with_input)
    read = inputs_of(table.taken(complete), config.structure, config.composition, ids[complete])
    for place, problem in read.problems.items():
        row = int(complete[place])
        problems[row] = f"{problems[row]}; {problem}" if row in problems else problem
    messages = []
    if lacking and config.missing == "error":
        messages.append(f'{"; ".join(lacking)}. Complete them, or write missing = "drop" in the task file')
    kept = np.array([int(complete[place]) not in problems for place in read.rows], np.bool_)
    if problems and (config.invalid == "error" or not kept.any()):
        remedy = 'Correct them, or write invalid = "drop" in the task file to drop these rows'
        messages.append(str(invalid_rows(problems, ids, remedy)))
    if not messages and (read.inputs is None or not kept.any()):
        messages.append("has no row with a target and a structure or composition")
    if messages:
        raise DataError("\n".join(messages))
    assert read.inputs is not None  # some row is kept
    remarks = [f"dropped: {line}" for line in lacking]
    remarks += [f"dropped as invalid: {ids[row]}: {problem}" for row, problem in sorted(problems.items())]
    return _Usable(complete[read.rows][kept], read.inputs[kept], tuple(remarks))


def ids_of(table: Table, column: str | None) -> _Ids:
    """Ids of the rows, row numbers without a column of ids.

    Raises:
        DataError: an id is missing, is not a text or a number, or occurs twice.
    """
    if column is None:
        return np.arange(table.rows).astype(np.str_)
    values = table.values(column)
    if absent := [str(row) for row, value in enumerate(values) if is_missing(value)]:
        raise DataError(f"{len(absent)} rows have no id in column {column!r}: rows {first_ids(absent)}")
    if wrong := [str(row) for row, value in enumerate(values) if isinstance(value, (bool, list, dict))]:
        raise DataError(f"ids in column {column!r} must be texts or numbers, but not in the rows {first_ids(wrong)}")
    ids = np.array([str(value) for value in values], dtype=np.str_)
    shown = np.array([visible(name) for name in ids.tolist()], dtype=np.str_)  # what is not seen tells no ids apart
    distinct, counts = np.unique(shown, return_counts=True)
    if (counts > 1).any():
        repeated = first_ids(distinct[counts > 1])
        raise DataError(f"ids in column {column!r} must be unique, but these occur more than once: {repeated}")
    return ids


def _targets_of(table: Table, config: TableConfig, ids: _Ids) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    values = table.values(config.target)
    if config.kind is Kind.REGRESSION:
        return (), read_numbers(values, config.target)[0]
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
        groups = groups_of(table.values(config.group_column), inputs.ids, config.group_column)
        return grouped_kfold(groups, k, seed).astype(np.int16)
    if config.group is not None:
        cells = inputs.compositions() if isinstance(inputs, Crystals) else inputs
        names = cells.normalised_formulas() if config.group == "formula" else cells.chemical_systems()
        return grouped_kfold(np.array(names, dtype=np.str_), k, seed).astype(np.int16)
    return (kfold(n, k, seed) if labels is None else stratified_kfold(labels, k, seed)).astype(np.int16)


def _folds_of_column(table: Table, column: str) -> npt.NDArray[np.int16]:
    values = table.values(column)
    if wrong := [str(row) for row, value in enumerate(values) if isinstance(value, (list, dict))]:
        raise DataError(f"folds in column {column!r} must be numbers or texts, but not in the rows {first_ids(wrong)}")
    if set(values) == {"train", "test"}:
        return np.array([0 if value == "test" else NEVER_TESTED for value in values], np.int16)
    if any(isinstance(value, bool) for value in values):
        raise DataError(
            f"column {column!r}: true and false may be two folds or a test part; write 0 and 1, or train and test"
        )
    try:
        return checked_folds(values).astype(np.int16)
    except DataError as error:
        raise DataError(f"column {column!r}: {error} Or write train and test in every row") from error
