"""Symmetry in a CIF: whether it says the operations clearly, and whether they fit the cell and the space group."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import spglib
from pymatgen.core import Lattice
from pymatgen.core.operations import SymmOp
from pymatgen.io.cif import CifBlock
from pymatgen.symmetry.groups import SpaceGroup

from crystalbench._words import counted
from crystalbench.errors import DataError
from crystalbench.tasks._cif_names import (
    HALL_SYMBOLS,
    NUMBERS,
    OPERATIONS,
    SYMBOLS,
    SYSTEMS,
    column,
    is_unknown,
    known,
)

_TWO_ORIGINS = frozenset(
    (48, 50, 59, 68, 70, 85, 86, 88, 125, 126, 129, 130, 133, 134, 137, 138, 141, 142, 201, 203, 222, 224, 227, 228)
)
"""Numbers of the space groups with two origin choices in the International Tables for Crystallography A."""
_STRETCH = 0.03
"""Largest relative change of the cell's metric by a symmetry operation; lengths and angles are rounded."""
_SHIFT = 0.01
"""Largest difference of translations that are equal but for rounding, such as 0.333 and 1/3."""
_TERM = r"(?:[xyz]|\d+/[1-9]\d*|\d+\.?\d*|\.\d+)"
_COORDINATE = re.compile(rf"[+-]?{_TERM}(?:[+-]{_TERM})*", re.ASCII)
"""A coordinate of a symmetry operation; SymmOp skips what it cannot read."""
_SYSTEM_OF = (
    (2, {"triclinic"}),
    (15, {"monoclinic"}),
    (74, {"orthorhombic"}),
    (142, {"tetragonal"}),
    (167, {"trigonal", "rhombohedral", "hexagonal"}),
    (194, {"hexagonal"}),
    (230, {"cubic"}),
)
"""Last space group of each crystal system, and the names of the latter in CIFs."""
_OTHER_NAME = re.compile(
    r"^_(?!.*(?:magn|ssg|atom_site|geom)).*(?:space_?group.*(?:name|number|tables)|symmetry.*(?:name|number|tables)"
    r"|(?:symop|equiv).*xyz)",
    re.IGNORECASE,
)


def operations_of_hall_symbol(block: CifBlock) -> None:
    """Write the symmetry operations of the Hall symbol, which says the setting and the origin, if none are listed.

    The parser would read it as a Hermann-Mauguin symbol: ``P 3 2`` is P312, not P32.

    Raises:
        DataError: the symbol is unknown.
    """
    symbol = known(block.data, HALL_SYMBOLS)
    if not symbol or _listed(block.data):
        return
    place = _hall_symbols().get(_plain_hall(symbol))
    found = None if place is None else spglib.get_symmetry_from_database(place)
    if found is None:
        raise DataError(
            f"its CIF has the Hall symbol {symbol!r}, which is unknown, and no symmetry operations; list the symmetry "
            "operations"
        )
    pairs = zip(found["rotations"], found["translations"], strict=True)
    block.data[OPERATIONS[0]] = [SymmOp.from_rotation_and_translation(*pair).as_xyz_str() for pair in pairs]
    block.loops = [[OPERATIONS[0]], *(loop for loop in block.loops if OPERATIONS[0] not in loop)]


def check_operations(block: Mapping[str, Any]) -> None:
    """Refuse a list of symmetry operations that the parser would skip, that is incomplete, or not of the stated group.

    Args:
        block: data names and values.

    Raises:
        DataError: says what is wrong.
    """
    group, stated = _stated_group(block)
    listed = _listed(block)
    if not listed:
        return
    operations = [_operation(text) for text in listed]
    rotations = np.rint([op.rotation_matrix for op in operations]).astype(np.int64)
    translations = np.array([op.translation_vector for op in operations])
    if not _is_group(rotations, translations):
        raise DataError(
            f"its CIF lists {counted(len(listed), 'symmetry operation')}, which are not a group; some are missing, or "
            "listed twice"
        )
    if len(listed) == 1 and group and not _is_p1(group):
        raise DataError(f"its CIF has the space group {group!r}, but lists one symmetry operation only")
    found = spglib.get_spacegroup_type_from_symmetry(rotations, translations, symprec=_SHIFT)
    if stated and found is not None and found.number != stated:
        raise DataError(
            f"its CIF has the space group {group!r}, but lists the symmetry operations of {found.international_short}"
        )


