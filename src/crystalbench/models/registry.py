"""Find models by registered name or by location."""

from __future__ import annotations

import inspect

from crystalbench import plugins
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models.model import Model, Needs
from crystalbench.models.names import GROUP

RETIRED = {
    "diffraction_cnn": "It was split into diffraction_spectrum (its default), diffraction_grid, deepknet and "
    "deepknet_sphere.",
}
"""Former names of models, and what replaced them."""


def model_names() -> list[str]:
    """Names of all registered models."""
    return sorted(plugins.registered(GROUP))


def summary(model: type[Model]) -> str:
    """The first line of a model's docstring, without markup."""
    lines = (model.__doc__ or "").strip().splitlines()
    return lines[0].replace("`", "") if lines else ""


def get_model(name: str) -> type[Model]:
    """The model class of a registered name, of ``package.module:Class`` or of ``path/to/file.py:Class``.

    Raises:
        UnknownNameError: no model has this name, or the model was renamed.
        ConfigError: it cannot be imported or is not a model.
    """
    if name in RETIRED and name not in (known := model_names()):
        raise UnknownNameError("model", name, known, RETIRED[name])
    found = plugins.load(GROUP, "model", name)
    if not (inspect.isclass(found) and issubclass(found, Model)):
        raise ConfigError(f"model {name!r} is {found!r}; it must be a subclass of crystalbench.models.Model")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise ConfigError(f"model {name!r} does not define {missing}")
    if not isinstance(getattr(found, "needs", None), Needs):
        raise ConfigError(f"model {name!r} must say what it needs: needs = Needs.COMPOSITION or Needs.STRUCTURE")
    return found
