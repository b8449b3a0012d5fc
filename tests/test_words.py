"""Counts, articles and types in messages."""

from __future__ import annotations

import doctest

import pytest

from crystalbench import _words
from crystalbench._words import one_of_types


def test_the_examples_hold() -> None:
    found = doctest.testmod(_words)
    assert found.attempted >= 4 and not found.failed


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ((int,), "an integer"),
        ((float, int), "a number"),
        ((float, type(None), int), "a number or None"),
        ((bool, str), "a boolean or a string"),
        ((tuple,), "a tuple"),
    ],
)
def test_types_are_alternatives(kinds: tuple[type, ...], words: str) -> None:
    assert one_of_types(kinds) == words
