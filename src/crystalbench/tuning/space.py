"""The search space of a model: the distributions of its hyperparameters, except those that the user has set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import create_trial

from crystalbench.errors import ConfigError
from crystalbench.models.hyperparameters import hyperparameters
from crystalbench.models.model import Model
from crystalbench.results.sealed import digest
from crystalbench.targets import Kind

Space: TypeAlias = Mapping[str, BaseDistribution]
"""Optuna's distributions by hyperparameter."""


def space_of(model: type[Model], kind: Kind, fixed: Mapping[str, Any] | None = None) -> dict[str, BaseDistribution]:
    """The hyperparameters that are tuned: those that declare a distribution, act, and are not set by the user.

    Args:
        model: the model class.
        kind: kind of the target.
        fixed: hyperparameters that the user has set.
    """
    fixed = fixed or {}
    configuration = model.from_configuration(fixed).configuration()
    return {
        name: declared.distribution
        for name, declared in hyperparameters(model).items()
        if declared.distribution is not None
        and name not in fixed
        and all(condition.holds(kind, configuration) for condition in declared.conditions)
    }


def space_as_json(space: Space) -> dict[str, Any]:
    """A search space as JSON: Optuna's own description of each distribution."""
    return {name: json.loads(distribution_to_json(space[name])) for name in sorted(space)}


def digest_of(space: Space) -> str:
    """SHA-256 of a search space, whatever the order of its hyperparameters."""
    return digest(space_as_json(space))


def default_in(space: Space, parameters: Mapping[str, Any], model: str = "the model") -> dict[str, Any]:
    """The values of the tuned hyperparameters in a configuration, which trial 0 uses.

    Args:
        space: the search space.
        parameters: all hyperparameters.
        model: name of the model, for error messages.

    Raises:
        ConfigError: a value is outside its distribution, or JSON cannot represent a choice.
    """
    for name, distribution in space.items():
        for choice in getattr(distribution, "choices", ()):
            if not isinstance(choice, bool | int | float | str | None):
                raise ConfigError(f"{model}: {name} has the choice {choice!r}; choices must be numbers, text or None")
    default = {name: parameters[name] for name in space}
    for name, value in default.items():
        try:
            create_trial(params={name: value}, distributions={name: space[name]}, value=0.0)
        except ValueError as error:
            raise ConfigError(
                f"{model}: {name} = {value!r} is not in its search space {space[name]}; widen the space or set {name}"
            ) from error
    return default
