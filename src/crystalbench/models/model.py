"""Model: `fit` and `predict`, with hyperparameters that declare their own search space."""

from __future__ import annotations

import functools
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from crystalbench.errors import SavingError
from crystalbench.models.hyperparameters import Configurable
from crystalbench.models.hyperparameters import hyperparameter_types as hyperparameter_types
from crystalbench.models.hyperparameters import search_space as search_space
from crystalbench.models.names import title_of
from crystalbench.sees import Sees as Sees
from crystalbench.targets import Kind, Target

if TYPE_CHECKING:
    from crystalbench.data.samples import Predictions, Samples
    from crystalbench.models.checkpoints import Checkpoint


class Needs(StrEnum):
    """The input that a model needs."""

    COMPOSITION = "composition"
    STRUCTURE = "structure"


class Invariance(StrEnum):
    """A change to the description of a crystal that leaves the predictions of a model unchanged, if it declares so.

    The order of the atoms, the periodic image chosen for each atom, and the origin of the cell are not listed here: no
    model may depend on them.
    """

    ROTATION = "rotation"
    """Rotating the crystal."""
    REFLECTION = "reflection"
    """Inverting the crystal, which exchanges left-handed and right-handed ones."""
    SUPERCELL = "supercell"
    """Repeating the cell; for properties per atom."""
    CELL_CHOICE = "cell_choice"
    """Describing the lattice by other basis vectors."""


class Phase(StrEnum):
    """What a run is doing."""

    READING = "reading"
    REPRESENTATIONS = "representations"
    TUNING = "tuning"
    FITTING = "fitting"
    PREDICTING = "predicting"


class Progress(typing.Protocol):
    """Called with the progress of a run. A model calls it while it is fitted, with its steps and their unit."""

    def __call__(
        self, done: int, total: int, *, phase: Phase = Phase.FITTING, unit: str = "steps", **numbers: float
    ) -> None:
        """Report ``done`` of ``total`` steps.

        Args:
            done: steps done in this phase.
            total: all steps of this phase; 0 if their number is not known.
            phase: what is being done; a model leaves it out.
            unit: what is counted, in the plural: ``epochs``, ``trees``, ``crystals``.
            **numbers: numbers to display. ``valid`` is the validation error and ``best`` the smallest one so far: the
                mean absolute error in the unit of the target for regression, the mean loss for classification.
        """


def silent(done: int, total: int, **details: Any) -> None:
    """Report nothing."""


def in_unit_of_target(progress: Progress, scale: float) -> Progress:
    """A callback for a model that fits standardised targets: it passes on validation errors in the target's unit.

    Args:
        progress: receives the converted errors.
        scale: unit of the standardised targets, in the unit of the target.
    """

    def report(done: int, total: int, **details: Any) -> None:
        for name in {"valid", "best"} & set(details):
            details[name] *= scale
        progress(done, total, **details)

    return report


def stage_of(progress: Progress, before: int, after: int) -> Progress:
    """A callback for one stage of a fit in several: it counts the steps of the stages before and after it as well.

    Args:
        progress: receives the steps of the complete fit.
        before: number of steps of the stages before.
        after: number of steps of the stages after.
    """

    def report(done: int, total: int, **details: Any) -> None:
        progress(before + done, before + total + after, **details)

    return report


@dataclass
class Runtime:
    """Settings of a run that are not hyperparameters.

    Attributes:
        seed: seed of everything random in the model.
        device: torch device, e.g. ``cpu`` or ``cuda``.
        threads: number of threads that the model may use.
        progress: called with progress.
        checkpoint: where a long fit is saved while it goes on; None to save nothing. The shared trainer of networks
            uses it.
    """

    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    progress: Progress = field(default=silent, repr=False)
    checkpoint: Checkpoint | None = field(default=None, repr=False)


