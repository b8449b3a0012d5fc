"""CIF text as a structure. What a CIF says ambiguously is an error with the reason, never a guess.

pymatgen parses the file. This module checks what its parser guesses or only warns about: several data blocks, missing
cells, sites without coordinates or without an element, occupancies, symmetry that does not fit the cell, and the
composition compared with the formula in the file.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from typing import Any

from pymatgen.core import Element, Structure
from pymatgen.io.cif import CifBlock, CifFile, CifParser

from crystalbench._words import type_in_words
from crystalbench.errors import DataError
from crystalbench.tasks._cif_composition import check_composition
from crystalbench.tasks._cif_names import (
    ANGLES,
    COORDINATES,
    DISORDER,
    FLAGS,
    FORMULAS,
    HYDROGENS,
    LABELS,
    LENGTHS,
    MODULATION,
    NUMBERS,
    OCCUPANCIES,
    OPERATIONS,
    SYMBOLS,
    TYPES,
    VOLUME,
    canonical,
    column,
    is_unknown,
    known,
    number_of,
    require_complete_values,
    require_names_once,
)
from crystalbench.tasks._cif_symmetry import check_operations, check_symmetry, operations_of_hall_symbol

_TYPE = re.compile(r"^([A-Za-z]{1,2})(?:\d*[+-]|[+-]\d*|0)?$")
_SEVERAL = re.compile(r"^(?:H2O|H3O|D2O|HDO|NH[34])(?![a-z])|^[A-Za-z]{1,2}[^/,+]*[/,+][ ]*[A-Z]")
"""Labels of molecules, and of sites with several elements."""
_HARMLESS = re.compile(
    r"fractional coordinates rounded to ideal values|type key found\. Spacegroup from|1-line symmetry op P1"
    r"|^Issues encountered while parsing CIF|Defaulting to P1"
    r"|Skipping relative stoichiometry check|^Cannot determine chemical composition"  # the formula is compared below
    r"|^No Pauling electronegativity"
)
_MAGNETIC = re.compile(r"symop[._]magn|space_group[._]magn|magnetic_space_group|_name_BNS|_number_BNS", re.IGNORECASE)
_MODULATED = re.compile(r"_ssg_|_wave_vector|_fourier", re.IGNORECASE)
_LIKE_OCCUPANCY = re.compile(r"^_atom_site.*oc+up(?!.*_su$)", re.IGNORECASE)
_MISALIGNED = re.compile(r"is not a multiple of|zip\(\) argument|integer (?:division or )?modulo by zero")
"""Errors of the parser when the values of a loop do not fill its rows."""
_VOLUME = 0.01
"""Largest relative difference of the cell's volume from the stated one."""


def structure_of_cif(text: Any) -> Structure:
    """Read the structure of a CIF.

    Raises:
        DataError: the text is not a CIF with exactly one structure, or the structure is ambiguous; says why.
    """
    if not isinstance(text, str):
        raise DataError(f"its CIF is {type_in_words(type(text))}, not text")
    if not text.strip():
        raise DataError("its CIF is empty")
    text = canonical(text)
    require_names_once(text)
    require_complete_values(text)
    block = _only_block(text)
    _check_kind(block.data)
    _check_cell(block.data)
    _check_coordinates(block.data)
    _check_sites(block.data)
    _clean_occupancies(block.data)
    _clean_types(block)
    operations_of_hall_symbol(block)
    check_operations(block.data)
    parser, structure, remarks = _parsed(block)
    check_symmetry(block.data, structure.lattice, parser.symmetry_operations, remarks)
    check_composition(block.data, structure, len(parser.symmetry_operations))
    _check_volume(block.data, structure)
    if doubts := [remark for remark in remarks if not _HARMLESS.search(remark)]:
        raise DataError(f"its CIF is doubtful: {' '.join(doubts[0].split())}")
    return structure


