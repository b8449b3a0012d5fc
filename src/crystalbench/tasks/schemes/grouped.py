"""Grouped k-fold: rows of one formula, chemical system or space group are never on both sides of a split."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from crystalbench.data.checks import first_ids
from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.descriptors.space_group import find_symmetry
from crystalbench.tasks.folds import Folds, grouped_kfold
from crystalbench.tasks.schemes.scheme import FoldScheme, compositions_of
from crystalbench.tasks.task import Task


@dataclass(frozen=True)
class GroupedFolds(FoldScheme):
    """K folds that keep the rows of a group together, with sizes as equal as the groups allow.

    `crystalbench.tasks.folds.grouped_kfold` assigns the groups.

    Attributes:
        k: number of folds.
        seed: seed of the order in which groups of equal size are assigned.
    """

    k: int = 5
    seed: int = 0

    @abstractmethod
    def groups(self, task: Task) -> Sequence[str]:
        """The group of each row."""

    def assign(self, task: Task) -> Folds:
        """The folds; see `FoldScheme.assign`."""
        return grouped_kfold(np.array(self.groups(task), dtype=np.str_), self.k, self.seed)


@dataclass(frozen=True)
class FormulaFolds(GroupedFolds):
    """Groups are formulas: compositions with equal atomic fractions, however they are written."""

    name: ClassVar[str] = "formula"
    description: ClassVar[str] = "no formula is in the training and the test part: new compositions"

    def groups(self, task: Task) -> Sequence[str]:
        """Formulas by atomic fractions."""
        return compositions_of(task).normalised_formulas()


@dataclass(frozen=True)
class ChemicalSystemFolds(GroupedFolds):
    """Groups are chemical systems: sets of elements, such as Fe-O."""

    name: ClassVar[str] = "chemical_system"
    description: ClassVar[str] = "no set of elements is in the training and the test part: new chemical systems"

    def groups(self, task: Task) -> Sequence[str]:
        """Chemical systems."""
        return compositions_of(task).chemical_systems()


@dataclass(frozen=True)
class SpaceGroupFolds(GroupedFolds):
    """Groups are space groups, as spglib finds them.

    Attributes:
        symprec: largest distance in Å between an atom and its symmetric position.
    """

    name: ClassVar[str] = "space_group"
    description: ClassVar[str] = "no space group is in the training and the test part: new symmetries"
    symprec: float = 0.1

    def groups(self, task: Task) -> Sequence[str]:
        """Numbers of the space groups as text.

        Raises:
            ConfigError: the task has compositions only, or the symmetry of a crystal cannot be determined.
        """
        crystals = task.inputs
        if not isinstance(crystals, Crystals):
            raise ConfigError("it needs structures, and the task has compositions only")
        found: list[str] = []
        failed: list[str] = []
        for i in range(len(crystals)):
            atoms = slice(crystals.offsets[i], crystals.offsets[i + 1])
            try:
                symmetry = find_symmetry(
                    crystals.lattices[i], crystals.frac_coords[atoms], crystals.numbers[atoms], self.symprec
                )
                found.append(f"{symmetry.number:03d}")
            except DataError:
                failed.append(str(crystals.ids[i]))
        if failed:
            raise ConfigError(
                f"the space group of {len(failed)} crystals cannot be determined within {self.symprec} Å: "
                f"{first_ids(failed)}; give another symprec, e.g. space_group:symprec=0.01"
            )
        return found
