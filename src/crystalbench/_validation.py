"""Errors of pydantic in words: which key is wrong, what it should be, and the nearest known name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from crystalbench.errors import UnknownNameError

Sections = Mapping[tuple[str, ...], type[BaseModel]]
"""Models that check the sections of a file, by the place of the section."""


def problems(error: ValidationError, sections: Sections | None = None) -> list[str]:
    """Every problem in one line each, in the order in which pydantic reports them.

    Args:
        error: raised by a model.
        sections: models by place, to suggest the nearest key where one is unknown. List positions are left out of a
            place: ``models.3.parameter`` is looked up under ``("models",)``.
    """
    return list(dict.fromkeys(_problem(dict(entry), sections or {}) for entry in error.errors()))


def first_problem(error: Exception) -> str:
    """What is wrong, in one line, for any error raised while a file is read."""
    if isinstance(error, ValidationError):
        entry = error.errors()[0]
        return f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _problem(entry: dict[str, Any], sections: Sections) -> str:
    place = entry["loc"]
    key = ".".join(map(str, place))
    if entry["type"] == "extra_forbidden":
        return f"{key}: {UnknownNameError('key', str(place[-1]), _known_keys(place, sections))}"
    if entry["type"] == "missing":
        return f"{key}: is missing"
    message = str(entry["msg"]).removeprefix("Value error, ")
    given = entry.get("input")
    shown = f" (given: {given!r})" if isinstance(given, (str, int, float, bool)) else ""
    return f"{key}: {message}{shown}" if key else message


def _known_keys(place: tuple[int | str, ...], sections: Sections) -> list[str]:
    # Pydantic names the member of a union in the place, e.g. ("models", 0, "ModelEntry", "modle").
    names = tuple(part for part in place[:-1] if isinstance(part, str) and not part[:1].isupper())
    section = sections.get(names)
    return [field.alias or name for name, field in section.model_fields.items()] if section else []