def _only_block(text: str) -> CifBlock:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            blocks = CifFile.from_str(text).data
    except Exception as error:  # the parser raises all kinds of errors
        reason = f"{type(error).__name__}: {error}"
        if _MISALIGNED.search(reason):
            reason = "the values after a loop_ do not fill its rows; is one missing, or has blanks without quotes?"
        raise DataError(f"its CIF cannot be read ({reason})") from error
    named = {name: block for name, block in blocks.items() if any(key in block.data for key in COORDINATES)}
    if not named and COORDINATES[0] in text and not re.search("^data_", text, re.MULTILINE):
        raise DataError("its CIF has no line data_NAME before its data")
    if not named:
        raise DataError("its CIF has no atom sites with fractional coordinates")
    if len(named) > 1:
        raise DataError(f"its CIF has {len(named)} data blocks with structures ({', '.join(named)}); keep one")
    ((chosen, block),) = named.items()
    symmetry = (*SYMBOLS, *NUMBERS, *OPERATIONS)
    for name, other in blocks.items():
        if (said := next((key for key in symmetry if key in other.data), None)) and not any(
            key in block.data for key in symmetry
        ):
            raise DataError(
                f"its CIF has {said} in the data block {name}, but the atoms in {chosen}; write both in one block"
            )
    return block


def _check_kind(block: Mapping[str, Any]) -> None:
    """Refuse crystals that are more than their average cell: modulated ones, and those with magnetic symmetry only."""
    if number_of(str(block.get(MODULATION, "0"))) > 0 or any(map(_MODULATED.search, block)):
        raise DataError("its CIF is modulated: its sites are average positions; give an approximant")
    magnetic = [name for name in block if _MAGNETIC.search(name)]
    if magnetic and not any(key in block for key in OPERATIONS):
        what = "operations" if "symop" in magnetic[0] else "groups"
        raise DataError(f"its CIF has magnetic symmetry {what} only ({magnetic[0]}); list {OPERATIONS[1]}")


def _check_cell(block: Mapping[str, Any]) -> None:
    for key in (*LENGTHS, *ANGLES):
        value = str(block.get(key, ""))
        if is_unknown(value):
            raise DataError(f"its CIF has no {key}")
        if not 0 < number_of(value) < math.inf:
            raise DataError(f"its CIF has {key} {value!r}, which is not a positive number")
    angles = [number_of(str(block[key])) for key in ANGLES]
    a, b, c = (math.cos(math.radians(angle)) for angle in angles)
    if max(angles) >= 180 or 1 - a * a - b * b - c * c + 2 * a * b * c < 1e-6:
        raise DataError(f"its CIF has the angles {', '.join(f'{angle:g}' for angle in angles)}°, which close no cell")


def _check_volume(block: Mapping[str, Any], structure: Structure) -> None:
    volume = number_of(str(block.get(VOLUME, "")))
    if volume == volume and abs(volume - structure.volume) > _VOLUME * structure.volume:
        raise DataError(f"its CIF says {VOLUME} {volume:g}, but its cell has {structure.volume:.5g} Å³")


def _names(block: Mapping[str, Any]) -> list[str]:
    labels = column(block, LABELS) or column(block, TYPES)
    if not labels:
        raise DataError("its CIF has sites without label and type symbol")
    return labels


def _check_coordinates(block: Mapping[str, Any]) -> None:
    names = _names(block)
    for key in COORDINATES:
        values = column(block, key)
        if len(values) != len(names):
            raise DataError(f"its CIF has {len(names)} sites and {len(values)} values of {key}")
        for name, value in zip(names, values, strict=True):
            if not math.isfinite(number_of(value)):
                raise DataError(f"its CIF has the site {name} without coordinates ({key} is {value!r})")


def _check_sites(block: dict[str, Any]) -> None:
    """Refuse dummy sites and sites that exclude each other, which occupancies of one hide."""
    for name, flag in zip(_names(block), column(block, FLAGS), strict=False):
        if flag.lower() in ("dum", "dummy"):
            raise DataError(f"its CIF has the site {name}, which is a dummy ({FLAGS} is {flag}); remove it")
    groups = {value for value in column(block, DISORDER) if not is_unknown(value)}
    if len(groups) > 1:
        raise DataError(f"its CIF is disordered: {DISORDER} has the values {', '.join(sorted(groups))}")
    if about_symmetry := [group for group in groups if group.startswith("-")]:
        raise DataError(f"its CIF is disordered about a symmetry element: {DISORDER} is {about_symmetry[0]}")
    if any(is_unknown(value) for value in column(block, HYDROGENS)):
        block[HYDROGENS] = ["0" if is_unknown(value) else value for value in column(block, HYDROGENS)]


