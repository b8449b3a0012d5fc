"""Facts of the rows of a task by which errors are sliced: composition, symmetry, size and density."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crystalbench.data.crystals import Crystals
from crystalbench.data.elements import MAX_Z
from crystalbench.evaluation.slices import TaskRows
from crystalbench.representations import MagpieFeatures
from crystalbench.representations.cache import represent
from crystalbench.tasks.symmetry import CRYSTAL_SYSTEMS, crystal_systems, space_groups
from crystalbench.tasks.task import Task

UNKNOWN = "unknown"
"""Crystal system where no symmetry is found."""


def rows_of(task: Task) -> TaskRows:
    """The facts of all rows of a task. Space groups take about 5 ms per crystal, once."""
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
    groups = space_groups(crystals)
    return replace(
        rows,
        space_groups=groups,
        crystal_systems=np.array([*CRYSTAL_SYSTEMS, UNKNOWN], object)[crystal_systems(groups)],
        atoms=crystals.atom_counts,
        volumes=crystals.volumes / crystals.atom_counts,
    )