def _is_group(rotations: npt.NDArray[np.int64], translations: npt.NDArray[np.float64]) -> bool:
    """Whether the product of any two operations is among them, apart from translations of the lattice.

    Args:
        rotations: (n, 3, 3).
        translations: (n, 3).
    """
    distinct, kinds, counts = np.unique(rotations.reshape(-1, 9), axis=0, return_inverse=True, return_counts=True)
    if len(set(counts.tolist())) > 1:
        return False
    places = {tuple(row): place for place, row in enumerate(distinct.tolist())}
    shifts = [translations[kinds.reshape(-1) == kind] for kind in range(len(distinct))]
    for rotation, translation in zip(rotations, translations, strict=True):
        products = np.einsum("ij,ajk->aik", rotation, distinct.reshape(-1, 3, 3)).reshape(-1, 9)
        for one, product in enumerate(products.tolist()):
            if (place := places.get(tuple(product))) is None:
                return False
            apart = (shifts[one] @ rotation.T + translation)[:, None] - shifts[place][None]
            if (np.abs(apart - np.rint(apart)).max(axis=2).min(axis=1) > _SHIFT).any():
                return False
    return True


def check_symmetry(
    block: Mapping[str, Any], lattice: Lattice, operations: Sequence[SymmOp], remarks: Sequence[str]
) -> None:
    """Refuse symmetry that the parser had to guess, or that contradicts the cell.

    Args:
        block: data names and values.
        lattice: the cell.
        operations: symmetry operations that the parser used.
        remarks: warnings of the parser.

    Raises:
        DataError: says what is wrong.
    """
    if not (listed := _listed(block)):
        _check_group(block, remarks, len(operations))
    elif len(operations) not in {len(column(block, name)) for name in OPERATIONS}:
        raise DataError(
            f"its CIF lists {len(listed)} symmetry operations, and its magnetic group has {len(operations)}; remove one"
        )
    _check_system(block, operations)
    _check_metric(block, lattice, np.array([op.rotation_matrix for op in operations], dtype=np.float64))


def _listed(block: Mapping[str, Any]) -> list[str]:
    listed = [text for name in OPERATIONS for text in column(block, name)]
    if any(map(is_unknown, listed)):
        raise DataError("its CIF lists a symmetry operation that is unknown ('?'); write it, or remove the list")
    return listed


def _operation(text: str) -> SymmOp:
    coordinates = re.sub(r"\s", "", text).lower().split(",")
    if len(coordinates) == 3 and all(map(_is_coordinate, coordinates)):
        operation = SymmOp.from_xyz_str(text)
        if np.isclose(abs(np.linalg.det(operation.rotation_matrix)), 1):
            return operation
    quotes = "; quote operations with blanks" if text.endswith(",") else ""
    raise DataError(f"its CIF has {text!r}, which is not a symmetry operation{quotes}")


def _is_coordinate(text: str) -> bool:
    """Whether a text is a sum of x, y, z and a number, each once at most."""
    terms = re.findall(_TERM, text)
    numbers = [term for term in terms if term not in ("x", "y", "z")]
    return bool(_COORDINATE.fullmatch(text)) and len(numbers) <= 1 and len(set(terms)) == len(terms)


def _stated_group(block: Mapping[str, Any]) -> tuple[str, int | None]:
    """The space group that a CIF names, and its number if the name is known.

    Raises:
        DataError: its symbols and numbers are of different groups.
    """
    names = [(text, _number_of(text)) for text in _known_each(block, SYMBOLS)]
    names += [(text, _number_of_hall(text)) for text in _known_each(block, HALL_SYMBOLS)]
    numbers = [(text, _stated_number(text)) for text in _known_each(block, NUMBERS)]
    certain = [(text, number) for text, number in (*names, *numbers) if number is not None]
    for text, number in certain:
        if number != certain[0][1]:
            what = f"the number {text}" if (text, number) in numbers else f"also {text!r}"
            raise DataError(f"its CIF has the space group {certain[0][0]!r}, but {what}")
    first = known(block, SYMBOLS) or known(block, NUMBERS) or known(block, HALL_SYMBOLS)
    return first, certain[0][1] if certain else None


