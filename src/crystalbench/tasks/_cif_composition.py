"""What a CIF says about its atoms in several ways: formulas, weight, formula units and multiplicities must agree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pymatgen.core import Composition, Element, Structure

from crystalbench.errors import DataError
from crystalbench.tasks._cif_names import (
    FORMULAS,
    MULTIPLICITIES,
    ORDERS,
    OTHER_FORMULAS,
    UNITS,
    WEIGHT,
    column,
    known,
    number_of,
)

_SHARE = 0.02
"""Largest difference of an element's atomic fraction from that of the formula; formulas are rounded."""
_MASS = 0.005
"""Largest relative difference of the mass of the cell from a multiple, or fraction, of the formula weight."""
_FORMULA = re.compile(r"(?:[A-Z][a-z]?|\d+(?:\.\d+)?[+-]?|[+-]|[()\[\]{},.\s]|(?<=\))n)+")


def check_composition(block: Mapping[str, Any], structure: Structure, operations: int) -> None:
    """Compare the atoms of a structure with all that its CIF says about them.

    Args:
        block: data names and values.
        structure: the structure.
        operations: number of symmetry operations.

    Raises:
        DataError: something differs; says what.
    """
    if text := known(block, FORMULAS[:1]):
        _check_formula(block, structure, text)
    else:
        _check_weight(block, structure)
    for name in OTHER_FORMULAS:
        _check_elements(block, structure, name)
    _check_multiplicities(block, structure, operations)


def _check_formula(block: Mapping[str, Any], structure: Structure, text: str) -> None:
    try:
        formula = Composition(re.sub(r"D(?![a-z])", "H", text))
    except (ValueError, KeyError) as error:
        raise DataError(f"its CIF has the formula {text!r}, which cannot be read ({error})") from error
    sites = structure.composition.element_composition
    shares = {e: (formula.get_atomic_fraction(e), sites.get_atomic_fraction(e)) for e in {*formula, *sites}}
    if any(abs(a - b) > _SHARE for a, b in shares.values()):
        raise DataError(f"its CIF says {text}, but its sites give {structure.composition.formula}")
    units = number_of(str(block.get(UNITS, "")))
    # pymatgen writes the formula of the cell, and the units of the reduced formula.
    is_of_cell = round(formula.get_reduced_formula_and_factor()[1]) == units
    wanted = [formula.num_atoms * units, *([formula.num_atoms] if is_of_cell else [])]
    if units == units and not any(abs(structure.composition.num_atoms - n) < 0.02 * n for n in wanted):
        raise DataError(
            f"its CIF says {units:g} formula units of {text}, but its sites give {structure.composition.formula}"
        )


def _check_weight(block: Mapping[str, Any], structure: Structure) -> None:
    weight = number_of(str(block.get(WEIGHT, "")))
    if not weight > 0 or not structure.is_ordered:
        return
    ratio = float(structure.composition.weight) / weight
    ratio = ratio if ratio > 1 else 1 / ratio
    if abs(ratio - round(ratio)) > _MASS * ratio:
        raise DataError(
            f"its CIF says a formula weight of {weight:g}, but its sites give {structure.composition.formula} with "
            f"{float(structure.composition.weight):.5g}"
        )


def _check_elements(block: Mapping[str, Any], structure: Structure, name: str) -> None:
    """Refuse a structure that lacks elements of a formula in free form; other texts are names."""
    text = known(block, (name,))
    symbols = {"H" if symbol == "D" else symbol for symbol in re.findall(r"[A-Z][a-z]?", text)}
    if not _FORMULA.fullmatch(text) or not all(Element.is_valid_symbol(symbol) for symbol in symbols):
        return
    if lacking := sorted(symbols - {element.symbol for element in structure.composition.element_composition}):
        raise DataError(
            f"its CIF says {text} ({name}), but its sites give {structure.composition.formula}, without {lacking[0]}"
        )


def _check_multiplicities(block: Mapping[str, Any], structure: Structure, operations: int) -> None:
    """Compare the number of atoms with the multiplicities of the sites, and with the orders of their symmetry.

    Some programs write 1 for each, or the order of the site symmetry, which is inverse.
    """
    orders = [number_of(value) for value in column(block, ORDERS)]
    if orders and all(order >= 1 for order in orders) and structure.is_ordered:
        atoms = sum(operations / order for order in orders)
        if len(structure) != atoms:
            raise DataError(f"its CIF has sites with {atoms:g} atoms ({ORDERS}), but yields {len(structure)}")
    values = [number_of(value) for value in column(block, MULTIPLICITIES)]
    if not values or any(value != value for value in values) or set(values) == {1.0} or not structure.is_ordered:
        return
    inverse = sum(operations / value for value in values if value)
    if len(structure) not in (sum(values), inverse):
        raise DataError(f"its CIF has sites with {sum(values):g} atoms ({MULTIPLICITIES}), but yields {len(structure)}")
