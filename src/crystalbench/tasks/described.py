"""Descriptors as targets: the materials of any task, with a descriptor of the material in place of the property.

A model that cannot learn a descriptor from the crystal itself does not see it. Crystals are in Niggli-reduced primitive
cells, so that descriptors of the cell are those of the crystal, and of the cell that the model gets. Tasks with
compositions only have the descriptors that need no more.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crystalbench.data.checks import first_ids
from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.targets import Kind, Target
from crystalbench.tasks.catalogue import DESCRIPTORS, OF_COMPOSITIONS, Descriptor, catalogue_values, names_for
from crystalbench.tasks.made_of import MadeOfTaskSpec
from crystalbench.tasks.suffixes import DESCRIPTOR
from crystalbench.tasks.task import Task

if TYPE_CHECKING:
    from crystalbench.tasks.sources import DataSources
    from crystalbench.tasks.spec import TaskSpec

_Described = tuple[Inputs, npt.NDArray[np.float64]]

REMARK = "its target is a descriptor of the"
"""Beginning of the remark on every task that is made here."""

_KEPT = 4
_known: OrderedDict[str, _Described] = OrderedDict()
"""By digest, which does not depend on the ids."""


def canonical(inputs: Inputs, processes: int = 1) -> _Described:
    """Crystals in Niggli-reduced primitive cells, within 0.01 Å, and their descriptors; compositions as they are.

    A crystal whose symmetry cannot be found keeps its cell, with a warning. The last results are kept, since tasks for
    several descriptors have the same crystals.

    Args:
        inputs: n crystals or compositions.
        processes: number of processes that may compute the descriptors.

    Returns:
        The crystals or compositions; and (n, d), a column for each name of `names_for`, NaN where a descriptor cannot
        be computed.
    """
    from crystalbench.data.views import primitive

    if not isinstance(inputs, Crystals):
        return inputs, catalogue_values(inputs, processes)
    if inputs.digest not in _known:
        primitive_cells = primitive(inputs)
        _known[inputs.digest] = primitive_cells, catalogue_values(primitive_cells, processes)
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    cells, values = _known[inputs.digest]
    return (cells if np.array_equal(cells.ids, inputs.ids) else replace(cells, ids=inputs.ids)), values


def described(task: Task, name: str) -> Task:
    """The task with a descriptor as its target, in canonical cells.

    Folds are those of the task. Rows whose descriptor cannot be computed have no target and are left out, with a
    remark.

    Args:
        task: a task.
        name: one of `DESCRIPTORS`; of `OF_COMPOSITIONS` for a task without structures.

    Raises:
        UnknownNameError: there is no such descriptor.
        ConfigError: the descriptor needs structures, and the task has compositions only.
        DataError: the descriptor can be computed for none of the rows.
    """
    descriptor = _checked(name, task.name, has_structures=task.has_structures)
    inputs, values = canonical(task.inputs)
    targets = values[:, names_for(has_structures=task.has_structures).index(name)]
    rows = np.flatnonzero(np.isfinite(targets))
    missing = len(targets) - len(rows)
    what = "crystal" if task.has_structures else "composition"
    if not len(rows):
        raise DataError(f"{task.name}: the descriptor {name} can be computed for none of its {len(targets):,} {what}s")
    remarks = [f"{REMARK} {what}, {descriptor.label}"]
    if missing:
        ids = first_ids(task.inputs.ids[~np.isfinite(targets)])
        remarks.append(f"{missing:,} of {len(targets):,} {what}s have no {name} and are left out: {ids}")
    file = task.source.task_file
    suffix = f"{DESCRIPTOR}{name}"
    return Task(
        f"{task.name}{suffix}",
        _target(name),
        "mae",
        inputs[rows] if missing else inputs,
        targets[rows],
        task.folds[rows],
        task.rows_total - missing,
        replace(task.source, task_file=f"{file}{suffix}" if file else ""),
        (*task.remarks, *remarks),
        task.fold_scheme,
    )


def _checked(name: str, task: str, *, has_structures: bool) -> Descriptor:
    """The descriptor of a name, if the rows of a task have it."""
    if name not in DESCRIPTORS:
        raise UnknownNameError("descriptor", name, DESCRIPTORS)
    if not has_structures and name not in OF_COMPOSITIONS:
        raise ConfigError(
            f"{task}{DESCRIPTOR}{name}: {name} needs structures, and {task} has compositions only; the descriptors of "
            f"compositions are {', '.join(OF_COMPOSITIONS)}"
        )
    return DESCRIPTORS[name]


def _target(name: str) -> Target:
    return Target(name, Kind.REGRESSION, DESCRIPTORS[name].unit)


@dataclass(frozen=True)
class DescribedTaskSpec(MadeOfTaskSpec):
    """A task with a descriptor as its target, before its data is loaded.

    Attributes:
        descriptor: one of `DESCRIPTORS`.
    """

    descriptor: str = field(kw_only=True)

    @classmethod
    def of(cls, task: TaskSpec, descriptor: str) -> DescribedTaskSpec:
        """A descriptor of the crystals or compositions of a task.

        Raises:
            UnknownNameError: there is no such descriptor.
            ConfigError: the descriptor needs structures, and the task has compositions only.
        """
        known = _checked(descriptor, task.name, has_structures=task.has_structures)
        return cls(
            f"{task.name}{DESCRIPTOR}{descriptor}",
            _target(descriptor),
            "mae",
            task.has_structures,
            task.rows_total,
            f"{known.label} of the {'crystals' if task.has_structures else 'compositions'} of {task.name}",
            task.license,
            task.reference,
            task=task,
            descriptor=descriptor,
        )

    def load(self, sources: DataSources) -> Task:
        """Read the task and compute the descriptor.

        Raises:
            DataError: the data is missing or damaged; says what to do.
        """
        return described(self.task.load(sources), self.descriptor)
