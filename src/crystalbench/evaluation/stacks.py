"""Short names of stacks: their members, with only those hyperparameters in which stacks of one board differ.

The pretrained potential that a member reads is always named.

The complete text of the members of a stack, such as ``dummy@1() + magpie_forest@2(trees=7, aggregate=median)``, names
every hyperparameter of every member (`crystalbench.models.members`), which is too long for a table.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_MEMBER = re.compile(r"(?P<name>[^\s()@]+)@(?P<version>\d+)\((?P<parameters>.*)\)", re.DOTALL)


_ALWAYS = frozenset({"potential"})
"""Hyperparameters that are always shown."""


class _Member(NamedTuple):
    name: str
    facts: dict[str, str]
    """Hyperparameters as text, and the version, whose name is ``@``."""


def short_members(texts: Sequence[str]) -> list[str] | None:
    """Short texts of the members of stacks, which differ where the complete ones do.

    A member has those of its hyperparameters, and its version, in which members of the same name differ, and its
    potential.

    Args:
        texts: complete texts of the members of each stack.

    Returns:
        A text for each; None if one cannot be read, or differs from another only in how it is written.

    Examples:
        >>> short_members(["dummy@1() + cgcnn@3(width=64, layers=2)", "dummy@1() + cgcnn@3(width=32, layers=2)"])
        ['dummy + cgcnn(width=64)', 'dummy + cgcnn(width=32)']
    """
    stacks = [[_read(part) for part in split(text, "+")] for text in texts]
    values: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    alike: dict[str, list[dict[str, str]]] = defaultdict(list)
    for stack in stacks:
        for member in stack:
            if member is None:
                return None
            alike[member.name].append(member.facts)
    for name, several in alike.items():
        for fact in {fact for facts in several for fact in facts}:
            values[name, fact] = {facts.get(fact) for facts in several}
    found = []
    for stack in stacks:
        parts = []
        for member in filter(None, stack):
            shown = {
                fact: text
                for fact, text in member.facts.items()
                if fact in _ALWAYS or len(values[member.name, fact]) > 1
            }
            version = f"@{shown.pop('@')}" if "@" in shown else ""
            parameters = ", ".join(f"{fact}={text}" for fact, text in shown.items())
            parts.append(f"{member.name}{version}({parameters})" if parameters else f"{member.name}{version}")
        found.append(" + ".join(parts))
    return found if len(set(found)) == len(set(texts)) else None


def split(text: str, separator: str) -> Iterator[str]:
    """The parts between separators that are neither in parentheses nor in a JSON string."""
    depth, quoted, escaped, part = 0, False, False, ""
    for character in text:
        if character == '"' and not escaped:
            quoted = not quoted
        escaped = quoted and character == "\\" and not escaped
        if not quoted:
            depth += (character == "(") - (character == ")")
        if character == separator and depth == 0 and not quoted:
            yield part
            part = ""
        else:
            part += character
    yield part


def _read(text: str) -> _Member | None:
    found = _MEMBER.fullmatch(text.strip())
    if found is None:
        return None
    facts = {"@": found["version"]}
    for assignment in split(found["parameters"], ",") if found["parameters"].strip() else ():
        name, equals, value = assignment.partition("=")
        if not equals:
            return None
        facts[name.strip()] = value.strip()
    return _Member(found["name"], facts)