class Model(Configurable, ABC):
    """Base class of models: a dataclass of hyperparameters with `fit` and `predict`.

    Hyperparameters are dataclass fields with defaults. Their annotations may declare valid values and a search space,
    see `crystalbench.models.hyperparameters`:
    ``width: Annotated[int, Ge(1), CategoricalDistribution((32, 64, 128))] = 64``.

    `fit` and `predict` are all that a model must define: with them it can be run, tuned and compared like any other.
    `state` and `restore` are optional, and used by `crystalbench.models.save_model` and
    `crystalbench.models.load_model` only.

    A model that learns a representation of crystals may also give it away, see `Embeds`.

    `crystalbench.testing.check_model` checks that a class keeps the contract of models.

    Attributes:
        needs: the input that the model needs. A model that needs compositions gets nothing else.
        kinds: the kinds of target that it can predict.
        defaults_chosen_on: names of the tasks whose rows, of training parts too, were used in choosing the defaults of
            the class: by tuning, by trying values, or by comparing variants. Leaderboards flag its entries on them.
            Subclasses inherit it.
        extra: the extra of the package that the model needs, such as ``pyg``; None for none. Without it, a run of the
            model is left out with a note.
        version: increase it when results change for the same hyperparameters; runs are then done again.
        runtime: seed, device, threads and progress; the runner sets it before `fit`.
        target: what a fitted model predicts; `fit` sets it to ``train.target``.
    """

    needs: ClassVar[Needs]
    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)
    extra: ClassVar[str | None] = None
    version: ClassVar[int] = 1
    defaults_chosen_on: ClassVar[frozenset[str]] = frozenset()
    target: Target

    @abstractmethod
    def fit(self, train: Samples, valid: Samples) -> Self:
        """Learn from the training part of a fold.

        Args:
            train: rows to fit.
            valid: rows to choose on, for example the number of boosting rounds. The fitted model has learned from these
                rows as well: every model learns from the same rows, which are all of the training part.
        """

    @abstractmethod
    def predict(self, samples: Samples) -> Predictions:
        """Predict rows, which come without targets."""

    @functools.cached_property
    def runtime(self) -> Runtime:
        """Seed, device, threads and progress; the runner replaces it."""
        return Runtime()

    @property
    def invariances(self) -> frozenset[Invariance]:
        """Changes of the description that leave predictions unchanged; none by default.

        A subclass overrides it with a class attribute, or with a property if it depends on hyperparameters.
        """
        return frozenset()

    @property
    def sees(self) -> Sees:
        """What the model sees of a material; ``Sees.UNDECLARED`` by default.

        A subclass overrides it with a class attribute, or with a property if it depends on hyperparameters. It does not
        include the view of a run, which may hide part of it (`crystalbench.sees.seen`).
        """
        return Sees.UNDECLARED

    @property
    def parts(self) -> tuple[type[Model], ...]:
        """The classes of the models that this one is made of; none by default.

        They belong to what a run declares: its code, what was pretrained, the tasks on which defaults were chosen, and
        the extras it needs.
        """
        return ()

    @property
    def pretrained_on(self) -> frozenset[str]:
        """Names of the data sets that a pretrained part of the model has seen; none by default.

        They are named as in `crystalbench.evaluation.pretraining`. Leaderboards do not rank entries of the model on
        tasks whose labels such a data set contains. A subclass overrides it with a class attribute, or with a property
        if it depends on hyperparameters.
        """
        return frozenset()

    def supports(self, kind: Kind) -> bool:
        """Whether a model with these hyperparameters predicts a kind of target; by default, if it is in ``kinds``."""
        return kind in self.kinds

    def unsupported(self, kind: Kind) -> str:
        """Why a model with these hyperparameters does not predict a kind of target; empty if it does.

        Returns:
            Words that follow the name of the model: ``does not predict binary targets``.
        """
        if kind not in self.kinds:
            return f"does not predict {kind} targets"
        for part in self.parts:
            if kind not in part.kinds:
                return f"contains {title_of(part)}, which does not predict {kind} targets"
        return "" if self.supports(kind) else f"does not predict {kind} targets with these hyperparameters"

    @property
    def n_parameters(self) -> int | None:
        """Number of fitted parameters after `fit`; None if the model does not count them."""
        return None

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """What `fit` has learned: numeric arrays by name, and facts that can be stored as JSON.

        Hyperparameters, target and runtime are not part of it. A subclass that learns more than its parent adds to the
        parent's result, under new names.

        Raises:
            SavingError: the class does not define `state`, so its models cannot be saved.
        """
        raise SavingError(f"{type(self).__name__} cannot be saved until it defines state() and restore(arrays, facts)")

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Restore what `state` returned. Hyperparameters, `target` and `runtime` are already set.

        Raises:
            SavingError: the class does not define `restore`, so its models cannot be loaded.
        """
        raise SavingError(f"{type(self).__name__} cannot be loaded until it defines state() and restore(arrays, facts)")


@typing.runtime_checkable
class Embeds(typing.Protocol):
    """A model that gives away what it has learned about a crystal as a vector; all networks do.

    Probes ask what can be read from the vector (`crystalbench.probes.descriptors`).
    """

    def embed(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Embeddings (n, d) of rows, which come without targets; each depends on its own row alone."""
        ...

    def untrained(self, train: Samples) -> Self:
        """A new model of the same hyperparameters and seed, as it is before the first step of a fit to these rows."""
        ...