def _clean_occupancies(block: dict[str, Any]) -> None:
    for key in block:
        unlike_one = [value for value in column(block, key) if not is_unknown(value) and number_of(value) != 1]
        if key != OCCUPANCIES and _LIKE_OCCUPANCY.match(key) and any(number_of(v) >= 0 for v in unlike_one):
            raise DataError(f"its CIF has {key} {unlike_one[0]}; occupancies are named {OCCUPANCIES}")
    values = column(block, OCCUPANCIES)
    if not values:
        return
    for name, value in zip(_names(block), values, strict=True):
        if not is_unknown(value) and not 0 < number_of(value) <= 1:
            raise DataError(f"its CIF has the site {name} with occupancy {value}; it must be in (0, 1]")
    block[OCCUPANCIES] = ["1" if is_unknown(value) else value for value in values]  # 1 is CIF's default


def _clean_types(block: CifBlock) -> None:
    """Replace types such as ``Fe3+`` by element symbols, which leave nothing to guess."""
    names, types = _names(block.data), column(block.data, TYPES)
    has_formula = bool(known(block.data, FORMULAS))
    symbols = []
    for i, name in enumerate(names):
        given = types[i] if types else re.sub(r"[^A-Za-z].*$", "", name)
        if not types and _SEVERAL.match(name):
            raise DataError(
                f"its CIF has the site {name} without a type symbol, which names several elements; add {TYPES}"
            )
        match = _TYPE.match(given)
        symbol = match[1].title() if match else ""
        what = f"of type {given!r}" if types else "without a type symbol"
        if symbol == "T":
            raise DataError(f"its CIF has the site {name} {what}: a tetrahedral site, or tritium; write the element")
        symbol = "H" if symbol == "D" else symbol
        if not Element.is_valid_symbol(symbol):
            raise DataError(f"its CIF has the site {name} {what}, which is no element; write one site for each atom")
        if match and _reads_twice(match[1], is_label=not types) and not has_formula:
            raise DataError(
                f"its CIF has the site {name} {what}, which reads as {symbol} and as {match[1][0]} with a suffix; "
                f"write it as {symbol} or {match[1][0]} in {TYPES}"
            )
        symbols.append(symbol)
    for key, values in ((LABELS, names), (TYPES, symbols)):
        if key not in block.data:
            next(loop for loop in block.loops if COORDINATES[0] in loop).append(key)
        block.data[key] = values


def _reads_twice(letters: str, *, is_label: bool) -> bool:
    """Whether capitals such as ``HO`` or ``CA`` are one element or two: a hydroxide, or the first carbon, for instance.

    The second letter of a label may be any suffix; a type symbol would consist of two elements.
    """
    if len(letters) < 2 or not letters.isupper():
        return False
    first, second = (Element.is_valid_symbol("H" if letter == "D" else letter) for letter in letters)
    return first and (second or is_label)


def _parsed(block: CifBlock) -> tuple[CifParser, Structure, list[str]]:
    """The parser after reading the block, the structure, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            parser = CifParser.from_str(str(block))
            (structure,) = parser.parse_structures(primitive=False, on_error="raise")
        except Exception as error:  # the parser raises all kinds of errors
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            problem = "has several atoms at one place" if "exceeded tolerance" in reason else "cannot be read"
            raise DataError(f"its CIF {problem} ({reason})") from error
    ignored = (DeprecationWarning, FutureWarning)
    found = [str(warning.message) for warning in caught if not issubclass(warning.category, ignored)]
    return parser, structure, list(dict.fromkeys([*getattr(parser, "warnings", ()), *found]))
