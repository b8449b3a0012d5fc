"""The docstring examples of `crystalbench.data` and `crystalbench.tasks` give the output that they state."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import crystalbench.data
import crystalbench.tasks

MODULES = [
    module.name
    for package in (crystalbench.data, crystalbench.tasks)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder()
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) >= 10
