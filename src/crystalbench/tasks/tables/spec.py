"""A data set of the user's own as a task, described by a TOML file.

Example of a task file::

    name = "my_gaps"
    table = "gaps.parquet"
    id = "material_id"
    structure = { cif = "cif" }
    target = "gap"
    unit = "eV"
    kind = "regression"

    [folds]
    k = 5
    group = "formula"
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pymatgen.core.structure import Structure

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, Inputs, joined
from crystalbench.errors import ConfigError, DataError
from crystalbench.targets import Kind, Target, main_metric
from crystalbench.tasks import columns as _columns
from crystalbench.tasks.folds import given_folds, grouped_kfold, kfold, stratified_kfold
from crystalbench.tasks.sources import DataSources
from crystalbench.tasks.store import Decoded, file_sha256, load_or_build
from crystalbench.tasks.tables.config import FoldsConfig, StructureColumns, TableConfig, read_config
from crystalbench.tasks.tables.labels import encode_labels, numbers_of
from crystalbench.tasks.tables.reading import Table, read_table, rows_of_table
from crystalbench.tasks.task import NEVER_TESTED, Availability, Source, Task, TaskSpec

DEFAULT_K = 5
_ROWS_AT_ONCE = 2000
_Ids = npt.NDArray[np.str_]


@dataclass(frozen=True)
class TableTaskSpec(TaskSpec):
    """A task of the user's own; the classes of its target, and its rows unless the table is Parquet, show on loading.

    Attributes:
        file: the task file.
        config: its content.
    """

    file: Path = Path()
    config: TableConfig | None = None

    @classmethod
    def from_toml(cls, path: Path | str) -> TableTaskSpec:
        """Read a task file.

        Raises:
            ConfigError: the file is missing or has mistakes; lists all of them.
        """
        file = Path(path).expanduser()
        config = read_config(file)
        return cls(
            name=config.name,
            target=Target(config.property_name, config.kind, config.unit),
            metric=config.metric or main_metric(config.kind).name,
            has_structures=config.structure is not None,
            rows_total=rows_of_table(file.parent / Path(config.table).expanduser()) or 0,
            description=config.description or f"{config.property_name} of {Path(config.table).name}",
            license=config.license,
            reference=config.reference,
            file=file,
            config=config,
        )

    @property
    def table(self) -> Path:
        """The file with the rows that the task file names."""
        return self.file.parent / Path(self._config.table).expanduser()

    def table_of(self, sources: DataSources) -> Path:
        """The file with the rows: the one given for this task (``--data``), else the one that the task file names."""
        given = sources.files.get(self.name)
        return self.table if given is None else Path(given).expanduser()

    @property
    def _config(self) -> TableConfig:
        if self.config is None:
            raise ConfigError(f"{self.name}: make it with TableTaskSpec.from_toml")
        return self.config

    def load(self, sources: DataSources) -> Task:
        """Read the task, from its store if it was read before.

        Raises:
            DataError: the table is missing, damaged, or has rows that cannot be used; names them.
            ConfigError: the task file does not fit the table.
        """
        table = self.table_of(sources)
        if not table.is_file():
            named = "--data" if self.name in sources.files else self.file
            raise DataError(f"{table}: there is no such table; {named} names it{self._how_to_name(sources)}")
        source = Source(table.name, file_sha256(table), "user", self.file.name)
        key = hashlib.sha256(f"{source.sha256} {file_sha256(self.file)}".encode()).hexdigest()
        task = load_or_build(self.name, table, key, lambda: self._decoded(table, source))
        # A store does not know the name of the task file, nor under which name its table was given this time.
        return replace(task, source=source).limited(sources.limit)

    def availability(self, sources: DataSources) -> Availability:
        """Whether the table is there."""
        table = self.table_of(sources)
        if table.is_file():
            return Availability(True, rows_of_table(table), str(table))
        return Availability(False, None, f"there is no {table}{self._how_to_name(sources)}")

    def _how_to_name(self, sources: DataSources) -> str:
        return "" if self.name in sources.files else f"; put it there, or name the table with --data {self.name}=PATH"

    def _decoded(self, file: Path, source: Source) -> Decoded:
        config = self._config
        table = read_table(file, config.columns)
        try:
            ids = _ids_of(table, config.id)
            index, remarks = _usable(table, config, ids)
            table, ids = table.taken(index), ids[index]
            if not len(ids):
                raise DataError("has no rows")
            inputs = _inputs_of(table, config.structure, config.composition, ids)
            classes, targets = _targets_of(table, config, ids)
            if config.per_atom:
                targets = targets / (inputs.compositions() if isinstance(inputs, Crystals) else inputs).totals
            folds = _folds_of(table, config.folds, inputs, None if config.kind is Kind.REGRESSION else targets)
        except DataError as error:
            raise DataError(f"{file}: {error}") from error
        except ConfigError as error:
            raise ConfigError(f"{self.file}: {error}") from error
        target = Target(config.property_name, config.kind, config.unit, classes)
        return Decoded(Task(self.name, target, self.metric, inputs, targets, folds, len(ids), source), remarks)


def _ids_of(table: Table, column: str | None) -> _Ids:
    if column is None:
        return np.arange(table.rows).astype(np.str_)
    values = table.values(column)
    if absent := [str(row) for row, value in enumerate(values) if value is None]:
        raise DataError(f"{len(absent)} rows have no id in column {column!r}: rows {_columns.first_ids(absent)}")
    ids = np.array([str(value) for value in values], dtype=np.str_)
    distinct, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        twice = _columns.first_ids(distinct[counts > 1])
        raise DataError(f"ids in column {column!r} must be unique, but these occur more than once: {twice}")
    return ids


def _usable(table: Table, config: TableConfig, ids: _Ids) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Rows that have an input and a target, and what to tell about the others."""
    has_input = np.logical_and.reduce([table.present(name) for name in config.input_columns])
    if config.kind is Kind.REGRESSION:
        has_target = ~np.isnan(numbers_of(table.values(config.target), ids, config.target))
    else:
        has_target = np.array([value is not None for value in table.values(config.target)], np.bool_)
    usable = has_input & has_target
    if usable.all():
        return np.arange(table.rows), ()
    lacking = [
        f"{int((~has).sum()):,} of {table.rows:,} rows have no {what}: {_columns.first_ids(ids[~has])}"
        for has, what in ((has_target, f"target ({config.target})"), (has_input, "structure or composition"))
        if not has.all()
    ]
    if config.missing == "error":
        raise DataError(f'{"; ".join(lacking)}. Complete them, or write missing = "drop" in the task file')
    return np.flatnonzero(usable), tuple(f"left out: {line}" for line in lacking)


