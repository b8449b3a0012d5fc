"""CIF text as a structure. What a CIF says ambiguously is an error with the reason, never a guess.

pymatgen parses the file. This module checks what its parser guesses or only warns about: several data blocks, missing
cells, sites without coordinates or without an element, occupancies, unknown space groups, and the composition compared
with the formula in the file.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from pymatgen.core import Composition, Element, Structure
from pymatgen.io.cif import CifBlock, CifFile, CifParser, str2float

from crystalbench.errors import DataError

CELL = (
    *(f"_cell_length_{axis}" for axis in "abc"),
    *(f"_cell_angle_{name}" for name in ("alpha", "beta", "gamma")),
)
COORDINATES = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
SPACE_GROUPS = (
    "_symmetry_space_group_name_H-M",
    "_space_group_name_H-M_alt",
    "_space_group_name_Hall",
    "_symmetry_space_group_name_Hall",
    "_space_group_IT_number",
    "_symmetry_Int_Tables_number",
)
TYPES = "_atom_site_type_symbol"
FORMULA, UNITS = "_chemical_formula_sum", "_cell_formula_units_Z"

_UNKNOWN = {"", ".", "?"}
_TYPE = re.compile(r"^([A-Za-z]{1,2})(?:\d*[+-]|[+-]\d*|0)?$")
_HARMLESS = re.compile(
    r"fractional coordinates rounded to ideal values|type key found\. Spacegroup from|1-line symmetry op P1"
    r"|^Issues encountered while parsing CIF|Defaulting to P1"
)
_SHARE = 0.02
"""Largest difference of an element's atomic fraction from that of the formula; formulas are rounded."""


def structure_of_cif(text: Any) -> Structure:
    """Read the structure of a CIF.

    Raises:
        DataError: the text is not a CIF with exactly one structure, or the structure is ambiguous; says why.
    """
    if not isinstance(text, str) or not text.strip():
        raise DataError("its CIF is empty")
    block = _only_block(text)
    _check_cell(block.data)
    _check_coordinates(block.data)
    _clean_occupancies(block.data)
    _clean_types(block)
    structure, remarks = _parsed(block)
    _check_space_group(block.data, remarks)
    _check_composition(block.data, structure)
    if doubts := [remark for remark in remarks if not _HARMLESS.search(remark)]:
        raise DataError(f"its CIF is doubtful: {doubts[0].splitlines()[0]}")
    return structure


def _only_block(text: str) -> CifBlock:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            blocks = CifFile.from_str(text).data
    except Exception as error:  # the parser raises all kinds of errors
        raise DataError(f"its CIF cannot be read ({type(error).__name__}: {error})") from error
    named = {name: block for name, block in blocks.items() if any(key in block.data for key in COORDINATES)}
    if not named:
        raise DataError("its CIF has no atom sites with fractional coordinates")
    if len(named) > 1:
        raise DataError(f"its CIF has {len(named)} data blocks with structures ({', '.join(named)}); keep one")
    return next(iter(named.values()))


def _column(block: Mapping[str, Any], key: str) -> list[str]:
    value = block.get(key, [])
    return [str(v) for v in ([value] if isinstance(value, str) else value)]


def _number(text: str) -> float:
    """A number such as 0.333(2); NaN where there is none."""
    try:
        return float("nan") if text in _UNKNOWN else float(str2float(text))
    except (ValueError, TypeError):
        return float("nan")


def _check_cell(block: Mapping[str, Any]) -> None:
    for key in CELL:
        value = str(block.get(key, ""))
        if value in _UNKNOWN:
            raise DataError(f"its CIF has no {key}")
        if not _number(value) > 0:
            raise DataError(f"its CIF has {key} {value!r}, which is not a positive number")


def _names(block: Mapping[str, Any]) -> list[str]:
    labels = _column(block, "_atom_site_label") or _column(block, TYPES)
    if not labels:
        raise DataError("its CIF has sites without label and type symbol")
    return labels


