"""How the tasks of a suite are named by others that are made of them."""

from __future__ import annotations

from collections.abc import Iterable

from crystalbench.tasks import resolve_tasks


def places_of(entries: Iterable[str]) -> dict[str, str]:
    """The task file of each task that has one, and the name of each other, by name.

    Args:
        entries: names, patterns and task files of a suite.
    """
    return {
        spec.name: entry if entry.endswith(".toml") else spec.name
        for entry in entries
        for spec in resolve_tasks([entry])
    }
