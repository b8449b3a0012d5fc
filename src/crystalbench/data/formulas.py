"""Parse chemical formulas into amounts of elements. Ambiguous formulas are errors; nothing is guessed."""

from __future__ import annotations

import re
from functools import lru_cache

from pymatgen.core import Composition

from crystalbench.data.elements import MAX_Z

_WATER = re.compile(r"^(?P<salt>.+?)[.](?P<count>\d*(?:\.\d+)?)(?P<part>H2O|D2O)$")
_DOT = re.compile(r"[·•∙⋅]")
_PART = re.compile(r"^(?P<count>\d+(?:\.\d+)?)?(?P<part>[A-Z(\[].*)$")
_OXIDATION = re.compile(r"\(\s*[IVX]+\s*\)")
_SIGN = re.compile(r"(?<!\de)[+\-−]")  # 1e-3 is an amount
_ZERO = re.compile(r"[A-Za-z)\]]0+(?:\.0*)?(?![\d.])")


@lru_cache(maxsize=65536)
def parse_formula(formula: str) -> tuple[tuple[int, float], ...]:
    """Atomic numbers and amounts of a formula such as ``Ag(AuS)2``, ``Fe0.62Ni0.38`` or ``CuSO4·5H2O``.

    A dot before water at the end, as in ``CuSO4.5H2O``, separates it; other dots are decimal points.

    Returns:
        Pairs in order of atomic number.

    Raises:
        ValueError: the formula is empty, is ambiguous, has an amount of zero, or contains a symbol that is
            not an element.
    """
    if not isinstance(formula, str) or not formula.strip():
        raise ValueError("it is empty")
    text = formula.strip()
    if mark := _OXIDATION.search(text):
        raise ValueError(f"{mark[0]} is an oxidation state or iodine; leave oxidation states out")
    if _ZERO.search(text):
        raise ValueError("it has an amount of zero")
    if _SIGN.search(text):
        raise ValueError("it has a charge or a range; write amounts only")
    amounts: dict[int, float] = {}
    for part, factor in _parts(text):
        for species, amount in Composition(part).items():
            number = int(species.Z)
            if not 1 <= number <= MAX_Z:  # pymatgen reads X and unknown symbols as dummies
                raise ValueError(f"{species} is not an element")
            amounts[number] = amounts.get(number, 0.0) + factor * float(amount)
    entries = tuple(sorted((z, amount) for z, amount in amounts.items() if amount > 0))
    if not entries:
        raise ValueError("it holds no element")
    return entries


def _parts(text: str) -> list[tuple[str, float]]:
    """The parts of an adduct such as a hydrate, with their coefficients."""
    if not _DOT.search(text) and (water := _WATER.match(text)):
        return [(water["salt"], 1.0), (water["part"], float(water["count"] or 1))]
    found = []
    for place, piece in enumerate(_DOT.split(text)):
        match = _PART.match(piece.strip())
        if match is None:
            raise ValueError(f"its part {piece!r} cannot be read")
        if match["count"] and not place:
            raise ValueError(f"it begins with a number ({match['count']})")
        found.append((match["part"], float(match["count"] or 1)))
    return found
