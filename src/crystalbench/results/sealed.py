"""Sealed files: JSON with a digest of its content, written once and checked whenever it is read."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from crystalbench._validation import first_problem
from crystalbench.errors import ConfigError, RecordError


class NewerFormatError(RecordError):
    """A file was written by a newer version of CrystalBench; it is not damaged."""


class Frozen(BaseModel):
    """Base of everything in a sealed file: immutable, and unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Sealed(Frozen):
    """The content of a sealed file.

    Attributes:
        noun: the word for the content in messages.
        remedy: what to do with a damaged file, for messages.
    """

    noun: ClassVar[str]
    remedy: ClassVar[str]

    def to_json(self) -> str:
        """Text of the file: the content and its digest, one line per field."""
        return seal(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, text: str, name: str = "") -> Self:
        """Read the text of a file.

        Args:
            text: the text.
            name: name of the file, for messages.

        Raises:
            RecordError: the content is incomplete or of another kind, or it was changed after it was written.
        """
        name = name or cls.noun
        try:
            body, unchanged = unseal(text)
            if unchanged:
                cls._check_format(body, name)
            found = cls.model_validate(body)
        except (ValueError, KeyError, AttributeError, TypeError, ValidationError) as error:
            raise RecordError(f"{name}: is not a complete {cls.noun} ({first_problem(error)}); {cls.remedy}") from error
        if not unchanged:
            raise RecordError(f"{name}: was changed after it was written (its digest differs); {cls.remedy}")
        try:
            found.check_content()
        except ConfigError as error:
            raise RecordError(f"{name}: is not a valid {cls.noun} ({error}); {cls.remedy}") from error
        return found

    def check_content(self) -> None:
        """Check what the types of the fields do not say.

        Raises:
            ConfigError: the content is invalid.
        """

    @classmethod
    def _check_format(cls, body: dict[str, Any], name: str) -> None:
        written_by, known = body.get("format"), cls.model_fields["format"].default
        if isinstance(written_by, int) and written_by > known:
            raise NewerFormatError(
                f"{name}: has format {written_by} of a newer CrystalBench, and this version reads up to {known}; "
                "update CrystalBench, or choose another folder"
            )


def digest(body: Any) -> str:
    """SHA-256 of a JSON value, independent of the order of its keys."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def seal(body: dict[str, Any]) -> str:
    """Text of a sealed file: one line per field, then the digest."""
    lines = [f" {json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in body.items()]
    lines.append(f' "digest": "{digest(body)}"')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def unseal(text: str) -> tuple[dict[str, Any], bool]:
    """Content of a sealed file, and whether its digest is right.

    Raises:
        ValueError: the text is not JSON.
        KeyError: there is no digest.
        AttributeError, TypeError: the JSON is not an object.
    """
    body = json.loads(text)
    written = body.pop("digest")
    return body, written == digest(body)
