"""Words of messages: counts with the right number, types in English."""

from __future__ import annotations

from collections.abc import Iterable

_TYPES: dict[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a dictionary",
    type(None): "None",
}


def counted(number: int, singular: str, plural: str = "") -> str:
    """A number with its noun.

    Examples:
        >>> counted(1, "training row"), counted(1200, "row"), counted(2, "entry", "entries")
        ('1 training row', '1,200 rows', '2 entries')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def with_article(name: str) -> str:
    """A name with its indefinite article, which the first letter decides.

    Examples:
        >>> with_article("AttributeError"), with_article("tuple")
        ('an AttributeError', 'a tuple')
    """
    return f"{'an' if name[:1].lower() in tuple('aeiou') else 'a'} {name}"


def type_in_words(kind: type) -> str:
    """A type as a noun with its article.

    Examples:
        >>> type_in_words(int), type_in_words(str), type_in_words(complex)
        ('an integer', 'a string', 'a complex')
    """
    return _TYPES.get(kind) or with_article(kind.__name__)


def one_of_types(kinds: Iterable[type]) -> str:
    """Types as alternatives; numbers include integers.

    Examples:
        >>> one_of_types((int, type(None))), one_of_types((float, int))
        ('an integer or None', 'a number')
    """
    kinds = list(kinds)
    return " or ".join(type_in_words(kind) for kind in kinds if not (kind is int and float in kinds))
