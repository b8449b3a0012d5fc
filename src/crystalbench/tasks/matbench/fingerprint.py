"""A fingerprint of the content of a task that does not depend on how its file was compressed or written.

The hash of a file changes when it is compressed again; the formulas and targets do not. Each row becomes a line
``formula|target``: the formula of the cell in a normal form, and the target with nine significant digits (a label as
0 or 1). The fingerprint is the SHA-256 of these lines in official order.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike
from pymatgen.core.composition import Composition

from crystalbench.data.elements import SYMBOLS
from crystalbench.errors import DataError

_NUMBER_OF = {symbol: number for number, symbol in enumerate(SYMBOLS) if symbol}
_TERM = re.compile(r"([A-Z][a-z]?)\s*(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)?\s*")


def normal_formula(formula: str | Mapping[str, float]) -> str:
    """Write the formula of a cell in a normal form: elements by atomic number, amounts as ``%.6g``.

    Args:
        formula: a formula such as ``"Ba1 Mg2 Ge2"``, ``"Ag(AuS)2"`` or ``"Fe0.620C0.000953"``, or amounts by element
            symbol, for instance ``Compositions.amounts_of(i)``.

    Returns:
        The normal form, for instance ``"Mg2 Ge2 Ba1"``. Amounts are those of the cell, not reduced.

    Raises:
        DataError: an element is unknown, or the formula cannot be parsed.

    Examples:
        >>> normal_formula("Ba1 Mg2 Ge2")
        'Mg2 Ge2 Ba1'
        >>> normal_formula("Ag(AuS)2")
        'S2 Ag1 Au2'
    """
    amounts = _parse(formula) if isinstance(formula, str) else formula
    try:
        ordered = sorted(amounts.items(), key=lambda term: _NUMBER_OF[term[0]])
    except KeyError as error:
        raise DataError(f"Formula {formula!r} has the unknown element {error.args[0]!r}.") from None
    return " ".join([f"{symbol}{amount:.6g}" for symbol, amount in ordered])


def content_fingerprint(formulas: Iterable[str | Mapping[str, float]], targets: ArrayLike) -> str:
    """Hash the formulas and targets of a task in their order.

    Args:
        formulas: formula of the cell of each row, n entries in any form that `normal_formula` accepts.
        targets: target of each row, shape (n,): numbers in the unit of the task, or booleans.

    Returns:
        The SHA-256 of the lines ``formula|target``, 64 hexadecimal digits.

    Raises:
        DataError: the lengths differ, a target is not a finite number, or a formula cannot be parsed.

    Examples:
        >>> content_fingerprint(["NaCl", "Cl1 Na1"], [1.5, 2.0])[:12]
        'b6ddd63ce349'
    """
    rows = list(formulas)
    values = np.asarray(targets, dtype=np.float64) + 0.0  # + 0.0 turns -0.0 into 0.0
    if values.shape != (len(rows),):
        raise DataError(
            f"There are {len(rows)} formulas, but the targets have shape {values.shape}; give one target per formula."
        )
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise DataError(f"The target of row {row} is {values[row]}; targets must be finite numbers.")
    known: dict[str, str] = {}
    digest = hashlib.sha256()
    for formula, value in zip(rows, values.tolist(), strict=True):
        if isinstance(formula, str):
            normal = known.get(formula) or known.setdefault(formula, normal_formula(formula))
        else:
            normal = normal_formula(formula)
        digest.update(f"{normal}|{value:.9g}\n".encode())
    return digest.hexdigest()


def _parse(formula: str) -> Mapping[str, float]:
    """Amounts by element symbol. Formulas without parentheses are parsed here, which is faster; others by pymatgen."""
    amounts: dict[str, float] = {}
    position, text = 0, formula.strip()
    while position < len(text):
        term = _TERM.match(text, position)
        if term is None:
            return _parse_with_pymatgen(text)
        symbol, amount = term.groups()
        amounts[symbol] = amounts.get(symbol, 0.0) + (float(amount) if amount else 1.0)
        position = term.end()
    if not amounts:
        raise DataError("A formula is empty.")
    return amounts


def _parse_with_pymatgen(formula: str) -> Mapping[str, float]:
    try:
        return Composition(formula).get_el_amt_dict()
    except ValueError as error:
        raise DataError(f"Formula {formula!r} cannot be parsed: {error}.") from error
