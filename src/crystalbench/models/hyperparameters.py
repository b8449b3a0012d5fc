"""Hyperparameters, each declared once: an annotated dataclass field with its type, valid values and search space.

::

    width: Annotated[int, Ge(1), CategoricalDistribution((32, 64, 128))] = 64
    dropout: Annotated[float, Interval(ge=0, lt=1), FloatDistribution(0.0, 0.3)] = 0.1
    loss: Annotated[str, OneOf(("l1", "huber"))] = "l1"

Bounds are those of annotated-types: ``Ge``, ``Gt``, ``Le``, ``Lt``, ``Interval`` and ``MultipleOf``. The choices of a
text are given by `OneOf` or as ``Literal``, and `Registered` is the name of a plugin. An Optuna distribution is the
search space; a hyperparameter without one is not tuned. `ActsIf` is a condition without which a hyperparameter has no
effect and is not tuned. Other metadata is ignored.

A subclass that declares a field again to change its default, such as ``epochs: int = 150``, keeps the valid values of
its parent unless it declares its own. The search space is not inherited.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import types as python_types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, MultipleOf
from optuna.distributions import BaseDistribution

from crystalbench import plugins
from crystalbench._words import one_of_types
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models.names import title_of
from crystalbench.targets import Kind


@dataclass(frozen=True)
class OneOf:
    """The value must be one of these.

    Attributes:
        choices: the valid values.
    """

    choices: tuple[bool | int | float | str | None, ...]


@dataclass(frozen=True)
class ActsIf:
    """A condition without which a hyperparameter has no effect, and is therefore not tuned.

    It depends on the kind of the target and on the values of the other hyperparameters that the user has set or that
    are defaults. A search space must not contain values for which the condition of another hyperparameter changes.

    Attributes:
        holds: called with the kind and with all hyperparameters by name.
        text: the condition in words, such as ``regression only``.
    """

    holds: Callable[[Kind, Mapping[str, Any]], bool]
    text: str


@dataclass(frozen=True)
class Registered:
    """The value must be a registered name, or a place: ``package.module:Name`` or ``path/to/file.py:Name``.

    Attributes:
        group: entry-point group.
        what: what the object is, such as ``potential``.
        get: finds the object by name or place, and raises a `ConfigError` if it cannot be used.
    """

    group: str
    what: str
    get: Callable[[str], object]

    @property
    def names(self) -> tuple[str, ...]:
        """The registered names."""
        return tuple(sorted(plugins.registered(self.group)))


Constraint = Ge | Gt | Le | Lt | MultipleOf | OneOf | Registered


@dataclass(frozen=True)
class Hyperparameter:
    """The declaration of one hyperparameter.

    Attributes:
        name: the field's name.
        type: the declared type, without metadata.
        constraints: conditions on values, in addition to the type.
        distribution: the search space; None if the hyperparameter is not tuned.
        conditions: conditions without which it has no effect.
    """

    name: str
    type: Any
    constraints: tuple[Constraint, ...] = ()
    distribution: BaseDistribution | None = None
    conditions: tuple[ActsIf, ...] = ()

    @classmethod
    def from_hint(cls, name: str, declared: Any, annotated: Any) -> Hyperparameter:
        """Read a declaration from a type hint.

        Args:
            name: the field's name.
            declared: the type hint without metadata.
            annotated: the type hint with metadata.
        """
        constraints: list[Constraint] = []
        if typing.get_origin(declared) is typing.Literal:
            constraints.append(OneOf(typing.get_args(declared)))
        distribution = None
        metadata = _metadata(annotated)
        for extra in metadata:
            if isinstance(extra, BaseDistribution):
                distribution = extra
            parts: Iterable[Any] = extra if isinstance(extra, GroupedMetadata) else (extra,)
            constraints += [part for part in parts if isinstance(part, Constraint)]
        conditions = tuple(extra for extra in metadata if isinstance(extra, ActsIf))
        return cls(name, declared, tuple(constraints), distribution, conditions)

    @property
    def valid(self) -> str:
        """The valid values as text that continues "must be", such as ``in [0, 1)``; empty without constraints."""
        lower = [c for c in self.constraints if isinstance(c, Ge | Gt)]
        upper = [c for c in self.constraints if isinstance(c, Le | Lt)]
        parts = []
        if len(lower) == len(upper) == 1:
            parts.append(f"in {_interval(lower[0], upper[0])}")
        else:
            parts += [_bound(c) for c in (*lower, *upper)]
        parts += [f"a multiple of {c.multiple_of}" for c in self.constraints if isinstance(c, MultipleOf)]
        parts += [f"one of {', '.join(map(str, c.choices))}" for c in self.constraints if isinstance(c, OneOf)]
        for c in self.constraints:
            if isinstance(c, Registered):
                parts.append(f"a registered {c.what} ({', '.join(c.names)}) or the place of one (file.py:Name)")
        return " and ".join(parts)

    def checked(self, owner: str, value: Any) -> Any:
        """The value, if it is valid; a whole number declared as float becomes one.

        Args:
            owner: what has the hyperparameter, for messages.
            value: the value.

        Raises:
            ConfigError: the value is of another type, not finite, or not valid.
        """
        given = f"{owner}: {self.name} = {value!r}"
        accepted = self._accepted_types()
        if accepted and (not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted)):
            raise ConfigError(f"{given}; it must be {one_of_types(accepted)}")
        if isinstance(value, float) and not math.isfinite(value):  # JSON, and so a record, cannot hold it
            raise ConfigError(f"{given}; it must be a finite number")
        if value is not None and not all(_satisfied(constraint, value) for constraint in self.constraints):
            raise ConfigError(f"{given}; it must be {self.valid}{self._suggestion(value)}")
        return float(value) if self.type is float else value

    def _accepted_types(self) -> tuple[type, ...]:
        origin = typing.get_origin(self.type)
        if origin is typing.Literal:
            return tuple(dict.fromkeys(type(choice) for choice in typing.get_args(self.type)))
        members = typing.get_args(self.type) if _is_union(self.type) else (self.type,)
        plain = tuple(t for t in (typing.get_origin(m) or m for m in members) if isinstance(t, type))
        return (*plain, int) if float in plain else plain

    def _suggestion(self, value: Any) -> str:
        choices = [c for constraint in self.constraints if isinstance(constraint, OneOf) for c in constraint.choices]
        choices += [name for c in self.constraints if isinstance(c, Registered) for name in c.names]
        close = difflib.get_close_matches(str(value), [c for c in choices if isinstance(c, str)], n=1)
        return f". Did you mean {close[0]!r}?" if close else ""


class Configurable:
    """A dataclass whose fields are hyperparameters, checked when an instance is made.

    A subclass with its own ``__post_init__``, for conditions between hyperparameters, calls that of its parent
    first.
    """

    def __post_init__(self) -> None:
        """Check every hyperparameter.

        Raises:
            ConfigError: a value of the wrong type, or one that is not valid.
        """
        for name, declared in hyperparameters(type(self)).items():
            value = getattr(self, name)
            if (checked := declared.checked(title_of(type(self)), value)) is not value:
                object.__setattr__(self, name, checked)  # dataclasses may be frozen

    def configuration(self) -> dict[str, Any]:
        """The hyperparameters by name."""
        return {name: getattr(self, name) for name in hyperparameters(type(self))}

    def check_places(self) -> None:
        """Import the objects that hyperparameters name by their place, so that a mistake is found before a run.

        Raises:
            ConfigError: an object cannot be imported, or is not what the hyperparameter needs.
        """
        for name, declared in hyperparameters(type(self)).items():
            value = getattr(self, name)
            for constraint in declared.constraints:
                if isinstance(constraint, Registered) and value is not None and ":" in value:
                    try:
                        constraint.get(value)
                    except ConfigError as error:
                        raise ConfigError(f"{title_of(type(self))}: {name} = {value!r}: {error}") from error

    @classmethod
    def from_configuration(cls, parameters: Mapping[str, Any]) -> Self:
        """Make an instance from hyperparameters by name; those left out have their defaults.

        Raises:
            UnknownNameError: a hyperparameter that the class does not have.
            ConfigError: a value of the wrong type, or one that is not valid.
        """
        known = hyperparameters(cls)
        for name in parameters:
            if name not in known:
                raise UnknownNameError(f"hyperparameter of {title_of(cls)}", name, known)
        # Checked here as well: a subclass may have a __post_init__ that does not call its parent's.
        return cls(**{name: known[name].checked(title_of(cls), value) for name, value in parameters.items()})


def hyperparameters(cls: type) -> Mapping[str, Hyperparameter]:
    """The hyperparameters that a class declares, by name, in the order of its fields."""
    return _read(typing.cast(Any, cls))


@functools.cache  # reading type hints compiles every annotation
def _read(cls: type) -> Mapping[str, Hyperparameter]:
    if not dataclasses.is_dataclass(cls):
        return {}
    plain, annotated = typing.get_type_hints(cls), typing.get_type_hints(cls, include_extras=True)
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    found = [Hyperparameter.from_hint(name, plain[name], annotated[name]) for name in names]
    return {own.name: own if own.constraints else _with_inherited_constraints(own, cls) for own in found}


def hyperparameter_types(cls: type) -> dict[str, Any]:
    """Declared types of the hyperparameters of a class by name, without metadata."""
    return {name: declared.type for name, declared in hyperparameters(cls).items()}


def search_space(cls: type) -> dict[str, BaseDistribution]:
    """The Optuna distributions of the tunable hyperparameters of a class, by name."""
    return {name: found for name, declared in hyperparameters(cls).items() if (found := declared.distribution)}


def _metadata(annotated: Any) -> list[Any]:
    """Metadata of a type hint, or of the members of a union such as ``Annotated[int, Ge(1)] | None``."""
    if _is_union(annotated):
        return [extra for member in typing.get_args(annotated) for extra in _metadata(member)]
    return list(getattr(annotated, "__metadata__", ()))


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, python_types.UnionType)


def _with_inherited_constraints(own: Hyperparameter, cls: type) -> Hyperparameter:
    for base in cls.__mro__[1:]:
        parent = hyperparameters(base).get(own.name)
        if parent is not None and parent.type == own.type and parent.constraints:
            return dataclasses.replace(own, constraints=parent.constraints)
    return own


def _satisfied(constraint: Constraint, value: Any) -> bool:
    match constraint:
        case Ge(bound):
            return bool(value >= bound)
        case Gt(bound):
            return bool(value > bound)
        case Le(bound):
            return bool(value <= bound)
        case Lt(bound):
            return bool(value < bound)
        case MultipleOf(divisor):
            return bool(value % divisor == 0)
        case OneOf(choices):
            return value in choices
        case Registered():
            return ":" in value or value in constraint.names


def _interval(lower: Ge | Gt, upper: Le | Lt) -> str:
    left = f"[{lower.ge}" if isinstance(lower, Ge) else f"({lower.gt}"
    right = f"{upper.le}]" if isinstance(upper, Le) else f"{upper.lt})"
    return f"{left}, {right}"


def _bound(constraint: Ge | Gt | Le | Lt) -> str:
    match constraint:
        case Ge(bound):
            return f"at least {bound}"
        case Gt(bound):
            return f"greater than {bound}"
        case Le(bound):
            return f"at most {bound}"
        case Lt(bound):
            return f"less than {bound}"
