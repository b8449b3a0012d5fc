"""Chemical symbols and atomic numbers."""

from __future__ import annotations

from functools import lru_cache

from pymatgen.core import Element

MAX_Z = 118
"""Largest atomic number."""

SYMBOLS: tuple[str, ...] = ("", *(Element.from_Z(z).symbol for z in range(1, MAX_Z + 1)))
"""Chemical symbols, indexed by atomic number; entry 0 is empty."""


@lru_cache(maxsize=256)
def atomic_number(symbol: str) -> int:
    """Atomic number of an element symbol; ``D`` and ``T`` are hydrogen.

    Raises:
        ValueError: there is no such element.
    """
    return int(Element(symbol).Z)
