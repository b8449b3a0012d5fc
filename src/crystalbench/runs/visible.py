"""VisibleTask: the inputs of a task as a model sees them, with shared representations."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.samples import Samples
from crystalbench.data.views import View
from crystalbench.errors import DataError
from crystalbench.models.model import Needs, Phase, Progress, silent
from crystalbench.representations import Arrays, Representation
from crystalbench.representations.cache import represent
from crystalbench.sees import Hidden
from crystalbench.tasks.task import Task


@dataclass
class VisibleTask:
    """A task's inputs as a model may see them. Each representation is computed once for all folds.

    Attributes:
        task: the task.
        inputs: its inputs under a view; compositions only for models that need no structures.
        hidden: what the view, the task or the needs of the model hide; None if the view does not declare it.
        processes: number of processes that may compute a representation.
        used: keys of the representations requested since this set was last cleared.
        waited: seconds spent on computing or reading representations so far.
    """

    task: Task
    inputs: Inputs
    hidden: frozenset[Hidden] | None
    processes: int = 1
    used: set[str] = field(default_factory=set)
    waited: float = 0.0
    _memo: dict[str, tuple[Arrays, float]] = field(default_factory=dict)
    _reports: _Repeatable = field(default_factory=lambda: _Repeatable(silent), repr=False)

    @classmethod
    def of(cls, task: Task, view: View, needs: Needs, processes: int = 1) -> VisibleTask:
        """What a model with these needs may see of a task under a view.

        Raises:
            DataError: the model needs structures and the task has none.
        """
        inputs = task.inputs
        if isinstance(inputs, Crystals):
            inputs = view(inputs)
            if needs is Needs.STRUCTURE:
                return cls(task, inputs, view.hides, processes)
            return cls(task, inputs.compositions(), _without_structure(view.hides), processes)
        if needs is Needs.STRUCTURE:
            raise DataError(f"{task.name}: has compositions only; this model needs structures")
        return cls(task, inputs, _without_structure(view.hides), processes)

    def samples(self, rows: npt.NDArray[np.int64], *, with_targets: bool) -> Samples:
        """The given rows of the task. Rows to predict carry no targets."""
        targets = self.task.targets[rows] if with_targets else None
        return Samples(self.inputs[rows], self.task.target, targets, represent=self._rows_of, rows=rows)

    def follow(self, progress: Progress) -> Progress:
        """Report to a callback, from now on, when representations are computed.

        Returns:
            A callback for everything else. What it reported last is reported again after a representation.
        """
        self._reports = _Repeatable(progress)
        return self._reports

    @property
    def seconds(self) -> float:
        """Seconds that computing the used representations took."""
        return sum(self._memo[key][1] for key in self.used)

    def _rows_of(self, representation: Representation, rows: npt.NDArray[np.int64]) -> Arrays:
        if representation.key not in self._memo:
            start = time.perf_counter()
            self._report(0, len(self.inputs))
            self._memo[representation.key] = represent(representation, self.inputs, self.processes, self._report)
            self.waited += time.perf_counter() - start
            self._reports.repeat()
        self.used.add(representation.key)
        return self._memo[representation.key][0][rows]

    def _report(self, done: int, total: int) -> None:
        unit = "crystals" if isinstance(self.inputs, Crystals) else "compositions"
        self._reports.progress(done, total, phase=Phase.REPRESENTATIONS, unit=unit)


def _without_structure(hidden: frozenset[Hidden] | None) -> frozenset[Hidden] | None:
    return None if hidden is None else hidden | {Hidden.STRUCTURE}


class _Repeatable(Progress):
    """Passes progress on, and can repeat the last of it."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._last: tuple[int, int, dict[str, Any]] | None = None

    def __call__(self, done: int, total: int, **details: Any) -> None:
        self._last = done, total, details
        self.progress(done, total, **details)

    def repeat(self) -> None:
        if self._last is not None:
            done, total, details = self._last
            self.progress(done, total, **details)
