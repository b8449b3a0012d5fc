"""The task file: a TOML file that describes a data set of the user's own."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator

from crystalbench._validation import problems
from crystalbench.errors import ConfigError
from crystalbench.targets import Kind, metrics_of
from crystalbench.tasks.matbench.official_table import OFFICIAL


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StructureColumns(_Strict):
    """Columns with the structures, in one of three forms.

    Attributes:
        cif: CIF text.
        json_: pymatgen's JSON form, as text or as an object; written ``json`` in the file.
        lattice: 9 numbers, the lattice vectors a, b, c in Å; together with `frac_coords` and `numbers`.
        frac_coords: fractional coordinates of the sites.
        numbers: atomic numbers of the sites.
    """

    cif: str | None = None
    json_: str | None = Field(None, alias="json")
    lattice: str | None = None
    frac_coords: str | None = None
    numbers: str | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that are used."""
        named = (self.cif, self.json_, self.lattice, self.frac_coords, self.numbers)
        return [name for name in named if name is not None]

    @model_validator(mode="after")
    def _one_form(self) -> StructureColumns:
        flat = (self.lattice, self.frac_coords, self.numbers)
        forms = [self.cif is not None, self.json_ is not None, any(flat)]
        if sum(forms) != 1 or (any(flat) and not all(flat)):
            raise ValueError('write {cif = "column"}, {json = "column"}, or lattice, frac_coords and numbers together')
        return self


class FoldsConfig(_Strict):
    """How the rows are split into folds.

    Attributes:
        column: column with fold numbers 0 to k - 1, or with ``train`` and ``test``.
        k: number of folds, 5 by default.
        seed: seed of the shuffle.
        group: keep rows with the same ``formula``, ``chemical_system`` or value of ``column:NAME`` in one fold.
    """

    column: str | None = None
    k: Annotated[int, Field(ge=2)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    group: Annotated[str, Field(pattern=r"^(formula|chemical_system|column:.+)$")] | None = None

    @property
    def group_column(self) -> str | None:
        """The column to group by, if rows are grouped by a column."""
        return self.group.removeprefix("column:") if self.group and self.group.startswith("column:") else None

    @model_validator(mode="after")
    def _column_or_k(self) -> FoldsConfig:
        if self.column is not None and (self.k is not None or self.group is not None):
            raise ValueError("the folds come from a column; leave k and group out")
        return self


class TableConfig(_Strict):
    """The content of a task file.

    Attributes:
        name: unique name of the task.
        table: Parquet, CSV or JSON file, relative to the task file; ``--data NAME=PATH`` names another one.
        url: address (``http`` or ``https``) from which a missing table is downloaded; together with ``sha256``.
        sha256: SHA-256 of the table, 64 lower-case hexadecimal digits; a table with another one is refused.
        id: column with unique ids; row numbers by default.
        structure: columns with structures.
        composition: column with chemical formulas, instead of ``structure``.
        target: column with the property.
        per_atom: divide the target by the number of atoms in the cell of the structure, or by the sum of the amounts
            in the formula. For regression only; ``unit`` is then that of the quotient.
        kind: regression, binary or multiclass.
        unit: unit of the property.
        metric: main metric; by default, that of the kind.
        missing: ``error`` to refuse rows without target or input, ``drop`` to drop them.
        invalid: ``error`` to refuse structures, formulas, targets and labels that are wrong or doubtful, ``drop`` to
            drop their rows; each is listed on the screen and in every record.
        folds: how the rows are split; by default, into five shuffled folds.
        description: one line.
        license: terms of the data.
        reference: origin of the data.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    table: str
    url: Annotated[str, Field(pattern=r"^https?://[^/\s]+/\S*$")] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    id: str | None = None
    structure: StructureColumns | None = None
    composition: str | None = None
    target: str
    per_atom: StrictBool = False
    kind: Kind
    unit: str = ""
    metric: str | None = None
    missing: Literal["error", "drop"] = "error"
    invalid: Literal["error", "drop"] = "error"
    folds: FoldsConfig = FoldsConfig()
    description: str = ""
    license: str = ""
    reference: str = ""

    @property
    def property_name(self) -> str:
        """Name of the property: the column of the target, and whether it is per atom."""
        return f"{self.target} per atom" if self.per_atom else self.target

    @property
    def input_columns(self) -> list[str]:
        """Columns with the structures or the compositions."""
        return self.structure.columns if self.structure is not None else [str(self.composition)]

    @property
    def columns(self) -> list[str]:
        """All columns that are used, without duplicates."""
        named = (self.id, *self.input_columns, self.target, self.folds.column, self.folds.group_column)
        return list(dict.fromkeys(name for name in named if name is not None))

    @model_validator(mode="after")
    def _fits_together(self) -> TableConfig:
        if (self.structure is None) == (self.composition is None):
            raise ValueError("give either structure or composition")
        if self.name in OFFICIAL:
            raise ValueError(f"{self.name} is an official task; choose another name")
        if self.per_atom and self.kind is not Kind.REGRESSION:
            raise ValueError(
                f"per_atom = true divides the target by the number of atoms, but the target of a {self.kind} task is "
                "a class; leave per_atom out"
            )
        if self.url is not None and self.sha256 is None:
            raise ValueError("url needs sha256, the checksum that verifies the download")
        known = [metric.name for metric in metrics_of(self.kind)]
        if self.metric is not None and self.metric not in known:
            raise ValueError(
                f"metric {self.metric!r} does not apply to a {self.kind} task; choose one of {', '.join(known)}"
            )
        return self


_SECTIONS: dict[tuple[str, ...], type[BaseModel]] = {
    (): TableConfig,
    ("structure",): StructureColumns,
    ("folds",): FoldsConfig,
}


def read_config(file: Path) -> TableConfig:
    """Read a task file.

    Raises:
        ConfigError: it is missing, is not TOML, or has mistakes; lists all of them.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))  # skips a byte order mark
    except FileNotFoundError as error:
        raise ConfigError(f"{file}: there is no such task file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: the task file cannot be read ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: is not valid TOML ({error})") from error
    try:
        return TableConfig.model_validate(content)
    except ValidationError as error:
        lines = "\n".join(f"  {line}" for line in problems(error, _SECTIONS))
        raise ConfigError(f"{file}: the task file has mistakes:\n{lines}") from None
