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
from pymatgen.symmetry.groups import SpaceGroup

from crystalbench.errors import DataError
from crystalbench.tasks._cif_names import NUMBERS, OPERATIONS, SYMBOLS, column, is_unknown, known

_TWO_ORIGINS = frozenset(
    (48, 50, 59, 68, 70, 85, 86, 88, 125, 126, 129, 130, 133, 134, 137, 138, 141, 142, 201, 203, 222, 224, 227, 228)
)
"""Numbers of the space groups with two origin choices in the International Tables for Crystallography A."""
_STRETCH = 0.03
"""Largest relative change of the cell's metric by a symmetry operation; lengths and angles are rounded."""
_SHIFT = 0.01
"""Largest difference of translations that are equal but for rounding, such as 0.333 and 1/3."""
_OTHER_NAME = re.compile(
    r"^_(?!.*(?:magn|ssg|atom_site|geom)).*(?:space_?group.*(?:name|number|tables)|symmetry.*(?:name|number|tables)"
    r"|(?:symop|equiv).*xyz)",
    re.IGNORECASE,
)


def check_operations(block: Mapping[str, Any]) -> None:
    """Refuse a list of symmetry operations that the parser would skip, that is incomplete, or not of the stated group.

    Args:
        block: data names and values.

    Raises:
        DataError: says what is wrong.
    """
    listed = _listed(block)
    if not listed:
        return
    operations = [_operation(text) for text in listed]
    rotations = np.rint([op.rotation_matrix for op in operations]).astype(np.int64)
    translations = np.array([op.translation_vector for op in operations])
    if not _is_group(rotations, translations):
        raise DataError(f"its CIF lists {len(listed)} symmetry operations, which are not a group; some are missing")
    symbol, number = known(block, SYMBOLS), known(block, NUMBERS)
    group = symbol or number
    if len(listed) == 1 and group and not _is_p1(group):
        raise DataError(f"its CIF has the space group {group!r}, but lists one symmetry operation only")
    stated = _number_of(symbol) or _stated_number(number)
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
    if not _listed(block):
        _check_group(block, remarks, len(operations))
    _check_metric(block, lattice, np.array([op.rotation_matrix for op in operations], dtype=np.float64))


def _listed(block: Mapping[str, Any]) -> list[str]:
    return [text for name in OPERATIONS for text in column(block, name) if not is_unknown(text)]


def _operation(text: str) -> SymmOp:
    try:
        operation = SymmOp.from_xyz_str(text)
    except (ValueError, IndexError) as error:
        raise DataError(f"its CIF has the symmetry operation {text!r}, which cannot be read ({error})") from error
    if text.count(",") != 2 or not np.isclose(abs(np.linalg.det(operation.rotation_matrix)), 1):
        raise DataError(f"its CIF has {text!r}, which is not a symmetry operation")
    return operation


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
    stated = _stated_number(number)
    group = _number_of(symbol) or stated
    if stated is not None and group != stated:
        raise DataError(f"its CIF has the space group {symbol!r}, but the number {number}")
    if group in _TWO_ORIGINS and operations > 1:
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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(SpaceGroup(bare).int_number)
    except (ValueError, KeyError):
        return _numbers_by_symbol().get(bare)


@cache
def _numbers_by_symbol() -> dict[str, int]:
    """Numbers of the space groups by their Hermann-Mauguin and Hall symbols in spglib, without blanks."""
    found: dict[str, int] = {}
    for place in range(1, 531):
        if (group := spglib.get_spacegroup_type(place)) is None:
            continue
        for symbol in (*group.international.split("="), group.international_full, group.hall_symbol):
            found.setdefault(re.sub(r"[\s_]", "", symbol), int(group.number))
    return found


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
