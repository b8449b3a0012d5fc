"""Data names of CIF that are read here, in the one spelling that pymatgen knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pymatgen.io.cif import str2float

from crystalbench.errors import DataError

LENGTHS = tuple(f"_cell_length_{axis}" for axis in "abc")
ANGLES = tuple(f"_cell_angle_{name}" for name in ("alpha", "beta", "gamma"))
COORDINATES = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
LABELS, TYPES, OCCUPANCIES = "_atom_site_label", "_atom_site_type_symbol", "_atom_site_occupancy"
MULTIPLICITIES, ORDERS = "_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_order"
FLAGS = "_atom_site_calc_flag"
DISORDER, HYDROGENS = "_atom_site_disorder_group", "_atom_site_attached_hydrogens"
FORMULAS = ("_chemical_formula_sum", "_chemical_formula_structural")
OTHER_FORMULAS = ("_chemical_formula_structural", "_chemical_formula_moiety", "_chemical_formula_iupac")
MODULATION = "_cell_modulation_dimension"
UNITS, WEIGHT, VOLUME = "_cell_formula_units_Z", "_chemical_formula_weight", "_cell_volume"
SYMBOLS = ("_symmetry_space_group_name_H-M", "_space_group_name_H-M_alt")
HALL_SYMBOLS = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall")
NUMBERS = ("_space_group_IT_number", "_symmetry_Int_Tables_number")
SYSTEMS = ("_symmetry_cell_setting", "_space_group_crystal_system")
OPERATIONS = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
_SINGLE = (*LENGTHS, *ANGLES, *SYMBOLS, *HALL_SYMBOLS, *NUMBERS, *SYSTEMS, *FORMULAS, UNITS, WEIGHT, VOLUME, MODULATION)
"""Data names with one value each."""

_NAMES = (
    *LENGTHS,
    *ANGLES,
    *COORDINATES,
    *(LABELS, TYPES, OCCUPANCIES, MULTIPLICITIES, ORDERS, FLAGS, DISORDER, HYDROGENS),
    *(UNITS, WEIGHT, VOLUME, MODULATION),
    *dict.fromkeys((*FORMULAS, *OTHER_FORMULAS)),
    *SYMBOLS,
    *HALL_SYMBOLS,
    *NUMBERS,
    *SYSTEMS,
    *OPERATIONS,
)
_SPELLING = {name.lower().replace("-", "_"): name for name in _NAMES}
_SPELLING["_atom_site_site_symmetry_multiplicity"] = MULTIPLICITIES  # its name in newer dictionaries
_WORD = re.compile(r"^([ \t]*)(_[A-Za-z][^\s]*)", re.MULTILINE)
_TEXT_FIELD = re.compile(r"^;.*?^;", re.MULTILINE | re.DOTALL)
_LOOKS_LIKE_CIF = re.compile(r"^[ \t]*(?=data_|save_|loop_|_)", re.MULTILINE | re.IGNORECASE)
_KEYWORD = re.compile(r"^[ \t]*(?:data_|loop_)", re.MULTILINE | re.IGNORECASE)
_UNKNOWN = {"", ".", "?"}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?:\(\d+\))?", re.ASCII)
_BLANKS = str.maketrans(dict.fromkeys("\t\v\f\x1a\u00a0", " ") | {"\u2212": "-"})
_VALUE = re.compile(r"""[^'"\s]\S*|'.*?'(?!\S)|".*?"(?!\S)""")
"""A value, as pymatgen splits a line."""
_FIELD = re.compile(r"^;", re.MULTILINE)


def canonical(text: str) -> str:
    """The text with keywords, data names and characters as pymatgen reads them.

    CIF ignores case, and CIF 2 writes ``_cell.length_a``. pymatgen deletes characters outside ASCII, minus signs
    included; here, they become ``?``, so that a number with such a character is not read. It also reads keywords and
    data names within text fields, which here begin with a dash, and does not quote values with tabs again.
    """
    text = text.removeprefix("\ufeff").translate(_BLANKS)
    text = text.replace("\r\n", "\n").replace("\r", "\n").encode("ascii", errors="replace").decode("ascii")
    text = _TEXT_FIELD.sub(lambda found: _LOOKS_LIKE_CIF.sub("- ", found[0]), text)
    text = _KEYWORD.sub(lambda found: found[0].lower(), text)
    return _WORD.sub(lambda found: found[1] + _spelled(found[2]), text)


def _spelled(name: str) -> str:
    return _SPELLING.get(name.lower().replace(".", "_").replace("-", "_"), name)


def require_names_once(text: str) -> None:
    """Refuse a CIF whose data blocks repeat a data name or share a name, since only the last value would be read.

    Raises:
        DataError: names it.
    """
    headers = [header.lower() for header in re.findall(r"^\s*(data_\S*)", text, re.MULTILINE)]
    if repeated := [header for header in headers if headers.count(header) > 1]:
        raise DataError(f"its CIF has several data blocks named {repeated[0]}; keep one")
    for block in re.split(r"^\s*data_", text, flags=re.MULTILINE):
        names = [found[2] for found in _WORD.finditer(block) if found[2] in _NAMES]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise DataError(f"its CIF has {repeated[0]} twice; keep one")


def require_complete_values(text: str) -> None:
    """Refuse a CIF with an open text field, or with blanks in a value without quotes, whose rest would be lost.

    Raises:
        DataError: names it.
    """
    if len(_FIELD.findall(text)) % 2:
        raise DataError("its CIF has a text field that is not closed by a line with ;")
    for line in _TEXT_FIELD.sub("", text).splitlines():
        name, _, rest = line.strip().partition(" ")
        values = _VALUE.findall(re.sub(r"(\s|^)#.*$", "", rest)) if name in _SINGLE else []
        if len(values) > 1:
            raise DataError(f"its CIF has {name} with several values ({' '.join(values)}); quote a value with blanks")


def column(block: Mapping[str, Any], name: str) -> list[str]:
    """The values of a data name; one for a single value, none if the name is missing."""
    value = block.get(name, [])
    return [str(v) for v in ([value] if isinstance(value, str) else value)]


def is_unknown(value: str) -> bool:
    """Whether a value is one of CIF's ``.`` and ``?``, or empty."""
    return value.strip() in _UNKNOWN


def known(block: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first known value of several data names, stripped; empty if there is none."""
    return next((str(block[name]).strip() for name in names if not is_unknown(str(block.get(name, "")))), "")


def number_of(text: str) -> float:
    """A number such as 0.333(2); NaN where there is none."""
    return float(str2float(text.strip())) if _NUMBER.fullmatch(text.strip()) else float("nan")