def _known_each(block: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [text for name in names if (text := known(block, (name,)))]


def _check_system(block: Mapping[str, Any], operations: Sequence[SymmOp]) -> None:
    """Refuse a crystal system that is not that of the symmetry operations which the parser used."""
    rotations = np.rint([op.rotation_matrix for op in operations]).astype(np.int64)
    translations = np.array([op.translation_vector for op in operations])
    found = spglib.get_spacegroup_type_from_symmetry(rotations, translations, symprec=_SHIFT)
    if found is None:
        return
    right = next(names for last, names in _SYSTEM_OF if found.number <= last)
    for system in _known_each(block, SYSTEMS):
        if system.lower() in set().union(*(names for _, names in _SYSTEM_OF)) - right:
            raise DataError(
                f"its CIF says that it is {system}, but has the symmetry operations of {found.international_short}; "
                "correct one of them"
            )


def _check_group(block: Mapping[str, Any], remarks: Sequence[str], operations: int) -> None:
    """Check the space group from which the parser took its operations."""
    symbol, number = known(block, SYMBOLS), known(block, NUMBERS)
    if not symbol and not number:
        if others := [name for name in block if _OTHER_NAME.match(name) and not _says_p1(block[name])]:
            raise DataError(f"its CIF has {others[0]}, which is not a data name of CIF, and no symmetry operations")
        return
    if any("Defaulting to P1" in remark for remark in remarks) and not _is_p1(symbol or number):
        raise DataError(
            f"its CIF has the space group {symbol or number!r}, which is unknown, and no symmetry operations; list the "
            "symmetry operations"
        )
    by_symbol = any("Spacegroup from" in remark for remark in remarks)
    if symbol and not _is_p1(symbol) and not by_symbol and not _is_standard(symbol, _stated_number(number)):
        raise DataError(
            f"its CIF has the space group {symbol!r}, which is unknown; its number does not say the setting, so list "
            "the symmetry operations"
        )
    if (_number_of(symbol) or _stated_number(number)) in _TWO_ORIGINS and operations > 1:
        raise DataError(
            f"its CIF has the space group {symbol or number!r}, which has two origin choices; list the symmetry "
            "operations"
        )


def _is_standard(symbol: str, number: int | None) -> bool:
    """Whether a symbol is the short one of the standard setting of a number, of which the parser uses the operations.

    The parser does not know short monoclinic symbols, such as ``P 21/c``, whose unique axis is b by convention.
    """
    return number is not None and _standard_symbols().get(number) == re.sub(r"[\s_]", "", symbol)


@cache
def _standard_symbols() -> dict[int, str]:
    """Short Hermann-Mauguin symbols by number, without blanks; spglib lists the standard setting of each first."""
    found: dict[int, str] = {}
    for place in range(1, 531):
        if (group := spglib.get_spacegroup_type(place)) is not None:
            found.setdefault(int(group.number), group.international_short.replace("_", ""))
    return found


def _stated_number(text: str) -> int | None:
    try:
        return int(float(text.split("(")[0]))
    except ValueError:
        return None


@cache
def _number_of(symbol: str) -> int | None:
    """Number of a space group by its symbol, in any setting that pymatgen or spglib knows; None for other texts."""
    if _is_p1(symbol):
        return 1
    bare = re.sub(r"[\s_]", "", symbol)
    if not bare:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(SpaceGroup(bare).int_number)
    except (ValueError, KeyError):
        return _numbers_by_symbol().get(bare)


@cache
def _numbers_by_symbol() -> dict[str, int]:
    """Numbers of the space groups by their Hermann-Mauguin symbols in spglib, without blanks."""
    found: dict[str, int] = {}
    for place in range(1, 531):
        if (group := spglib.get_spacegroup_type(place)) is None:
            continue
        for symbol in (*group.international.split("="), group.international_full):
            found.setdefault(re.sub(r"[\s_]", "", symbol), int(group.number))
    return found


def _number_of_hall(symbol: str) -> int | None:
    place = _hall_symbols().get(_plain_hall(symbol))
    group = None if place is None else spglib.get_spacegroup_type(place)
    return None if group is None else int(group.number)


@cache
def _hall_symbols() -> dict[str, int]:
    """Places of the Hall symbols in spglib's database; blanks matter: ``P 6 2`` is P622, and ``P 62`` is P62."""
    groups = [(place, spglib.get_spacegroup_type(place)) for place in range(1, 531)]
    found: dict[str, int] = {}
    for place, group in groups:
        if group is not None:
            found.setdefault(_plain_hall(group.hall_symbol), place)
    return found


def _plain_hall(symbol: str) -> str:
    return " ".join(symbol.replace("_", " ").split()).lower()


def _check_metric(block: Mapping[str, Any], lattice: Lattice, rotations: npt.NDArray[np.float64]) -> None:
    metric = lattice.matrix @ lattice.matrix.T
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    changed = np.einsum("nji,jk,nkl->nil", rotations, metric, rotations)
    if (np.abs(changed - metric) / scale).max(initial=0.0) > _STRETCH:
        group = known(block, SYMBOLS) or known(block, NUMBERS)
        cell = ", ".join(f"{value:.5g}" for value in lattice.parameters)
        raise DataError(
            f"its CIF has symmetry operations{f' of {group!r}' if group else ''} that do not fit its cell ({cell}); "
            "is it in another setting?"
        )


def _says_p1(value: Any) -> bool:
    texts = [value] if isinstance(value, str) else list(value)
    return all(is_unknown(str(t)) or _is_p1(str(t)) or re.sub(r"\s", "", str(t)) == "x,y,z" for t in texts)


def _is_p1(group: str) -> bool:
    return re.sub(r"[\s_]", "", group).upper() in ("P1", "1")
