"""Facts of the rows of a task by which errors are sliced: composition, symmetry, size and density."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crystalbench.data.crystals import Crystals
from crystalbench.data.elements import MAX_Z
from crystalbench.errors import DataError
from crystalbench.evaluation.slices import TaskRows
from crystalbench.representations import MagpieFeatures
from crystalbench.representations.cache import represent
from crystalbench.representations.descriptors.space_group import find_symmetry
from crystalbench.tasks.task import Task

SYMPREC = 0.1
"""Tolerance of the symmetry search in Å."""

_LAST = (2, 15, 74, 142, 167, 194, 230)
_SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
UNKNOWN = "unknown"
"""Crystal system where no symmetry is found."""


def rows_of(task: Task) -> TaskRows:
    """The facts of all rows of a task. Space groups take about 5 ms per crystal."""
    inputs = task.inputs
    compositions = inputs.compositions() if isinstance(inputs, Crystals) else inputs
    elements = np.zeros((len(task), MAX_Z + 1), np.bool_)
    elements[compositions.owners, compositions.numbers] = True
    rows = TaskRows(
        task=task.name,
        data=task.digest,
        ids=inputs.ids,
        folds=task.folds,
        targets=task.targets,
        classes=tuple(map(str, task.target.classes)),
        formulas=np.array(compositions.normalised_formulas(), object),
        systems=np.array(compositions.chemical_systems(), object),
        elements=elements,
        features=np.asarray(represent(MagpieFeatures(), compositions, 1)[0].values["features"]),
    )
    return _with_structures(rows, inputs) if isinstance(inputs, Crystals) else rows


def _with_structures(rows: TaskRows, crystals: Crystals) -> TaskRows:
    groups = np.array([_space_group(crystals, row) for row in range(len(crystals))], np.int64)
    systems = [_SYSTEMS[int(np.searchsorted(_LAST, group))] if group else UNKNOWN for group in groups]
    return replace(
        rows,
        space_groups=groups,
        crystal_systems=np.array(systems, object),
        atoms=crystals.atom_counts,
        volumes=crystals.volumes / crystals.atom_counts,
    )


def _space_group(crystals: Crystals, row: int) -> int:
    """Number of the space group; 0 if no symmetry is found."""
    atoms = slice(crystals.offsets[row], crystals.offsets[row + 1])
    try:
        found = find_symmetry(crystals.lattices[row], crystals.frac_coords[atoms], crystals.numbers[atoms], SYMPREC)
    except DataError:
        return 0
    return found.number
