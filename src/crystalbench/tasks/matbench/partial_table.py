"""Read a Parquet table with some or all rows of an official task, identified by their official ids.

The columns are

* the official id in ``id_<short name>``, or else ``id``;
* the target in ``y_<short name>``, or else the official name with or without its punctuation, or else ``target``;
* structures in ``lattice`` (9 numbers), ``frac_coords`` and ``numbers``; compositions in ``composition``, or else
  ``formula``.

A table without any of the columns of structures has the compositions of the cells. That is enough for the models that
see nothing else; others are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crystalbench.data.checks import first_ids
from crystalbench.data.crystals import Inputs
from crystalbench.errors import DataError
from crystalbench.targets import Kind
from crystalbench.tasks.matbench.folds import official_labels
from crystalbench.tasks.matbench.official import rows_of_ids
from crystalbench.tasks.matbench.official_table import OfficialTask
from crystalbench.tasks.matbench.rows import difference, target_values
from crystalbench.tasks.tables.config import StructureColumns
from crystalbench.tasks.tables.inputs import SHOWN_PROBLEMS, inputs_of
from crystalbench.tasks.tables.reading import Table

_STRUCTURE = ("lattice", "frac_coords", "numbers")
_COMPOSITION = ("composition", "formula")


@dataclass(frozen=True, eq=False)
class PartialTable:
    """Rows of an official task, in official order.

    Attributes:
        inputs: n crystals or compositions with their official ids.
        targets: (n,) targets.
        rows: (n,) official row numbers.
        verified: ``"ids"``, or ``"content"`` if the table has all rows and they equal the official ones.
        remarks: which rows of the table were skipped, and that it has no structures.
    """

    inputs: Inputs
    targets: npt.NDArray[np.float64]
    rows: npt.NDArray[np.intp]
    verified: str
    remarks: tuple[str, ...] = ()


def read_partial_table(official: OfficialTask, file: Path) -> PartialTable:
    """Read a table; rows without an official id are skipped.

    Raises:
        DataError: the file is damaged, a column is missing, or a row is not one of the task; names the file and the id.
    """
    try:
        return _read(official, file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: cannot be read as Parquet ({error})") from error
    except DataError as error:
        raise DataError(f"{file}: {error}") from error


def count_rows(official: OfficialTask, file: Path) -> tuple[int, int]:
    """The numbers of rows with and without an official id; reads nothing but the ids.

    Raises:
        DataError: the file is damaged, or it has no column with ids.
    """
    try:
        column = _id_column(official, pq.read_schema(file).names)
        ids = pq.read_table(file, columns=[column])[column]
    except (pa.ArrowException, OSError, DataError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from error
    return len(ids) - ids.null_count, ids.null_count


def table_has_structures(official: OfficialTask, file: Path) -> bool:
    """Whether a table is read by its structures; for one that cannot be read, whether the task has structures."""
    try:
        columns = pq.read_schema(file).names
    except (pa.ArrowException, OSError):
        return official.input == "structure"
    return _reads_structures(official, columns)


def _read(official: OfficialTask, file: Path) -> PartialTable:
    columns = pq.read_schema(file).names
    id_column, target_column = _id_column(official, columns), _target_column(official, columns)
    input_columns = _input_columns(official, columns)
    used = [id_column, *input_columns, *([target_column] if target_column else [])]
    table = pq.read_table(file, columns=list(dict.fromkeys(used)))
    total = len(table)
    table = table.filter(pc.is_valid(table[id_column]))
    if len(table) == 0:
        raise DataError(f"no row has an id of {official.name} in column {id_column!r}")
    ids, rows = _official_rows(official, table[id_column].to_pylist(), id_column)
    order = np.argsort(rows, kind="stable")
    table, rows, ids = table.take(order), rows[order], ids[order]
    inputs = _inputs(official, file, table, input_columns, ids)
    targets = _targets(official, table[target_column] if target_column else None, ids, rows)
    verified = "ids"
    if len(ids) == official.n_samples:
        # The results of a complete table appear next to published scores, so it must be the published data.
        if problem := difference(official, inputs, targets):
            raise DataError(
                f"it has all rows of {official.name}, but {problem}; describe data of your own in a task file (TOML)"
            )
        verified = "content"
    remarks = []
    if skipped := total - len(ids):
        remarks.append(f"{skipped:,} of {total:,} rows of {file.name} have no {id_column} and are skipped")
    if official.input == "structure" and input_columns[0] not in _STRUCTURE:
        remarks.append(f"{file.name} has compositions only, so models that need structures are left out")
    return PartialTable(inputs, targets, rows, verified, tuple(remarks))


def _official_rows(
    official: OfficialTask, ids: list[str], column: str
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.intp]]:
    if official.name == "matbench_mp_is_metal" and column == "id_mp_gap":
        ids = [str(name).replace("mb-mp-gap-", official.id_prefix, 1) for name in ids]
    try:
        rows = rows_of_ids(official.name, ids)
    except DataError as error:
        raise DataError(f"column {column!r}: {error}") from error
    return np.asarray(ids, np.str_), rows


def _inputs(
    official: OfficialTask, file: Path, table: pa.Table, columns: list[str], ids: npt.NDArray[np.str_]
) -> Inputs:
    """The inputs of all rows.

    Raises:
        DataError: some are invalid; lists them.
    """
    rows = Table(file, len(ids), {name: table[name] for name in columns})
    structure = StructureColumns(**{name: name for name in columns}) if columns[0] in _STRUCTURE else None
    read = inputs_of(rows, structure, columns[0], ids)
    if read.problems or read.inputs is None:
        problems = [f"{ids[row]}: {problem}" for row, problem in sorted(read.problems.items())]
        raise DataError(first_ids(problems, SHOWN_PROBLEMS))
    return read.inputs


def _targets(
    official: OfficialTask, column: pa.ChunkedArray | None, ids: npt.NDArray[np.str_], rows: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """The targets in the table; for classification the official labels, which those in the table must equal."""
    values = None if column is None else target_values(official, ids, column.to_pylist())
    if official.kind is Kind.BINARY:
        labels = official_labels(official.name)[rows].astype(np.float64)
        if values is not None and (values != labels).any():
            raise DataError(f"the labels of {first_ids(ids[values != labels])} are not the official ones")
        return labels
    assert values is not None  # _target_column raises for a regression without targets
    return values


def _id_column(official: OfficialTask, columns: list[str]) -> str:
    choices = [f"id_{official.short}", *(["id_mp_gap"] if official.short == "mp_is_metal" else []), "id"]
    return _first(choices, columns, "official ids")


def _target_column(official: OfficialTask, columns: list[str]) -> str | None:
    """The column with the targets; None if there is none and the official labels are used."""
    plain = re.sub(r"[^0-9A-Za-z]+", "_", official.target).strip("_")
    choices = [f"y_{official.short}", official.target, plain, "target"]
    if official.kind is Kind.BINARY:
        return next((name for name in choices if name in columns), None)
    return _first(choices, columns, "targets")


def _input_columns(official: OfficialTask, columns: list[str]) -> list[str]:
    """The columns with the structures, or the one with the compositions if these are asked for or are all there is."""
    if _reads_structures(official, columns):
        return [_first([name], columns, "structures") for name in _STRUCTURE]
    return [_first(list(_COMPOSITION), columns, "compositions")]


def _reads_structures(official: OfficialTask, columns: list[str]) -> bool:
    if official.input != "structure":
        return False
    return any(name in columns for name in _STRUCTURE) or not any(name in columns for name in _COMPOSITION)


def _first(choices: list[str], columns: list[str], content: str) -> str:
    for name in choices:
        if name in columns:
            return name
    names = " or ".join(dict.fromkeys(choices))
    raise DataError(f"has no column with the {content} ({names}); its columns are {', '.join(columns)}")
