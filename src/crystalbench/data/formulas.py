"""Parse chemical formulas into amounts of elements. Ambiguous formulas are errors; nothing is guessed."""

from __future__ import annotations

import math
import re
from functools import lru_cache

from pymatgen.core import Composition

from crystalbench.data.elements import MAX_Z, SYMBOLS, atomic_number

_WATER = re.compile(
    r"^(?P<salt>.+?)\s*[.]\s*(?P<count>\d*(?:\.\d+)?)\s*(?P<part>H2O1?|D2O1?|OH2|OD2|HOH|\((?:H2O|D2O)\))$"
)
_DOT = re.compile(r"[·•∙⋅‧・]")
_PART = re.compile(r"^(?P<count>\d+(?:\.\d+)?)?(?P<part>[A-Z(\[].*)$")
_OXIDATION = re.compile(r"\(\s*[IVX]+\s*\)|I\s*[IV](?![a-z])|(?<=[A-Za-z])V\s*I(?![a-z\d])")
_SIGN = re.compile(r"(?<!\de)[+\-−]")  # 1e-3 is an amount
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_DECIMALS = re.compile(r"(?:[A-Z][a-z]?0?\.\d+\s*)+")
_BARE_DOT = re.compile(r"[A-Za-z)\]]\s*\.")
_COUNT = re.compile(r"(?<![\d.])(?P<before>\d+)\.(?P<after>[1-9]\d*)\s*(?=[A-Z(\[])")
_SYMBOL = re.compile(r"[A-Z][a-z]?")
_MOLECULE = re.compile(
    r"\(?(?:H2O|D2O|OH2|OD2|HOH|NH3|N2H4|H2S|H2O2|H[FI]|H(?:Cl|Br)|CO2?|SO[23]|NO2?|CH4|CH3OH|C2H5OH|C2H6O|CH3CN|C6H6)\)?"
)
_ZERO = re.compile(r"[A-Za-z)\]]0+(?:\.0*)?(?![\d.])")
_WATER_WITH_A_ZERO = re.compile(r"[.·•∙⋅‧・]\s*\d*\s*[HD]20$")
_LEADING_ZERO = re.compile(r"[A-Za-z)\]]0\d+")
_ZERO_FOR_O = re.compile(r"(?:H(?=20$)|(?!C\d)[A-Z][a-z]?(?=[2-9]0[1-9]$))(\d+)")
"""Elements alone, such as ``Al203``, and ``H20``; fullerenes have such amounts. ``Mn20`` is the content of a cell."""
_ISOTOPE = re.compile(r"(?:Po|Ra|Th|Pa|U|Np|Pu|Am|Cm)2[0-4]\d(?![\d.])")
_LEAST = 1e-8
"""Smallest atomic fraction; pymatgen drops smaller amounts."""


def parse_formula(formula: str) -> tuple[tuple[int, float], ...]:
    """Atomic numbers and amounts of a formula such as ``Ag(AuS)2``, ``Fe0.62Ni0.38`` or ``CuSO4·5H2O``.

    A dot before water at the end, as in ``CuSO4.5H2O``, separates it; other dots are decimal points.

    Returns:
        Pairs in order of atomic number.

    Raises:
        ValueError: the formula is not text, is empty, is ambiguous, has an amount of zero, or contains a symbol that is
            not an element.
    """
    if not isinstance(formula, str):
        raise ValueError("it is not text")
    return _parse(formula)


