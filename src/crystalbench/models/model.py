"""Model: fit and predict, with hyperparameters that declare their own search space."""

from __future__ import annotations

import dataclasses
import functools
import math
import types as python_types
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy.typing as npt
from optuna.distributions import BaseDistribution

from crystalbench.errors import ConfigError, SavingError, UnknownNameError
from crystalbench.targets import Kind, Target

if TYPE_CHECKING:
    from crystalbench.data.samples import Predictions, Samples


class Needs(StrEnum):
    """What a model has to be shown."""

    COMPOSITION = "composition"
    STRUCTURE = "structure"


class Invariance(StrEnum):
    """A change to the description of a crystal under which a model may promise to predict the same.

    The order of the atoms, which periodic image of an atom is given, and the origin of the cell are not listed here:
    no model may depend on them.
    """

    ROTATION = "rotation"
    """Every crystal is turned."""
    REFLECTION = "reflection"
    """Every crystal is inverted, which makes a left-handed one of a right-handed one."""
    SUPERCELL = "supercell"
    """Every cell is repeated; for properties per atom."""
    CELL_CHOICE = "cell_choice"
    """Every lattice is given by other basis vectors."""


class Progress(typing.Protocol):
    """Called while a model is fitted: what is done, of how much, and a few numbers to show."""

    def __call__(self, done: int, total: int, **numbers: float) -> None:
        """Report ``done`` of ``total`` steps (epochs, trees)."""


def silent(done: int, total: int, **numbers: float) -> None:
    """Report nothing."""


@dataclass
class Runtime:
    """What a run gives a model besides data; none of it is a hyperparameter.

    Attributes:
        seed: seed of everything random in the model.
        device: torch device, e.g. ``cpu`` or ``cuda``.
        threads: threads that a model may use.
        progress: to be called with progress.
    """

    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    progress: Progress = field(default=silent, repr=False)


class Model(ABC):
    """A model class: a dataclass of hyperparameters with `fit` and `predict`.

    Hyperparameters are dataclass fields with defaults; one that may be tuned carries its Optuna distribution:
    ``width: Annotated[int, CategoricalDistribution((32, 64, 128))] = 64``.

    Attributes:
        needs: what the model has to be shown. A model that needs compositions is given nothing else.
        kinds: kinds of target it can predict.
        version: raise it when results change for the same hyperparameters; runs are then done again.
        runtime: seed, device, threads and progress, set by the runner before `fit`.
        target: what a fitted model predicts; `fit` sets it to ``train.target``.

    A fitted model can be saved (`crystalbench.models.save_model`) once it defines `state` and `restore`. What the class
    promises besides is checked by `crystalbench.testing.check_model`.
    """

    needs: ClassVar[Needs]
    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)
    version: ClassVar[int] = 1
    target: Target

    @abstractmethod
    def fit(self, train: Samples, valid: Samples) -> Self:
        """Learn from the training part of a fold.

        Args:
            train: rows to fit.
            valid: the inner validation part: for early stopping, or to fit as well where a model has no use for it.
        """

    @abstractmethod
    def predict(self, samples: Samples) -> Predictions:
        """Predict rows, whose targets are not given."""

    @functools.cached_property
    def runtime(self) -> Runtime:
        """Seed, device, threads and progress; the runner sets its own."""
        return Runtime()

    @property
    def invariances(self) -> frozenset[Invariance]:
        """What predictions do not depend on; nothing is promised by default.

        A subclass says it as a class attribute, or as a property where it depends on hyperparameters.
        """
        return frozenset()

    @property
    def n_parameters(self) -> int | None:
        """Number of fitted parameters where that means something, after `fit`."""
        return None

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """What `fit` has learned: arrays of numbers by name, and facts that JSON can hold.

        Hyperparameters, target and runtime do not belong to it. A subclass that learns more adds to what its parent
        gives, under names of its own.

        Raises:
            SavingError: the model does not say what it has learned.
        """
        raise SavingError(f"{type(self).__name__} cannot be saved until it defines state() and restore(arrays, facts)")

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Become what `state` described. Hyperparameters, `target` and `runtime` are set already.

        Raises:
            SavingError: the model cannot be restored.
        """
        raise SavingError(f"{type(self).__name__} cannot be loaded until it defines state() and restore(arrays, facts)")

    def configuration(self) -> dict[str, Any]:
        """The hyperparameters."""
        return {name: getattr(self, name) for name in hyperparameter_types(type(self))}

    @classmethod
    def from_configuration(cls, parameters: Mapping[str, Any]) -> Self:
        """Build from hyperparameters, checking names and types.

        Raises:
            UnknownNameError: a hyperparameter that the model does not have.
            ConfigError: a value of the wrong type.
        """
        types = hyperparameter_types(cls)
        for name, value in parameters.items():
            if name not in types:
                raise UnknownNameError(f"hyperparameter of {cls.__name__}", name, types)
            _check_type(cls.__name__, name, value, types[name])
            _check_finite(cls.__name__, name, value)
        return cls(**{name: _cast(value, types[name]) for name, value in parameters.items()})


def hyperparameter_types(model: type[Model]) -> dict[str, Any]:
    """Declared types of a model's hyperparameters by name, without their search space."""
    hints = _type_hints(model)
    fields = dataclasses.fields(typing.cast(Any, model)) if hasattr(model, "__dataclass_fields__") else ()
    return {f.name: hints[f.name] for f in fields if f.init}


def search_space(model: type[Model]) -> dict[str, BaseDistribution]:
    """The Optuna distributions of a model's tunable hyperparameters, by name."""
    hints = _type_hints(model, extras=True)
    space: dict[str, BaseDistribution] = {}
    for name in hyperparameter_types(model):
        for extra in getattr(hints[name], "__metadata__", ()):
            if isinstance(extra, BaseDistribution):
                space[name] = extra
    return space


@functools.cache  # reading them compiles every annotation
def _type_hints(model: type[Model], *, extras: bool = False) -> dict[str, Any]:
    return typing.get_type_hints(model, include_extras=extras)


def _check_type(model: str, name: str, value: Any, declared: Any) -> None:
    union = typing.get_origin(declared) in (typing.Union, python_types.UnionType)
    allowed = typing.get_args(declared) if union else (declared,)
    plain = tuple(t for t in (typing.get_origin(a) or a for a in allowed) if isinstance(t, type))
    if float in plain:
        plain = (*plain, int)
    if plain and (not isinstance(value, plain) or (isinstance(value, bool) and bool not in plain)):
        names = " or ".join(t.__name__ for t in plain)
        raise ConfigError(f"{model}: {name} = {value!r} is a {type(value).__name__}; it must be {names}")


def _check_finite(model: str, name: str, value: Any) -> None:
    # JSON has no infinity and no NaN: a record could not say what was asked.
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{model}: {name} = {value!r}; it must be a finite number")


def _cast(value: Any, declared: Any) -> Any:
    return float(value) if declared is float else value
