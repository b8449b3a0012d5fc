"""Labellings: which rows of a task a derived task has, and with which targets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.results.seeds import LARGEST, derived_seed
from crystalbench.targets import Kind, Target

if TYPE_CHECKING:
    from crystalbench.tasks.spec import TaskSpec
    from crystalbench.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Labelled:
    """The rows of a derived task.

    Attributes:
        rows: (m,) row numbers in the source, ascending.
        targets: (m,) float64 targets, or class numbers.
        remarks: what the user should know about the choice of the rows.
    """

    rows: npt.NDArray[np.int64]
    targets: npt.NDArray[np.float64]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Labelling(ABC):
    """A function from a task to some of its rows with other targets. A subclass is a frozen dataclass of its options.

    Attributes:
        version: increase it when the same task would be labelled differently.
    """

    version: ClassVar[int] = 1

    @property
    def slow(self) -> bool:
        """Whether the result is kept in the cache folder, because it takes longer than reading it from there.

        False by default; a subclass overrides it, or `packages`, with a class attribute or a property.
        """
        return False

    @property
    def packages(self) -> tuple[str, ...]:
        """Installed packages that determine the result of a slow labelling; none by default."""
        return ()

    @abstractmethod
    def target(self, source: TaskSpec | Task) -> Target:
        """The property that the labels are of.

        Args:
            source: the source before or after it is loaded; of some tasks, only the latter knows the classes.
        """

    @abstractmethod
    def __call__(self, task: Task) -> Labelled:
        """Label the rows of the source.

        Raises:
            DataError: the task lacks what the labels are made from.
        """

    def shuffled(self, n: int, seed: int) -> npt.NDArray[np.int64]:
        """Row numbers 0 to n - 1 in a random order, which is not that in which a source with this seed makes folds."""
        own = derived_seed(type(self).__name__, seed, below=LARGEST)
        return np.random.RandomState(own).permutation(n).astype(np.int64)  # its stream never changes


@dataclass(frozen=True)
class SourceLabels(Labelling):
    """All rows, with the targets of the source."""

    def target(self, source: TaskSpec | Task) -> Target:
        """That of the source."""
        return source.target

    def __call__(self, task: Task) -> Labelled:
        """All rows."""
        return Labelled(np.arange(len(task)), np.asarray(task.targets, np.float64))


@dataclass(frozen=True)
class Above(Labelling):
    """All rows; the class is whether the target exceeds a threshold.

    Attributes:
        threshold: the threshold; a target that equals it does not exceed it.
        unit: unit of the threshold, for the name of the property.
        quantity: name of the quantity, for the name of the property.
        log10: whether the targets of the source are decimal logarithms of the quantity.
    """

    threshold: float
    unit: str
    quantity: str
    log10: bool = False

    def target(self, source: TaskSpec | Task) -> Target:
        """Whether the quantity exceeds the threshold."""
        name = f"{self.quantity} > {self.threshold:g} {self.unit}".rstrip()
        return Target(name, Kind.BINARY, classes=("false", "true"))

    def __call__(self, task: Task) -> Labelled:
        """All rows."""
        limit = np.log10(self.threshold) if self.log10 else self.threshold
        return Labelled(np.arange(len(task)), (np.asarray(task.targets) > limit).astype(np.float64))


@dataclass(frozen=True)
class OutsideGap(Labelling):
    """The rows whose target is below one limit (class 0) or above another (class 1); those in between are left out.

    Attributes:
        below: upper limit of class 0, exclusive, in the unit of the source.
        above: lower limit of class 1, exclusive.
        classes: names of the two classes.
    """

    below: float
    above: float
    classes: tuple[str, str]

    def target(self, source: TaskSpec | Task) -> Target:
        """One class or the other."""
        return Target(" or ".join(self.classes), Kind.BINARY, classes=self.classes)

    def __call__(self, task: Task) -> Labelled:
        """The rows outside."""
        values = np.asarray(task.targets)
        rows = np.flatnonzero((values < self.below) | (values > self.above))
        unit = f" {task.target.unit}".rstrip()
        dropped = len(values) - len(rows)
        remark = f"{dropped:,} of {len(values):,} rows are left out: from {self.below:g} to {self.above:g}{unit}"
        return Labelled(rows, (values[rows] > self.above).astype(np.float64), (remark,) if dropped else ())