def _inputs_of(table: Table, names: StructureColumns | None, composition: str | None, ids: _Ids) -> Inputs:
    if names is None:
        return Compositions.from_formulas(table.values(str(composition)), ids)
    if names.cif is not None:
        return _in_batches(table.values(names.cif), ids, _crystals_of_cif)
    if names.json_ is not None:
        return _in_batches(table.values(names.json_), ids, _crystals_of_json)
    lattice, frac_coords, numbers = (table.columns[name] for name in names.columns)
    return _columns.crystals_of_columns(lattice, frac_coords, numbers, ids)


def _in_batches(values: Sequence[Any], ids: _Ids, convert: Callable[[Sequence[Any], _Ids], Crystals]) -> Inputs:
    starts = range(0, len(ids), _ROWS_AT_ONCE)
    return joined([convert(values[i : i + _ROWS_AT_ONCE], ids[i : i + _ROWS_AT_ONCE]) for i in starts])


def _crystals_of_cif(texts: Sequence[Any], ids: _Ids) -> Crystals:
    return Crystals.from_pymatgen([_structure_of_cif(text, name) for text, name in zip(texts, ids, strict=True)], ids)


def _structure_of_cif(text: Any, name: str) -> Structure:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pymatgen tells of every rounded coordinate
            return Structure.from_str(text, fmt="cif")
    except Exception as error:  # the parser raises whatever it stumbles over
        raise DataError(f"{name}: its CIF cannot be read ({type(error).__name__}: {error})") from error


def _crystals_of_json(values: Sequence[Any], ids: _Ids) -> Crystals:
    dicts = []
    for value, name in zip(values, ids, strict=True):
        try:
            dicts.append(json.loads(value) if isinstance(value, (str, bytes)) else value)
        except ValueError as error:
            raise DataError(f"{name}: its structure is not valid JSON ({error})") from error
    return Crystals.from_dicts(dicts, ids)


def _targets_of(table: Table, config: TableConfig, ids: _Ids) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    values = table.values(config.target)
    if config.kind is Kind.REGRESSION:
        return (), numbers_of(values, ids, config.target)
    classes, targets = encode_labels(values, ids)
    if config.kind is Kind.BINARY and len(classes) != 2:
        hint = '; write kind = "multiclass"' if len(classes) > 2 else ""
        raise DataError(f"a binary target has two classes, but {config.target!r} has {', '.join(classes)}{hint}")
    if len(classes) < 2:
        raise DataError(f"all rows have the same {config.target!r} ({classes[0]}); there is nothing to predict")
    return classes, targets


def _folds_of(
    table: Table, config: FoldsConfig, inputs: Inputs, labels: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.int16]:
    n, k, seed = len(inputs), config.k or DEFAULT_K, config.seed
    if config.column is not None:
        return _folds_of_column(table, config.column)
    if config.group_column is not None:
        groups = np.array(table.values(config.group_column), dtype=object)
        return grouped_kfold(groups, k, seed).astype(np.int16)
    if config.group is not None:
        cells = inputs.compositions() if isinstance(inputs, Crystals) else inputs
        named = cells.reduced_formulas() if config.group == "formula" else cells.chemical_systems()
        return grouped_kfold(np.array(named, dtype=np.str_), k, seed).astype(np.int16)
    return (kfold(n, k, seed) if labels is None else stratified_kfold(labels, k, seed)).astype(np.int16)


def _folds_of_column(table: Table, column: str) -> npt.NDArray[np.int16]:
    values = table.values(column)
    if set(values) == {"train", "test"}:
        return np.array([0 if value == "test" else NEVER_TESTED for value in values], np.int16)
    try:
        return given_folds(values).astype(np.int16)
    except DataError as error:
        raise DataError(f"column {column!r}: {error} Or write train and test in every row") from error
