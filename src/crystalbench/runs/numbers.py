"""Checks of the numbers that users pass to runs: whole, and within bounds."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from crystalbench.errors import ConfigError

LARGEST_SEED = 2**32 - 1
MOST_PROCESSES = 1024
"""Largest number of threads or worker processes; more are a typing error."""


def whole_number(name: str, value: Any, least: int, most: int | None = None) -> int:
    """A value as an int; NumPy integers are accepted.

    Args:
        name: name of the argument, for messages.
        value: the value.
        least: smallest allowed value.
        most: largest allowed value; no bound by default.

    Raises:
        ConfigError: the value is not a whole number, or out of bounds.

    Example:
        >>> whole_number("workers", 2, least=1)
        2
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ConfigError(f"{name} = {value!r}: give a whole number")
    if number < least or (most is not None and number > most):
        bounds = f"must be at least {least}" if most is None else f"must be between {least} and {most}"
        raise ConfigError(f"{name} = {number}: it {bounds}")
    return number


def whole_numbers(
    name: str, values: Iterable[Any] | None, least: int | None = None, most: int | None = None
) -> list[int]:
    """Several whole numbers as a list; None stands for an empty selection, i.e. for all.

    Raises:
        ConfigError: this is no list, the list is empty, or an element is not a whole number or out of bounds.
    """
    if values is None:
        return []
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ConfigError(f"{name} = {values!r}: give a list of whole numbers, e.g. [0, 1]")
    smallest = -(2**63) if least is None else least
    numbers = [whole_number(name, value, smallest, most) for value in values]
    if not numbers:
        raise ConfigError(f"{name} is empty, so nothing would run; leave it out for the default")
    return numbers