@lru_cache(maxsize=65536)
def _parse(formula: str) -> tuple[tuple[int, float], ...]:
    text = formula.strip().translate(_SUBSCRIPTS)
    if not text:
        raise ValueError("it is empty")
    if mark := _OXIDATION.search(text):
        raise ValueError(f"{mark[0]} is an oxidation state or iodine; leave oxidation states out")
    if mark := _WATER_WITH_A_ZERO.search(text):
        raise ValueError(f"{mark[0].strip('. ')} ends with the digit zero; write H2O with the letter O")
    if mark := _LEADING_ZERO.search(text):
        raise ValueError(f"{mark[0]} has a leading zero; write the letter O, or the amount without it")
    if mark := _ZERO_FOR_O.fullmatch(text):
        raise ValueError(
            f"{mark[1]} may be {mark[1].replace('0', 'O')} with the digit zero; write the letter O, or {mark[1]}.0 for "
            "the amount"
        )
    if mark := _ISOTOPE.search(text):
        raise ValueError(f"{mark[0]} is an isotope, or an amount; write the element, or {mark[0]}.0 for the amount")
    if "@" in text:
        raise ValueError("@ joins two materials; write one formula")
    if _SIGN.search(text):
        raise ValueError("it has a charge or a range; write amounts only")
    amounts: dict[int, float] = {}
    for part, factor in _parts(text):
        if _ZERO.search(part) or not factor:
            raise ValueError("it has an amount of zero")
        for number, amount in _amounts_of(part).items():
            amounts[number] = amounts.get(number, 0.0) + factor * amount
    total = sum(amounts.values())
    if not math.isfinite(total):
        raise ValueError("it has an amount that is not finite")
    if small := [number for number, amount in amounts.items() if amount < _LEAST * total]:
        raise ValueError(f"its amount of {SYMBOLS[small[0]]} is less than {_LEAST:g} of all atoms")
    return tuple(sorted(amounts.items()))


def _amounts_of(part: str) -> dict[int, float]:
    """Amounts by atomic number of a formula without adducts.

    Raises:
        ValueError: it cannot be read, or pymatgen ignores a part of it.
    """
    symbols = _SYMBOL.findall(part)
    if "T" in symbols:
        raise ValueError("T is tritium or stands for any metal; write H, or the metal")
    amounts: dict[int, float] = {}
    for species, amount in Composition(part).items():
        number = int(species.Z)
        if not 1 <= number <= MAX_Z:  # pymatgen reads X and unknown symbols as dummies
            raise ValueError(f"{species.symbol} is not an element")
        amounts[number] = amounts.get(number, 0.0) + float(amount)
    if dropped := sorted({atomic_number(symbol) for symbol in symbols} - amounts.keys()):
        raise ValueError(f"its amount of {SYMBOLS[dropped[0]]} is zero or too small")
    if not amounts:
        raise ValueError("it holds no element")
    return amounts


def _parts(text: str) -> list[tuple[str, float]]:
    """The parts of an adduct such as a hydrate, with their coefficients."""
    if not _DOT.search(text) and (water := _WATER.match(text)):
        _require_decimals(water["salt"])
        return [(water["salt"], 1.0), (water["part"], float(water["count"] or 1))]
    found = []
    for place, piece in enumerate(_DOT.split(text)):
        _require_decimals(piece)
        match = _PART.match(piece.strip())
        if match is None:
            raise ValueError(f"its part {piece!r} cannot be read")
        if match["count"] and not place:
            raise ValueError(f"it begins with a number ({match['count']})")
        found.append((match["part"], float(match["count"] or 1)))
    return found


def _require_decimals(text: str) -> None:
    """Refuse dots that may separate an adduct, as in ``Na2O.2SiO2``, ``Al2O3.2SiO2`` or ``MgCl2.6NH3``.

    Such a dot follows no digit, or an element occurs on both sides of it, or a molecule follows.

    Raises:
        ValueError: says how to write either reading.
    """
    remedy = "write · before a part, or 0.5 for an amount"
    if _BARE_DOT.search(text) and not _DECIMALS.fullmatch(text):
        raise ValueError(f"its dot may be decimal or separate a part; {remedy}")
    for found in _COUNT.finditer(text):
        left, right = text[: found.start()], text[found.end() :]
        repeated = set(_SYMBOL.findall(left)) & set(_SYMBOL.findall(right))
        if found["before"] not in ("0", "1") and (repeated or _MOLECULE.fullmatch(right)):
            raise ValueError(f"the dot in {found[0].strip()} may be decimal or separate {right!r}; {remedy}")
