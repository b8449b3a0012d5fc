"""The structures or compositions of a table."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pymatgen.core.structure import Structure

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, Inputs, concatenate
from crystalbench.errors import DataError
from crystalbench.tasks.columns import crystals_of_columns
from crystalbench.tasks.tables.config import StructureColumns
from crystalbench.tasks.tables.reading import Table

_ROWS_AT_ONCE = 2000
"""Number of structures that are Python objects at the same time."""
_Ids = npt.NDArray[np.str_]


def inputs_of(table: Table, columns: StructureColumns | None, composition: str | None, ids: _Ids) -> Inputs:
    """The crystals or compositions of n rows.

    Args:
        table: n rows, all with an input.
        columns: names of the columns with structures; or
        composition: name of the column with formulas.
        ids: (n,) ids.

    Raises:
        DataError: a structure or a formula cannot be read; names the id.
    """
    if columns is None:
        return Compositions.from_formulas(table.values(str(composition)), ids)
    if columns.cif is not None:
        return _in_batches(table.values(columns.cif), ids, _crystals_of_cif)
    if columns.json_ is not None:
        return _in_batches(table.values(columns.json_), ids, _crystals_of_json)
    lattice, frac_coords, numbers = (table.columns[name] for name in columns.columns)
    return crystals_of_columns(lattice, frac_coords, numbers, ids)


def _in_batches(values: Sequence[Any], ids: _Ids, convert: Callable[[Sequence[Any], _Ids], Crystals]) -> Inputs:
    starts = range(0, len(ids), _ROWS_AT_ONCE)
    return concatenate([convert(values[i : i + _ROWS_AT_ONCE], ids[i : i + _ROWS_AT_ONCE]) for i in starts])


def _crystals_of_cif(texts: Sequence[Any], ids: _Ids) -> Crystals:
    return Crystals.from_pymatgen([_structure_of_cif(text, name) for text, name in zip(texts, ids, strict=True)], ids)


def _structure_of_cif(text: Any, name: str) -> Structure:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pymatgen warns about every rounded coordinate
            return Structure.from_str(text, fmt="cif")
    except Exception as error:  # the parser raises all kinds of errors
        raise DataError(f"{name}: its CIF cannot be read ({type(error).__name__}: {error})") from error


def _crystals_of_json(values: Sequence[Any], ids: _Ids) -> Crystals:
    dicts = []
    for value, name in zip(values, ids, strict=True):
        try:
            dicts.append(json.loads(value) if isinstance(value, (str, bytes)) else value)
        except ValueError as error:
            raise DataError(f"{name}: its structure is not valid JSON ({error})") from error
    return Crystals.from_dicts(dicts, ids)
