"""The structures or compositions of a table, and what is wrong with the rows that have none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, Inputs, concatenate
from crystalbench.data.distances import implausible
from crystalbench.data.sites import require_periodic
from crystalbench.errors import DataError
from crystalbench.tasks.cif import structure_of_cif
from crystalbench.tasks.columns import crystals_of_columns
from crystalbench.tasks.tables.config import StructureColumns
from crystalbench.tasks.tables.reading import Table, distinct_keys
from crystalbench.tasks.tables.text import is_missing

_ROWS_AT_ONCE = 2000
"""Number of structures that are Python objects at the same time."""

PERIODIC = "pbc"
"""A column of this name, beside one with structures, says in which of the three directions each is periodic."""

_Ids = npt.NDArray[np.str_]
_Convert = Callable[[npt.NDArray[np.int64]], Inputs]


@dataclass(frozen=True, eq=False)
class ReadInputs:
    """What could be read of n rows.

    Attributes:
        inputs: crystals or compositions of the valid rows; None if no row is valid.
        rows: (valid,) their row numbers.
        problems: what is wrong with each other row, by row number.
    """

    inputs: Inputs | None
    rows: npt.NDArray[np.int64]
    problems: dict[int, str]


SHOWN_PROBLEMS = 20
"""Invalid rows that a message lists before it only counts."""


def invalid_rows(problems: Mapping[int, str], ids: npt.NDArray[np.str_], remedy: str) -> DataError:
    """The error for rows that could not be read; lists all of them, up to a limit.

    Args:
        problems: what is wrong, by row.
        ids: (n,) ids of all rows.
        remedy: what to do.
    """
    lines = [f"{ids[row]}: {problem}" for row, problem in sorted(problems.items())]
    more = f"\n  and {len(lines) - SHOWN_PROBLEMS:,} more" if len(lines) > SHOWN_PROBLEMS else ""
    listing = "\n  ".join(lines[:SHOWN_PROBLEMS])
    return DataError(f"{len(lines):,} of {len(ids):,} rows are invalid:\n  {listing}{more}\n{remedy}")


def has_input(table: Table, columns: StructureColumns | None, composition: str) -> npt.NDArray[np.bool_]:
    """(n,) whether each row has a structure or a composition; texts such as ``NA`` and ``null`` are missing.

    Args:
        table: n rows.
        columns: names of the columns with structures; or
        composition: name of the column with formulas.
    """
    if columns is not None and columns.lattice is not None:
        return np.asarray(np.all([table.present(name) for name in columns.columns], axis=0))
    if columns is not None:
        values = table.values(columns.columns[0])
        return np.array([not is_missing(value) for value in values], np.bool_)
    return np.array([not is_missing(value) or _is_formula(value) for value in table.values(composition)], np.bool_)


def _is_formula(value: Any) -> bool:
    """Whether a text that usually stands for a missing value may also be a formula: ``Na`` and ``NaN``."""
    return isinstance(value, str) and value.strip() in ("Na", "NaN")


def inputs_of(table: Table, columns: StructureColumns | None, composition: str | None, ids: _Ids) -> ReadInputs:
    """Read the crystals or compositions of n rows.

    Args:
        table: n rows, all with an input.
        columns: names of the columns with structures; or
        composition: name of the column with formulas.
        ids: (n,) ids.
    """
    if columns is None:
        formulas = table.values(str(composition))
        return _read(lambda rows: Compositions.from_formulas([formulas[i] for i in rows], ids[rows]), ids)
    if columns.cif is not None or columns.json_ is not None:
        values = table.values(columns.columns[0])
        convert = _crystals_of_cif if columns.cif is not None else _crystals_of_json
        read = _read(lambda rows: convert([values[i] for i in rows], ids[rows]), ids)
        return _checked(_without(read, _not_periodic(table)))
    flat = [table.columns[name] for name in columns.columns]

    def crystals(rows: npt.NDArray[np.int64]) -> Crystals:
        lattice, frac_coords, numbers = (_at(column, rows) for column in flat)
        return crystals_of_columns(lattice, frac_coords, numbers, ids[rows])

    return _checked(_without(_read(crystals, ids), _not_periodic(table)))


def _at(column: Any, rows: npt.NDArray[np.int64]) -> Any:
    return column.take(pa.array(rows)) if isinstance(column, pa.ChunkedArray) else [column[i] for i in rows]


def _read(convert: _Convert, ids: _Ids) -> ReadInputs:
    """Convert many rows at once, and those of a batch with a problem one by one, to find all problems."""
    parts: list[Inputs] = []
    valid: list[int] = []
    problems: dict[int, str] = {}
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        batch = np.arange(start, min(start + _ROWS_AT_ONCE, len(ids)))
        try:
            parts.append(convert(batch))
            valid += batch.tolist()
        except DataError:
            for row in batch:
                try:
                    parts.append(convert(np.array([row])))
                    valid.append(int(row))
                except DataError as error:
                    problems[int(row)] = str(error).removeprefix(f"{ids[row]}: ")
    return ReadInputs(concatenate(parts) if parts else None, np.array(valid, dtype=np.int64), problems)


def _not_periodic(table: Table) -> dict[int, str]:
    """What is wrong with the rows that are not periodic in all directions by a column of their own."""
    problems: dict[int, str] = {}
    for row, value in enumerate(table.values(PERIODIC) if PERIODIC in table.columns else []):
        if is_missing(value):
            continue
        try:
            require_periodic(json.loads(value.lower()) if isinstance(value, str) else value)
        except json.JSONDecodeError:
            problems[row] = f"pbc = {value!r} must be a list of three booleans"
        except ValueError as error:
            problems[row] = str(error)
    return problems


def _checked(read: ReadInputs) -> ReadInputs:
    """The same without crystals in which atoms are impossibly close."""
    if not isinstance(read.inputs, Crystals):
        return read
    return _without(read, {int(read.rows[k]): problem for k, problem in implausible(read.inputs)})


def _without(read: ReadInputs, problems: Mapping[int, str]) -> ReadInputs:
    """The same without rows that have further problems."""
    found = {row: problem for row, problem in problems.items() if row not in read.problems}
    if not found or read.inputs is None:
        return read
    kept = np.array([int(row) not in found for row in read.rows])
    return ReadInputs(read.inputs[kept] if kept.any() else None, read.rows[kept], read.problems | found)


def _crystals_of_cif(texts: Sequence[Any], ids: _Ids) -> Crystals:
    structures = []
    for text, name in zip(texts, ids, strict=True):
        try:
            structures.append(structure_of_cif(text))
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
    return Crystals.from_pymatgen(structures, ids)


_distinct = partial(distinct_keys, what="keys")


def _crystals_of_json(values: Sequence[Any], ids: _Ids) -> Crystals:
    dicts = []
    for value, name in zip(values, ids, strict=True):
        try:
            is_text = isinstance(value, (str, bytes))
            dicts.append(json.loads(value, object_pairs_hook=_distinct) if is_text else value)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{name}: its structure is not valid JSON ({error})") from error
    return Crystals.from_dicts(dicts, ids)
