"""The members of a stack as text: ``descriptor_forest + hybrid_sen(epochs=50)``.

The complete text of a member contains the version of its class and all hyperparameters, so that a text determines the
predictions: a stack has it as a hyperparameter, and keys of runs are made of hyperparameters.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Self

from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.evaluation.stacks import split
from crystalbench.models.model import Model
from crystalbench.models.registry import get_model, model_names

_MEMBER = re.compile(r"(?P<name>[^\s()@]+)(?:@(?P<version>\d+))?\s*(?:\((?P<parameters>.*)\))?", re.DOTALL)
_EXAMPLE = "write members as in descriptor_forest + hybrid_sen(epochs=50, bank=gong28)"


@dataclass(frozen=True)
class Member:
    """A registered model with its hyperparameters.

    Attributes:
        name: registered name.
        model: its class.
        parameters: all hyperparameters.
    """

    name: str
    model: type[Model]
    parameters: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one member.

        Raises:
            ConfigError: the text cannot be read, the class has another version, or a hyperparameter is not valid.
            UnknownNameError: no registered model has this name.
        """
        found = _MEMBER.fullmatch(text.strip())
        if found is None:
            raise ConfigError(f"{text.strip()!r} is not a member; {_EXAMPLE}")
        name, version = found["name"], found["version"]
        if name not in (known := model_names()):
            raise UnknownNameError("registered model, which members have to be", name, known)
        model = get_model(name)
        if version is not None and int(version) != model.version:
            raise ConfigError(
                f"member {name}@{version}: this is version {model.version} of the model, which may predict "
                f"differently; leave @{version} out to use it"
            )
        return cls(name, model, model.from_configuration(_assignments(found["parameters"] or "")).configuration())

    def __str__(self) -> str:
        """The complete text; `parse` reads it."""
        values = ", ".join(f"{name}={_text_of(value)}" for name, value in self.parameters.items())
        return f"{self.name}@{self.model.version}({values})"

    def new(self) -> Model:
        """A new model."""
        return self.model.from_configuration(self.parameters)


def parse_members(text: str) -> tuple[Member, ...]:
    """Read all members of a stack, which are separated by ``+``.

    Raises:
        ConfigError: there are fewer than two, nothing precedes or follows a ``+``, or a member cannot be read.
        UnknownNameError: a name is not that of a registered model.
    """
    parts = list(split(text, "+"))
    if len(parts) < 2:
        raise ConfigError(f"members = {text!r}: a stack has at least two members; {_EXAMPLE}")
    if not all(part.strip() for part in parts):
        raise ConfigError(f"members = {text!r}: a member is missing before or after a +; {_EXAMPLE}")
    return tuple(Member.parse(part) for part in parts)


def _assignments(text: str) -> dict[str, Any]:
    """The hyperparameters in the parentheses of a member."""
    found: dict[str, Any] = {}
    for name, value in map(_assignment, split(text, ",") if text.strip() else ()):
        if name in found:
            raise ConfigError(f"the hyperparameter {name} is given twice in ({text.strip()}); leave one of them out")
        found[name] = value
    return found


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not text.strip():
        raise ConfigError(f"a hyperparameter is missing before or after a comma; {_EXAMPLE}")
    if not equals:
        raise ConfigError(f"{text.strip()!r} is not a hyperparameter with its value; {_EXAMPLE}")
    try:
        return name.strip(), json.loads(value)
    except json.JSONDecodeError:  # text without quotes
        return name.strip(), value.strip()


def _text_of(value: Any) -> str:
    """A value as `_assignment` reads it; text without quotes if that is read as text, too."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w.-]*", value) and value not in ("true", "false", "null"):
        return value if value not in ("NaN", "Infinity") else json.dumps(value)
    return json.dumps(value)
