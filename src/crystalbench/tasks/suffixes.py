"""Names of tasks that are made of any other task: its name, followed by what is different."""

from __future__ import annotations

import re

SHUFFLED = "+shuffled_labels"
"""What the name of the label-shuffle control adds to that of the task."""

DESCRIPTOR = "+descriptor:"
"""What precedes the name of a descriptor in the name of a task whose target it is."""

_SUFFIXES = re.compile(rf"({re.escape(DESCRIPTOR)}\w*)?({re.escape(SHUFFLED)})?$")


def divided(name: str) -> tuple[str, str]:
    """The name of the task itself, and what follows it.

    Examples:
        >>> divided("matbench_phonons+descriptor:density+shuffled_labels")
        ('matbench_phonons', '+descriptor:density+shuffled_labels')
        >>> divided("mine.toml")
        ('mine.toml', '')
    """
    found = _SUFFIXES.search(name)
    place = len(name) if found is None else found.start()
    return name[:place], name[place:]


def is_made_of_another(name: str) -> bool:
    """Whether a task has the inputs of another one with other targets, so that leaderboards do not have it."""
    return bool(divided(name)[1])
