"""What a model class says of itself, checked without fitting anything."""

from __future__ import annotations

import inspect
import re
from typing import Any

from optuna.distributions import CategoricalDistribution

from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models.model import Invariance, Needs, hyperparameter_types, search_space
from crystalbench.targets import Kind
from crystalbench.testing._model_case import ModelCase
from crystalbench.testing.report import Broken

_PLAIN = (bool, int, float, str, type(None))


def says_what_it_is(case: ModelCase) -> None:
    """It says what it needs, which kinds of target it predicts, and its version."""
    model = case.model
    if not isinstance(getattr(model, "needs", None), Needs):
        raise Broken("needs must be Needs.COMPOSITION or Needs.STRUCTURE")
    if not model.kinds or not all(isinstance(kind, Kind) for kind in model.kinds):
        raise Broken(f"kinds = {model.kinds!r}; it must be a set of some of Kind")
    if not isinstance(model.version, int) or model.version < 1:
        raise Broken(f"version = {model.version!r}; it must be a whole number from 1")
    invariances = case.made().invariances
    if not all(isinstance(invariance, Invariance) for invariance in invariances):
        raise Broken(f"invariances = {invariances!r}; it must be a set of some of Invariance")


def is_documented(case: ModelCase) -> None:
    """Its docstring describes it and every hyperparameter, under "Attributes:"."""
    documentation = vars(case.model).get("__doc__") or ""
    if not documentation.strip() or documentation.startswith(f"{case.model.__name__}("):  # made by dataclass
        raise Broken("the class has no docstring")
    described = "\n".join(inspect.getdoc(c) or "" for c in case.model.__mro__)
    names = hyperparameter_types(case.model)
    if missing := [name for name in names if not re.search(rf"^\s*{name}:", described, re.MULTILINE)]:
        raise Broken(f"not described: {', '.join(missing)}")


def has_defaults(case: ModelCase) -> None:
    """Every hyperparameter has a default, which its search space holds."""
    space = search_space(case.model)
    defaults = case.model.from_configuration({}).configuration()
    for name, distribution in space.items():
        value = defaults[name]
        if isinstance(distribution, CategoricalDistribution):
            within = value in distribution.choices
        else:
            low, high = distribution.low, distribution.high  # type: ignore[attr-defined]
            within = low <= value <= high and distribution._contains(distribution.to_internal_repr(value))
        if not within:
            raise Broken(f"{name} = {value!r} is not in {distribution}")


def search_space_can_be_made(case: ModelCase) -> None:
    """Every end of its search space can be made."""
    for name, distribution in search_space(case.model).items():
        ends: Any = getattr(distribution, "choices", None) or (distribution.low, distribution.high)  # type: ignore[attr-defined]
        for value in ends:
            try:
                made = case.model.from_configuration({**case.parameters, name: value}).configuration()[name]
            except ConfigError as error:
                raise Broken(f"{name} = {value!r} is in its search space and refused: {error}") from error
            if made != value:
                raise Broken(f"{name} = {value!r} becomes {made!r}")


def configuration_is_plain(case: ModelCase) -> None:
    """Its configuration is plain and complete: numbers, words and truth values from which it can be made again."""
    configuration = case.made().configuration()
    for name, value in configuration.items():
        if not isinstance(value, _PLAIN):
            raise Broken(f"{name} = {value!r} is a {type(value).__name__}")
    again = case.model.from_configuration(configuration).configuration()
    if again != configuration:
        raise Broken(f"made from {configuration}, it has {again}")


def wrong_hyperparameters_are_refused(case: ModelCase) -> None:
    """Wrong types and unknown names of hyperparameters are refused, with the name in the message."""
    for name, value in case.made().configuration().items():
        wrong: Any = 3 if isinstance(value, str) else "many"
        _refused(case, {name: wrong}, ConfigError, name)
        _refused(case, {f"{name}s": value}, UnknownNameError, f"{name}s")


def _refused(case: ModelCase, parameters: dict[str, Any], expected: type[Exception], name: str) -> None:
    given = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
    try:
        case.model.from_configuration({**case.parameters, **parameters})
    except expected as error:
        if name not in str(error):
            raise Broken(f"{given} is refused with a message that does not name it: {error}") from error
    except Exception as error:
        raise Broken(f"{given} gives a {type(error).__name__}, not a {expected.__name__}: {error}") from error
    else:
        raise Broken(f"{given} is taken")


PROMISES = (
    says_what_it_is,
    is_documented,
    has_defaults,
    search_space_can_be_made,
    configuration_is_plain,
    wrong_hyperparameters_are_refused,
)
