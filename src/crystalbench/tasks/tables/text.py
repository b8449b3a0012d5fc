"""Texts in tables: which stand for a missing value, and which look the same although they differ."""

from __future__ import annotations

import unicodedata
from typing import Any

MISSING = frozenset(
    (
        *("", "nan", "-nan", "na", "n/a", "n.a.", "null", "none", "nat", "<na>"),
        *("#n/a", "#na", "#n/a n/a", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
    )
)
"""Texts that stand for a missing value, in lower case: those of pandas and of spreadsheets."""

_LATIN = str.maketrans(
    "АВЕЅІЈКМНОРСТХаеосрхуѕіјΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",
    "ABESIJKMHOPCTXaeocpxysijABEZHIKMNOPTYXo",
)
"""Latin letters that Cyrillic and Greek ones look like."""


def is_missing(value: Any) -> bool:
    """Whether a value of a table is missing: None, NaN, or a text such as ``NA`` or ``null``."""
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    return value is None or value != value


def visible(text: str) -> str:
    r"""A text without what nobody sees: characters without width, forms of composition, and kinds of blanks.

    Examples:
        >>> visible("a\u200b\u00a0 b ")
        'a b'
    """
    shown = (char for char in unicodedata.normalize("NFC", text) if unicodedata.category(char) != "Cf")
    return " ".join("".join(shown).split())


def look(text: str) -> str:
    r"""What two texts have in common that look alike: `visible`, also without differences in case, dashes and scripts.

    Examples:
        >>> look("Non\u2010Metal") == look("non-metal")
        True
    """
    shown = visible(unicodedata.normalize("NFKC", text)).translate(_LATIN).replace("\u2212", "-")
    return "".join("-" if unicodedata.category(char) == "Pd" else char for char in shown).casefold()
