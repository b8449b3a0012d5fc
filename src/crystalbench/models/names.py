"""Names of model classes."""

from __future__ import annotations

import functools
import typing
from typing import Any

from crystalbench import plugins

GROUP = "crystalbench.models"
"""Entry-point group in which models are registered."""


def name_of(model: type) -> str:
    """The registered name of a model class, or ``module:Class``."""
    return plugins.registered_name(GROUP, model) or f"{model.__module__}:{model.__qualname__}"


def title_of(model: type) -> str:
    """The name of a class in messages: that under which it is registered, or its own."""
    return _title_of(typing.cast(Any, model))


@functools.cache  # asked for whenever a model is made
def _title_of(model: type) -> str:
    return plugins.registered_name(GROUP, model) or model.__name__