def _check_coordinates(block: Mapping[str, Any]) -> None:
    names = _names(block)
    for key in COORDINATES:
        values = _column(block, key)
        if len(values) != len(names):
            raise DataError(f"its CIF has {len(names)} sites and {len(values)} values of {key}")
        for name, value in zip(names, values, strict=True):
            if _number(value) != _number(value):
                raise DataError(f"its CIF has the site {name} without coordinates ({key} is {value!r})")


def _clean_occupancies(block: dict[str, Any]) -> None:
    values = _column(block, "_atom_site_occupancy")
    if not values:
        return
    for name, value in zip(_names(block), values, strict=True):
        if value not in _UNKNOWN and not 0 < _number(value) <= 1 + 1e-8:
            raise DataError(f"its CIF has the site {name} with occupancy {value}; it must be in (0, 1]")
    block["_atom_site_occupancy"] = ["1" if value in _UNKNOWN else value for value in values]  # 1 is CIF's default


def _clean_types(block: CifBlock) -> None:
    """Replace types such as ``Fe3+`` by element symbols, which leave nothing to guess."""
    names, types = _names(block.data), _column(block.data, TYPES)
    symbols = []
    for i, name in enumerate(names):
        given = types[i] if types else re.sub(r"[^A-Za-z].*$", "", name)
        match = _TYPE.match(given)
        symbol = match[1].title() if match else ""
        if symbol in ("D", "T"):
            symbol = "H"
        if not Element.is_valid_symbol(symbol):
            what = f"of type {given!r}" if types else "without a type symbol"
            raise DataError(f"its CIF has the site {name} {what}, which is no element; write one site for each atom")
        symbols.append(symbol)
    block.data[TYPES] = symbols
    if not types:
        next(loop for loop in block.loops if COORDINATES[0] in loop).append(TYPES)


def _parsed(block: CifBlock) -> tuple[Structure, list[str]]:
    """The structure, and the warnings of pymatgen."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            parser = CifParser.from_str(str(block))
            (structure,) = parser.parse_structures(primitive=False, on_error="raise")
        except Exception as error:  # the parser raises all kinds of errors
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise DataError(f"its CIF cannot be read ({reason[-1]})") from error
    ignored = (DeprecationWarning, FutureWarning)
    found = [str(warning.message) for warning in caught if not issubclass(warning.category, ignored)]
    return structure, list(dict.fromkeys([*getattr(parser, "warnings", ()), *found]))


def _check_space_group(block: Mapping[str, Any], remarks: Sequence[str]) -> None:
    group = next((str(block[key]) for key in SPACE_GROUPS if str(block.get(key, "")) not in _UNKNOWN), "P1")
    if any("Defaulting to P1" in remark for remark in remarks) and not _is_p1(group):
        raise DataError(f"its CIF has the space group {group!r}, which is unknown, and no symmetry operations")


def _is_p1(group: str) -> bool:
    return re.sub(r"[\s_]", "", group) in ("P1", "1")


def _check_composition(block: Mapping[str, Any], structure: Structure) -> None:
    text = str(block.get(FORMULA, ""))
    if text in _UNKNOWN:
        return
    try:
        formula = Composition(text.replace("D", "H") if "Dy" not in text and "Db" not in text else text)
    except (ValueError, KeyError) as error:
        raise DataError(f"its CIF has the formula {text!r}, which cannot be read ({error})") from error
    sites = structure.composition.element_composition
    shares = {e: (formula.get_atomic_fraction(e), sites.get_atomic_fraction(e)) for e in {*formula, *sites}}
    if any(abs(a - b) > _SHARE for a, b in shares.values()):
        raise DataError(f"its CIF says {text.strip()}, but its sites give {structure.composition.formula}")
    units = _number(str(block.get(UNITS, "")))
    wanted = [formula.num_atoms, formula.num_atoms * units]
    if units == units and not any(abs(structure.composition.num_atoms - n) < 0.02 * n for n in wanted):
        raise DataError(
            f"its CIF says {units:g} formula units of {text.strip()}, but its sites give "
            f"{structure.composition.formula}"
        )
