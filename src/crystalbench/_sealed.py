"""Files that are written once: JSON with a digest of its content, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from crystalbench.errors import RecordError

_Model = TypeVar("_Model", bound=BaseModel)


def digest(body: Any) -> str:
    """SHA-256 of what JSON can hold, whatever the order of its keys."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def seal(body: dict[str, Any]) -> str:
    """A file's text: the content, one line for each field, and its digest."""
    lines = [f" {json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in body.items()]
    lines.append(f' "digest": "{digest(body)}"')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def unseal(text: str) -> tuple[dict[str, Any], bool]:
    """A file's content, and whether its digest is right.

    Raises:
        ValueError: it is not JSON.
        KeyError: it has no digest.
        AttributeError, TypeError: it is not a table.
    """
    body = json.loads(text)
    written = body.pop("digest")
    return body, written == digest(body)


def read_sealed(model: type[_Model], text: str, name: str, kind: str, remedy: str) -> _Model:
    """What a file's text holds, checked to be whole and unchanged.

    Args:
        model: what it should hold.
        text: the file's text.
        name: of the file, for messages.
        kind: what the file is called, e.g. ``record``.
        remedy: what to do with a damaged one.

    Raises:
        RecordError: it holds something else, or was changed after it was written.
    """
    try:
        body, unchanged = unseal(text)
        found = model.model_validate(body)
    except (ValueError, KeyError, AttributeError, TypeError, ValidationError) as error:
        raise RecordError(f"{name}: is not a whole {kind} ({in_words(error)}); {remedy}") from error
    if not unchanged:
        raise RecordError(f"{name}: was changed after it was written (its digest differs); {remedy}")
    return found


def in_words(error: Exception) -> str:
    """What is wrong with a file's content, in one line."""
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def write_whole(path: Path, text: str, message: str) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path: the file; its folder is made.
        text: its content.
        message: what to tell where it cannot be written, with ``{reason}`` in its place.

    Raises:
        RecordError: the folder cannot be written or the disk is full.
    """
    scratch = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=".", suffix=".part", delete=False
        ) as file:
            scratch = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.chmod(0o644)
        scratch.replace(path)
    except OSError as error:
        if scratch is not None:
            scratch.unlink(missing_ok=True)
        raise RecordError(f"{path}: {message.format(reason=error.strerror or error)}") from error


def plain_name(name: str, otherwise: str = "model") -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).strip(".-") or otherwise
