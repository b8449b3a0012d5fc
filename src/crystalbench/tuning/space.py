"""The search space of a model: its hyperparameters' distributions, without those that the user has set."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import create_trial

from crystalbench.errors import ConfigError
from crystalbench.models.model import Model, search_space
from crystalbench.results.sealed import digest

Space = Mapping[str, BaseDistribution]


def space_of(model: type[Model], fixed: Collection[str] = ()) -> dict[str, BaseDistribution]:
    """What of a model is tuned: the hyperparameters that declare a distribution and are not fixed."""
    return {name: found for name, found in search_space(model).items() if name not in fixed}


def space_as_json(space: Space) -> dict[str, Any]:
    """A search space as JSON can hold it: Optuna's own description of each distribution."""
    return {name: json.loads(distribution_to_json(space[name])) for name in sorted(space)}


def digest_of(space: Space) -> str:
    """SHA-256 of a search space."""
    return digest(space_as_json(space))


def default_in(space: Space, parameters: Mapping[str, Any], model: str = "the model") -> dict[str, Any]:
    """The part of a configuration that lies in a search space: the first thing to try.

    Args:
        space: the search space.
        parameters: all hyperparameters.
        model: its name, for messages.

    Raises:
        ConfigError: a value is not in its own distribution, or a choice is not what JSON can hold.
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
