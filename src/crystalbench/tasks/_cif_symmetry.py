"""Symmetry in a CIF: whether it says the operations clearly, and whether they fit the cell."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
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
_OTHER_NAME = re.compile(
    r"^_(?!.*(?:magn|ssg|atom_site|geom)).*(?:space_?group.*(?:name|number|tables)|symmetry.*(?:name|number|tables)"
    r"|(?:symop|equiv).*xyz)",
    re.IGNORECASE,
)


def check_operations(block: Mapping[str, Any]) -> None:
    """Refuse a list of symmetry operations that the parser would skip, or that is incomplete.

    Args:
        block: data names and values.

    Raises:
        DataError: says what is wrong.
    """
    listed = _listed(block)
    if not listed:
        return
    rotations = np.rint([_rotation(text) for text in listed]).astype(np.int64)
    distinct, counts = np.unique(rotations.reshape(-1, 9), axis=0, return_counts=True)
    matrices = distinct.reshape(-1, 3, 3)
    products = np.einsum("aij,bjk->abik", matrices, matrices).reshape(-1, 9)
    if len(np.unique(products, axis=0)) != len(distinct) or len(set(counts.tolist())) > 1:
        raise DataError(f"its CIF lists {len(listed)} symmetry operations, which are not a group; some are missing")
    group = known(block, SYMBOLS) or known(block, NUMBERS)
    if len(listed) == 1 and group and not _is_p1(group):
        raise DataError(f"its CIF has the space group {group!r}, but lists one symmetry operation only")


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


def _rotation(text: str) -> npt.NDArray[np.float64]:
    try:
        matrix = np.asarray(SymmOp.from_xyz_str(text).rotation_matrix, dtype=np.float64)
    except (ValueError, IndexError) as error:
        raise DataError(f"its CIF has the symmetry operation {text!r}, which cannot be read ({error})") from error
    if text.count(",") != 2 or not np.isclose(abs(np.linalg.det(matrix)), 1):
        raise DataError(f"its CIF has {text!r}, which is not a symmetry operation")
    return matrix


def _check_group(block: Mapping[str, Any], remarks: Sequence[str], operations: int) -> None:
    """Check the space group from which the parser took its operations."""
    symbol, number = known(block, SYMBOLS), known(block, NUMBERS)
    if not symbol and not number:
        if others := [name for name in block if _OTHER_NAME.match(name) and not _says_p1(block[name])]:
            raise DataError(f"its CIF has {others[0]}, which is not a data name of CIF, and no symmetry operations")
        return
    if any("Defaulting to P1" in remark for remark in remarks) and not _is_p1(symbol or number):
        raise DataError(
            f"its CIF has the space group {symbol or number!r}, which is unknown, and no symmetry operations"
        )
    if symbol and not _is_p1(symbol) and not any("Spacegroup from" in remark for remark in remarks):
        raise DataError(
            f"its CIF has the space group {symbol!r}, which is unknown; its number does not say the setting, so list "
            "the symmetry operations"
        )
    stated = int(float(number.split("(")[0])) if number else None
    group = _number_of(symbol) or stated
    if stated is not None and group != stated:
        raise DataError(f"its CIF has the space group {symbol!r}, but the number {number}")
    if group in _TWO_ORIGINS and operations > 1:
        raise DataError(
            f"its CIF has the space group {symbol or number!r}, which has two origin choices; list the symmetry "
            "operations"
        )


def _number_of(symbol: str) -> int | None:
    if _is_p1(symbol):
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(SpaceGroup(re.sub(r"[\s_]", "", symbol)).int_number)
    except (ValueError, KeyError):
        return None


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
