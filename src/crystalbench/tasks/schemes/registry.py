"""Fold schemes by name, with their parameters as text.

A package registers schemes with entry points of the group ``crystalbench.tasks.schemes``, classes derived from
`FoldScheme`::

    [project.entry-points."crystalbench.tasks.schemes"]
    year = "my_package.my_folds:YearFolds"
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from crystalbench import plugins
from crystalbench._validation import problems
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.targets import OFFICIAL
from crystalbench.tasks.schemes.file import read_folds
from crystalbench.tasks.schemes.scheme import FoldScheme, FoldSource
from crystalbench.tasks.task import Task

GROUP = "crystalbench.tasks.schemes"

_PLACE = re.compile(
    r"(?P<place>[^:]*[./\\][^:]*:[A-Za-z_]\w*|[A-Za-z]:[/\\][^:]*:[A-Za-z_]\w*)(?::(?P<parameters>.*))?"
)


@dataclass(frozen=True)
class _Official:
    """The task's own folds."""

    def apply(self, task: Task) -> Task:
        """The task itself."""
        return task


def fold_schemes() -> dict[str, type[FoldScheme]]:
    """All registered schemes by name, sorted; without ``official``, the folds of the task itself.

    Raises:
        ConfigError: a registered scheme cannot be loaded, or is none.
    """
    return {name: _scheme_class(name) for name in sorted(plugins.registered(GROUP))}


def get_folds(text: str) -> FoldSource:
    """Find folds: ``official``, a scheme as in `get_fold_scheme`, or the path of a file that ends in ``.json``.

    Raises:
        UnknownNameError: there is no such scheme or parameter.
        ConfigError: a parameter has a wrong value, or the file is missing or damaged.
    """
    if text == OFFICIAL:
        return _Official()
    if text.endswith(".json"):
        return read_folds(Path(text))
    return get_fold_scheme(text)


def get_fold_scheme(text: str) -> FoldScheme:
    """Find a scheme by its name or place, with its parameters after a colon.

    Args:
        text: a registered name, ``package.module:Class`` or ``path/to/file.py:Class``, alone or followed by a colon and
            either the value of the first parameter or several of them: ``element:O``, ``formula:k=10,seed=1``.

    Raises:
        UnknownNameError: there is no such scheme or parameter.
        ConfigError: a parameter is missing, given twice or has a wrong value, or the class is not a scheme.

    Examples:
        >>> get_fold_scheme("formula:k=10")
        FormulaFolds(k=10, seed=0)
        >>> get_fold_scheme("element:O").spec.text
        'element:O'
    """
    name, _, parameters = text.partition(":")
    if name not in plugins.registered(GROUP):
        place = _PLACE.fullmatch(text)
        if place is None:
            raise UnknownNameError("fold scheme", name, [OFFICIAL, *plugins.registered(GROUP)])
        name, parameters = place["place"], place["parameters"] or ""
    return _with_parameters(_scheme_class(name), text, parameters)


def _scheme_class(name: str) -> type[FoldScheme]:
    found = plugins.load(GROUP, "fold scheme", name)
    if not (inspect.isclass(found) and issubclass(found, FoldScheme) and not inspect.isabstract(found)):
        raise ConfigError(f"fold scheme {name!r} is {found!r}, not a subclass of FoldScheme that implements assign")
    return found


def _with_parameters(scheme: type[FoldScheme], text: str, parameters: str) -> FoldScheme:
    fields = {field.name: field for field in dataclasses.fields(scheme)}
    given: dict[str, str] = {}
    for part in parameters.split(",") if parameters else ():
        name, sign, value = part.partition("=")
        if not sign:  # a value alone is that of the first parameter
            name, value = next(iter(fields), part), part
        if name.strip() not in fields:
            raise UnknownNameError(f"parameter of the fold scheme {scheme.name}", name.strip(), fields)
        if name.strip() in given:
            raise ConfigError(f"folds {text}: {name.strip()} is given more than once")
        given[name.strip()] = value.strip()
    required = [name for name, field in fields.items() if _is_required(field) and name not in given]
    if required:
        raise ConfigError(f"folds {text}: give its {required[0]}, e.g. {scheme.name}:{required[0]}=VALUE")
    try:
        return TypeAdapter(scheme).validate_python(given)
    except ValidationError as error:
        raise ConfigError(f"folds {text}: {'; '.join(problems(error))}") from error


def _is_required(field: dataclasses.Field[object]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
