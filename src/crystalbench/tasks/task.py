"""Task: a property to predict, its rows, its official folds, and where they came from."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.errors import ConfigError, DataError
from crystalbench.targets import Target

if TYPE_CHECKING:
    from crystalbench.tasks.sources import DataSources

NEVER_TESTED = -1


@dataclass(frozen=True)
class Source:
    """Where a task's data came from.

    Attributes:
        name: file name (never a path: records are read on other machines).
        sha256: SHA-256 of the file.
        verified: how it was checked: ``"sha256"`` (the official file), ``"content"`` (the official targets and
            compositions in another file), ``"ids"`` (official ids, a part of the rows), ``"package"`` (ships with
            CrystalBench) or ``"user"`` (nothing to check against).
        task_file: name of the file that describes a user's own task; empty for others.
    """

    name: str
    sha256: str
    verified: str
    task_file: str = ""


@dataclass(frozen=True, eq=False)
class Task:
    """A property to predict, in memory.

    Attributes:
        name: unique name, e.g. ``matbench_phonons``.
        target: name, kind, unit and classes of the property.
        metric: name of the main metric.
        inputs: n crystals or compositions, with ids.
        targets: (n,) float64; class numbers for classification.
        folds: (n,) int, the fold that has the row in its test part; -1 for a row that only ever trains.
        rows_total: rows of the complete task; more than n where only a part is at hand.
        source: where the data came from.
    """

    name: str
    target: Target
    metric: str
    inputs: Inputs
    targets: npt.NDArray[np.float64]
    folds: npt.NDArray[np.int16]
    rows_total: int
    source: Source

    def __post_init__(self) -> None:
        n = len(self.inputs)
        if n == 0:
            raise DataError(f"{self.name}: has no rows")
        if len(self.targets) != n or len(self.folds) != n:
            raise DataError(f"{self.name}: {n} rows, {len(self.targets)} targets and {len(self.folds)} fold numbers")
        bad = ~np.isfinite(self.targets)
        if bad.any():
            raise DataError(
                f"{self.name}: {int(bad.sum())} of {n} targets are missing or not finite, first at id "
                f"{self.inputs.ids[bad][0]}; correct or remove these rows in {self.source.name}"
            )
        ids, counts = np.unique(self.inputs.ids, return_counts=True)
        if (counts > 1).any():
            raise DataError(f"{self.name}: id {ids[counts > 1][0]} occurs {counts.max()} times in {self.source.name}")

    def __len__(self) -> int:
        """Number of rows at hand."""
        return len(self.inputs)

    @property
    def is_partial(self) -> bool:
        """Whether only a part of the task's rows is at hand."""
        return len(self) < self.rows_total

    @property
    def has_structures(self) -> bool:
        """Whether the rows are crystals, not only compositions."""
        return isinstance(self.inputs, Crystals)

    @property
    def fold_numbers(self) -> list[int]:
        """The folds, ascending."""
        return [int(k) for k in np.unique(self.folds) if k != NEVER_TESTED]

    def split(self, fold: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Row numbers of the training part and of the test part of a fold.

        Raises:
            ConfigError: there is no such fold.
            DataError: the training part is empty.
        """
        if fold not in self.fold_numbers:
            raise ConfigError(f"{self.name}: has no fold {fold}; its folds are {self.fold_numbers}")
        train, test = np.flatnonzero(self.folds != fold), np.flatnonzero(self.folds == fold)
        if len(train) == 0:
            raise DataError(f"{self.name}: fold {fold} leaves no row to train on")
        return train, test

    @cached_property
    def digest(self) -> str:
        """SHA-256 over inputs, ids, targets and folds: changes whenever a result could."""
        sha = hashlib.sha256()
        for part in (self.inputs.digest, self.target, "\n".join(self.inputs.ids)):
            sha.update(repr(part).encode() + b"\n")
        sha.update(np.ascontiguousarray(self.targets, np.float64).tobytes())
        sha.update(np.ascontiguousarray(self.folds, np.int16).tobytes())
        return sha.hexdigest()

    def limited(self, rows: int | None) -> Task:
        """The task with at most so many rows, drawn at random but always the same ones.

        Raises:
            ConfigError: the number is not positive.
        """
        if rows is None or rows >= len(self):
            return self
        if rows < 1:
            raise ConfigError(f"a limit of {rows} rows leaves nothing; give a positive number")
        chosen = np.sort(np.random.default_rng(0).permutation(len(self))[:rows])
        return replace(self, inputs=self.inputs[chosen], targets=self.targets[chosen], folds=self.folds[chosen])


@dataclass(frozen=True)
class Availability:
    """Whether a task's data is at hand: rows known without decoding (None if unknown), and one line that says where."""

    here: bool
    rows: int | None
    where: str


@dataclass(frozen=True)
class TaskSpec(ABC):
    """A task before its data is loaded: what the registry holds and ``--list`` shows.

    Attributes:
        name: unique name.
        target: what is predicted.
        metric: name of the main metric.
        has_structures: crystals, or compositions only.
        rows_total: rows of the complete task.
        description: one line.
        license: terms of the data.
        reference: where the data comes from.
    """

    name: str
    target: Target
    metric: str
    has_structures: bool
    rows_total: int
    description: str = ""
    license: str = ""
    reference: str = ""

    @abstractmethod
    def load(self, sources: DataSources) -> Task:
        """Read the task from a data source.

        Raises:
            DataError: the data is missing or damaged; says what to do.
        """

    @abstractmethod
    def availability(self, sources: DataSources) -> Availability:
        """Whether the data is at hand, found without decoding it."""
