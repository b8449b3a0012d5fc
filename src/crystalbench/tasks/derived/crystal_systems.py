"""Crystal systems as labels, with equally many rows of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals
from crystalbench.errors import DataError
from crystalbench.targets import Kind, Target
from crystalbench.tasks.derived.labelling import Labelled, Labelling
from crystalbench.tasks.symmetry import CRYSTAL_SYSTEMS, SYMPREC, crystal_systems, space_groups

if TYPE_CHECKING:
    from crystalbench.tasks.spec import TaskSpec
    from crystalbench.tasks.task import Task

_AT_ONCE = 1024  # crystals whose symmetry is searched before classes are counted again


@dataclass(frozen=True)
class CrystalSystems(Labelling):
    """As many rows of each crystal system, or crystal family, with its number as the target.

    Rows are taken in a shuffled order until every class is full, so the symmetry of few rows has to be found. If the
    source has too few rows of a class, every class gets as many as the rarest one has. Crystals in which spglib finds
    no symmetry have no class.

    Attributes:
        per_class: rows of each class.
        families: whether trigonal and hexagonal crystals are one class, the hexagonal family.
        symprec: tolerance of the symmetry search in Å.
        seed: seed of the order.
    """

    slow: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("spglib",)

    per_class: int
    families: bool = False
    symprec: float = SYMPREC
    seed: int = 0

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, from low to high symmetry."""
        return tuple(name for name in CRYSTAL_SYSTEMS if not (self.families and name == "trigonal"))

    def target(self, source: TaskSpec | Task) -> Target:
        """The crystal system or family."""
        return Target(f"crystal {'family' if self.families else 'system'}", Kind.MULTICLASS, classes=self.classes)

    def __call__(self, task: Task) -> Labelled:
        """The first rows of each class in the shuffled order.

        Raises:
            DataError: the task has compositions only, or no row of a class.
        """
        crystals = task.inputs
        if not isinstance(crystals, Crystals):
            raise DataError(
                f"crystal systems need structures, and the data of {task.name} has compositions only; name a file with "
                f"its structures (--data {task.name}=PATH), or choose other tasks"
            )
        order = self.shuffled(len(crystals), self.seed)
        labels = self._labels_until_full(crystals, order)
        known = [np.flatnonzero(labels == c)[: self.per_class] for c in range(len(self.classes))]
        least = min(map(len, known))
        if least == 0:
            missing = [name for name, places in zip(self.classes, known, strict=True) if len(places) == 0]
            raise DataError(f"{task.name}: has no {missing[0]} crystal among its {len(crystals):,} rows")
        places = np.concatenate([part[:least] for part in known])
        rows = order[places]
        by_row = np.argsort(rows)
        remarks = []
        if least < self.per_class:
            rarest = self.classes[int(np.argmin([len(part) for part in known]))]
            remarks.append(f"{least:,} rows of each class instead of {self.per_class:,}: {rarest} crystals are rare")
        if failed := int((labels == -1).sum()):
            remarks.append(f"{failed:,} crystals without symmetry within {self.symprec:g} Å were passed over")
        return Labelled(rows[by_row], labels[places][by_row].astype(np.float64), tuple(remarks))

    def _labels_until_full(self, crystals: Crystals, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Classes of rows in an order, -1 for none, up to where every class is full."""
        labels = np.zeros(0, np.int64)
        for start in range(0, len(order), _AT_ONCE):
            block = crystals[order[start : start + _AT_ONCE]]
            labels = np.concatenate([labels, self._classes_of(space_groups(block, self.symprec))])
            if np.bincount(labels[labels >= 0], minlength=len(self.classes)).min() >= self.per_class:
                break
        return labels

    def _classes_of(self, groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        systems = crystal_systems(groups)
        if not self.families:
            return systems
        trigonal = CRYSTAL_SYSTEMS.index("trigonal")
        return np.where(systems > trigonal, systems - 1, systems)
