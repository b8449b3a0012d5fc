"""Inputs to predict: structure files, formulas, or a table, without targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, Inputs, concatenate
from crystalbench.data.distances import implausible
from crystalbench.errors import ConfigError, DataError
from crystalbench.tasks.structure_files import structure_of_file
from crystalbench.tasks.tables.config import StructureColumns
from crystalbench.tasks.tables.decoding import ids_of
from crystalbench.tasks.tables.inputs import PERIODIC, has_input, inputs_of, invalid_rows
from crystalbench.tasks.tables.reading import TABLE_SUFFIXES, column_names, read_table

USUAL_COLUMNS: tuple[Mapping[str, Any], ...] = (
    {"structure": {"cif": "cif"}},
    {"structure": {"json": "structure"}},
    {"structure": {"lattice": "lattice", "frac_coords": "frac_coords", "numbers": "numbers"}},
    {"composition": "composition"},
    {"composition": "formula"},
)
"""Columns that are looked for, in this order, in a table whose columns are not named."""


def as_inputs(inputs: Inputs | str | Structure | Iterable[str | Structure]) -> Inputs:
    """Crystals or compositions from pymatgen structures or formulas, or as they are given.

    The ids of formulas are the formulas; those of structures are 0, 1, ...

    Raises:
        DataError: there is nothing, something else is given, formulas and structures are mixed, or some are invalid;
            names all of them.
    """
    if isinstance(inputs, Crystals | Compositions):
        return inputs
    is_one = isinstance(inputs, str | bytes | Structure | Mapping) or not isinstance(inputs, Iterable)
    items: list[Any] = [inputs] if is_one else list(inputs)
    if not items:
        raise DataError("there is nothing to predict; give structures or formulas")
    if all(isinstance(item, str) for item in items):
        return formulas([str(item) for item in items])
    if not all(isinstance(item, Structure) for item in items):
        kinds = ", ".join(sorted({type(item).__name__ for item in items}))
        raise DataError(f"give Crystals, Compositions, pymatgen structures or formulas, not {kinds}")
    rows = [str(row) for row in range(len(items))]
    return _crystals(items, rows, [f"structure {row}" for row in rows], lambda item: item)


def read_inputs(files: Sequence[Path], columns: Mapping[str, Any] | None = None) -> Inputs:
    """Read crystals or compositions.

    Args:
        files: structure files that pymatgen reads (CIF, POSCAR, ...), or one table (Parquet, CSV or JSON).
        columns: names of the columns of a table, as in a task file: ``id``, and ``structure`` or ``composition``;
            by default the usual names.

    Returns:
        n crystals or compositions. The id of a structure file is its name without the suffix.

    Raises:
        DataError: files are missing or cannot be read, or two have the same name; names them.
        ConfigError: there is no file, or tables and structure files are mixed.
    """
    if not files:
        raise ConfigError("give structure files, or a table with structures or compositions")
    if absent := [str(file) for file in files if not file.is_file()]:
        raise DataError("\n".join(f"{file}: there is no such file" for file in absent))
    tables = [file for file in files if file.name.endswith(TABLE_SUFFIXES)]
    if not tables:
        return _read_structures(files)
    if len(files) > 1:
        raise ConfigError(f"{tables[0]}: give one table alone, or structure files alone")
    return _read_table(tables[0], columns)


def _read_structures(files: Sequence[Path]) -> Crystals:
    names = [file.stem for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"several files are named {twice[0]!r}, which would be the id of each; rename them")
    return _crystals(files, names, [str(file) for file in files], structure_of_file)


def _crystals(
    items: Sequence[Any], ids: Sequence[str], places: Sequence[str], read: Callable[[Any], Structure]
) -> Crystals:
    """Read structures one by one, to find all problems.

    Args:
        items: at least one file or structure.
        ids: their ids.
        places: what messages call them.
        read: makes a structure of an item.

    Raises:
        DataError: some are invalid; a line for each.
    """
    crystals: list[Crystals] = []
    problems: list[str] = []
    for item, name, place in zip(items, ids, places, strict=True):
        try:
            crystal = Crystals.from_pymatgen([read(item)], [name])
            found = [problem for _, problem in implausible(crystal)]
        except DataError as error:
            found = [str(error).removeprefix(f"{name}: ")]
        crystals += [] if found else [crystal]
        problems += [f"{place}: {problem}" for problem in found]
    if problems:
        raise DataError("\n".join(problems))
    return concatenate(crystals)


def _read_table(file: Path, columns: Mapping[str, Any] | None) -> Inputs:
    names = column_names(file)
    chosen = dict(columns or {})
    if not chosen.get("structure") and not chosen.get("composition"):
        chosen = {**_usual_columns(file, names), **chosen}
    structure = StructureColumns.model_validate(chosen["structure"]) if chosen.get("structure") else None
    composition = str(chosen.get("composition", ""))
    identifier = chosen.get("id") or ("id" if "id" in names else None)
    used = structure.columns if structure else [composition]
    wanted = list(dict.fromkeys([*([identifier] if identifier else []), *used]))
    table = read_table(file, wanted, [PERIODIC] if structure else [])
    try:
        ids = ids_of(table, identifier)
        if not len(ids):
            raise DataError("has no rows")
        missing = ~has_input(table, structure, composition)
        if missing.any():
            raise DataError(f"{int(missing.sum())} rows have no structure or composition, first {ids[missing][0]}")
        read = inputs_of(table, structure, composition, ids)
        if read.problems or read.inputs is None:
            raise invalid_rows(read.problems, ids, "Correct or remove them")
        return read.inputs
    except DataError as error:
        raise DataError(f"{file}: {error}") from error


def _usual_columns(file: Path, names: Sequence[str]) -> dict[str, Any]:
    for choice in USUAL_COLUMNS:
        structure = choice.get("structure")
        wanted = list(structure.values()) if structure else [choice["composition"]]
        if all(name in names for name in wanted):
            return dict(choice)
    raise DataError(
        f"{file}: has no column of a usual name (cif, structure, lattice with frac_coords and numbers, composition, "
        f"formula); name it with --cif, --json or --composition. Its columns are {', '.join(names)}"
    )


def formulas(texts: Sequence[str]) -> Compositions:
    """Compositions of chemical formulas, which are their ids.

    Raises:
        DataError: a formula cannot be read or occurs twice.
    """
    if len(set(texts)) < len(texts):
        raise DataError("a formula occurs twice; give each once")
    return Compositions.from_formulas(texts, texts)
