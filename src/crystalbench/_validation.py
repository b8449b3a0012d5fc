"""Readable messages for pydantic's errors: which key is wrong, what it should be, and the closest known name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from crystalbench.errors import UnknownNameError

Sections = Mapping[tuple[str, ...], type[BaseModel]]
"""The models of the sections of a file, by the path of the section."""


def problems(error: ValidationError, sections: Sections | None = None) -> list[str]:
    """All problems, one line each, in the order in which pydantic reports them.

    Args:
        error: raised by a model.
        sections: models by path, to suggest the closest key for an unknown one. A path has no list positions:
            ``models.3.parameter`` is looked up under ``("models",)``.
    """
    return list(dict.fromkeys(_problem(dict(entry), sections or {}) for entry in error.errors()))


def first_problem(error: Exception) -> str:
    """One line about any exception that was raised while a file was read."""
    if isinstance(error, ValidationError):
        return problems(error)[0]
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _problem(entry: dict[str, Any], sections: Sections) -> str:
    path = entry["loc"]
    key = ".".join(map(str, path))
    if entry["type"] == "extra_forbidden":
        return f"{key}: {UnknownNameError('key', str(path[-1]), _known_keys(path, sections))}"
    if entry["type"] == "missing":
        return f"{key}: is missing"
    message = str(entry["msg"]).removeprefix("Value error, ")
    value = entry.get("input")
    shown = f" (given: {value!r})" if isinstance(value, (str, int, float, bool)) else ""
    return f"{key}: {message}{shown}" if key else message


def _known_keys(path: tuple[int | str, ...], sections: Sections) -> list[str]:
    # pydantic's path contains the member of a union, e.g. ("models", 0, "ModelEntry", "modle").
    names = tuple(part for part in path[:-1] if isinstance(part, str) and not part[:1].isupper())
    section = sections.get(names)
    return [field.alias or name for name, field in section.model_fields.items()] if section else []
