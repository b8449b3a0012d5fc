"""The label-shuffle control of any task: the same inputs and folds, with the targets exchanged among the rows.

No input says anything about a shuffled target, so that no model can be better than the dummy. One that is has seen test
rows, or the folds are not independent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from crystalbench.results.seeds import LARGEST, derived_seed
from crystalbench.tasks.made_of import MadeOfTaskSpec
from crystalbench.tasks.suffixes import SHUFFLED
from crystalbench.tasks.task import Task

if TYPE_CHECKING:
    from crystalbench.tasks.sources import DataSources
    from crystalbench.tasks.spec import TaskSpec


def shuffled(task: Task) -> Task:
    """The task with its targets shuffled within each fold.

    The targets of a test part are those of the task, in another order, and so are those of its training part: the dummy
    has the same scores as on the task. The order depends on the name of the task only.
    """
    targets = task.targets.copy()
    for fold in np.unique(task.folds):
        rows = np.flatnonzero(task.folds == fold)
        seed = derived_seed(f"{task.name}:{fold}:shuffled_labels", below=LARGEST)
        targets[rows] = targets[np.random.RandomState(seed).permutation(rows)]  # its stream never changes
    file = task.source.task_file
    source = replace(task.source, task_file=f"{file}{SHUFFLED}" if file else "")
    remarks = (*task.remarks, "its targets are shuffled")
    return replace(task, name=f"{task.name}{SHUFFLED}", targets=targets, source=source, remarks=remarks)


@dataclass(frozen=True)
class ShuffledTaskSpec(MadeOfTaskSpec):
    """The control of a task, before its data is loaded."""

    @classmethod
    def of(cls, task: TaskSpec) -> ShuffledTaskSpec:
        """The control of a task."""
        return cls(
            f"{task.name}{SHUFFLED}",
            task.target,
            task.metric,
            task.has_structures,
            task.rows_total,
            f"{task.description} (control: shuffled targets)",
            task.license,
            task.reference,
            task=task,
        )

    def load(self, sources: DataSources) -> Task:
        """Read the task and shuffle its targets.

        Raises:
            DataError: the data is missing or damaged; says what to do.
        """
        return shuffled(self.task.load(sources))
