"""Descriptors as targets: the crystals of any task, with a descriptor of the crystal in place of the property.

A model that cannot learn a descriptor from the crystal itself does not see it. Crystals are in Niggli-reduced primitive
cells, so that descriptors of the cell are those of the crystal, and of the cell that the model gets.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crystalbench.data.checks import first_ids
from crystalbench.data.crystals import Crystals
from crystalbench.errors import DataError, UnknownNameError
from crystalbench.targets import Kind, Target
from crystalbench.tasks.catalogue import DESCRIPTORS, Descriptor, catalogue_values
from crystalbench.tasks.made_of import MadeOfTaskSpec
from crystalbench.tasks.suffixes import DESCRIPTOR
from crystalbench.tasks.task import Task

if TYPE_CHECKING:
    from crystalbench.tasks.sources import DataSources
    from crystalbench.tasks.spec import TaskSpec

_Described = tuple[Crystals, npt.NDArray[np.float64]]

_KEPT = 4
_known: OrderedDict[str, _Described] = OrderedDict()


def canonical(crystals: Crystals, processes: int = 1) -> _Described:
    """Crystals in Niggli-reduced primitive cells, within 0.01 Å, and their descriptors.

    A crystal whose symmetry cannot be found keeps its cell, with a warning. The last results are kept, since tasks for
    several descriptors have the same crystals.

    Args:
        crystals: n crystals.
        processes: number of processes that may compute the descriptors.

    Returns:
        The crystals; and (n, d), a column for each of `DESCRIPTORS`, NaN where a descriptor cannot be computed.
    """
    from crystalbench.data.views import primitive

    if crystals.digest not in _known:
        cells = primitive(crystals)
        _known[crystals.digest] = cells, catalogue_values(cells, processes)
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    return _known[crystals.digest]


def described(task: Task, name: str) -> Task:
    """The task with a descriptor as its target, in canonical cells.

    Folds are those of the task. Crystals whose descriptor cannot be computed have no target and are left out, with a
    remark.

    Args:
        task: a task with structures.
        name: one of `DESCRIPTORS`.

    Raises:
        UnknownNameError: there is no such descriptor.
        DataError: the task has compositions only, or the descriptor can be computed for none of its crystals.
    """
    descriptor = _checked(name)
    if not isinstance(task.inputs, Crystals):
        raise DataError(f"{task.name}: has compositions only, and descriptors need structures")
    crystals, values = canonical(task.inputs)
    targets = values[:, list(DESCRIPTORS).index(name)]
    rows = np.flatnonzero(np.isfinite(targets))
    missing = len(targets) - len(rows)
    if not len(rows):
        raise DataError(f"{task.name}: the descriptor {name} can be computed for none of its {len(targets):,} crystals")
    remarks = [f"its target is a descriptor of the crystal, {descriptor.label}"]
    if missing:
        ids = first_ids(task.inputs.ids[~np.isfinite(targets)])
        remarks.append(f"{missing:,} of {len(targets):,} crystals have no {name} and are left out: {ids}")
    file = task.source.task_file
    suffix = f"{DESCRIPTOR}{name}"
    return Task(
        f"{task.name}{suffix}",
        _target(name),
        "mae",
        crystals[rows] if missing else crystals,
        targets[rows],
        task.folds[rows],
        task.rows_total - missing,
        replace(task.source, task_file=f"{file}{suffix}" if file else ""),
        (*task.remarks, *remarks),
        task.fold_scheme,
    )


def _checked(name: str) -> Descriptor:
    if name not in DESCRIPTORS:
        raise UnknownNameError("descriptor", name, DESCRIPTORS)
    return DESCRIPTORS[name]


def _target(name: str) -> Target:
    return Target(name, Kind.REGRESSION, _checked(name).unit)


@dataclass(frozen=True)
class DescribedTaskSpec(MadeOfTaskSpec):
    """A task with a descriptor as its target, before its data is loaded.

    Attributes:
        descriptor: one of `DESCRIPTORS`.
    """

    descriptor: str = field(kw_only=True)

    @classmethod
    def of(cls, task: TaskSpec, descriptor: str) -> DescribedTaskSpec:
        """A descriptor of the crystals of a task.

        Raises:
            UnknownNameError: there is no such descriptor.
        """
        return cls(
            f"{task.name}{DESCRIPTOR}{descriptor}",
            _target(descriptor),
            "mae",
            task.has_structures,
            task.rows_total,
            f"{_checked(descriptor).label} of the crystals of {task.name}",
            task.license,
            task.reference,
            task=task,
            descriptor=descriptor,
        )

    def load(self, sources: DataSources) -> Task:
        """Read the task and compute the descriptor.

        Raises:
            DataError: the data is missing or damaged, says what to do; or the task has compositions only.
        """
        return described(self.task.load(sources), self.descriptor)
