"""The interface of fold schemes."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import numpy as np

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError
from crystalbench.results.spec import FoldSchemeSpec
from crystalbench.tasks.folds import Folds
from crystalbench.tasks.task import NEVER_TESTED, Task


class FoldSource(Protocol):
    """Whatever gives a task its folds: the task itself, a scheme, or a file."""

    def apply(self, task: Task) -> Task:
        """The task with these folds."""
        ...


@dataclasses.dataclass(frozen=True)
class FoldScheme(ABC):
    """A rule that assigns the rows of any task to folds.

    A subclass is a frozen dataclass whose fields are its parameters, with defaults where there is a usual value. It
    sets `name` and `description` and implements `assign`.

    Attributes:
        name: name on the command line and in tables: letters, digits and ``_``.
        description: what the folds ask, in one line.
        version: increase it when the same rows would get other folds.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    version: ClassVar[int] = 1

    @abstractmethod
    def assign(self, task: Task) -> Folds:
        """The fold of each row.

        It depends on the rows and the parameters only: not on the order of the rows, nor on a global random state.

        Args:
            task: the task; its official folds are ``task.folds``.

        Returns:
            Folds, shape (n,): integers from 0 to k - 1, each at least once, or -1 for a row that only ever trains.

        Raises:
            ConfigError: the scheme cannot be used for this task.
        """

    @property
    def spec(self) -> FoldSchemeSpec:
        """Name, parameters and version, as they are part of the specification of a run."""
        return FoldSchemeSpec(name=self.name, parameters=dataclasses.asdict(self), version=self.version)

    def apply(self, task: Task) -> Task:
        """The task with the folds of this scheme.

        Raises:
            ConfigError: the scheme cannot be used for this task, or it returns something else than folds.
        """
        where = f"folds {self.spec.text} of {task.name}"
        try:
            found = np.asarray(self.assign(task))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        if found.shape != (len(task),) or not np.issubdtype(found.dtype, np.integer):
            raise ConfigError(
                f"{where}: assign must return an integer for each of the {len(task):,} rows, not an array of "
                f"{found.dtype} and shape {found.shape}"
            )
        numbers = [int(number) for number in np.unique(found) if number != NEVER_TESTED]
        if not numbers or numbers != list(range(len(numbers))):
            raise ConfigError(f"{where}: assign must return folds from 0 to k - 1, or -1; it returns {numbers}")
        if numbers == [0] and (found == 0).all():
            raise ConfigError(f"{where}: the training part of fold 0 is empty")
        return dataclasses.replace(task, folds=found.astype(np.int16), fold_scheme=self.spec)


def compositions_of(task: Task) -> Compositions:
    """The compositions of a task's rows."""
    return task.inputs.compositions() if isinstance(task.inputs, Crystals) else task.inputs


def in_order_of_ids(task: Task, assign: Callable[[np.ndarray[Any, np.dtype[np.int64]]], Folds]) -> Folds:
    """Folds that do not depend on the order of the rows.

    Args:
        task: the task.
        assign: from row numbers in the order of the ids to the folds of these rows.
    """
    order = np.argsort(task.inputs.ids, kind="stable")
    folds = np.empty(len(task), dtype=np.int16)
    folds[order] = assign(order)
    return folds
