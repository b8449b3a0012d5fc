"""Tuning a run: the study for its specification, and this process as a worker of the study."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crystalbench.models.model import Progress, silent
from crystalbench.results.record import TuningResult
from crystalbench.results.store import StudyStore
from crystalbench.results.study import study_spec
from crystalbench.runs.environment import environment
from crystalbench.runs.plan import Run
from crystalbench.runs.protocol import training_rows, tuning_splits
from crystalbench.runs.resources import Resources
from crystalbench.runs.visible import VisibleTask
from crystalbench.tuning import Objective, Search, Storage, default_in


@dataclass(frozen=True)
class Tuner:
    """Tunes runs, and knows where their studies are.

    Attributes:
        files: finished studies.
        storage: database of unfinished studies.
        resources: device and threads.
        since: when the command began (seconds since the epoch).
    """

    files: StudyStore
    storage: Storage
    resources: Resources
    since: float

    @classmethod
    def in_folder(cls, folder: Path, storage: Storage | None, resources: Resources, since: float) -> Tuner:
        """With finished studies in a folder, and unfinished ones in an SQLite file there or in another storage."""
        return cls(StudyStore(folder), storage or Storage.below(folder), resources, since)

    def tune(self, run: Run, shown: VisibleTask, progress: Progress = silent) -> TuningResult:
        """Search for the hyperparameters of a run, or take them from its finished study.

        Raises:
            TuningError: every trial failed.
            ConfigError: the storage cannot be used.
        """
        search, objective = self._study(run, shown)
        return search.run(objective, progress).tuned()

    def help(self, run: Run, shown: VisibleTask) -> int:
        """Do trials for a run that another process computes; returns their number."""
        search, objective = self._study(run, shown)
        return search.assist(objective)

    def search(self, run: Run, clock: Callable[[], float], environment: Mapping[str, Any]) -> Search:
        """This process's part in the study of a run.

        Args:
            run: the run.
            clock: current time in seconds; time during which it is stopped does not count for a trial.
            environment: versions and processor, for the finished study.
        """
        spec = study_spec(run.spec, run.task.fold_numbers[0])
        return Search(
            spec=spec,
            label=run.label,
            metric=run.task.metric,
            unit=run.task.target.unit,
            space=run.space,
            default=default_in(run.space, spec.parameters),
            storage=self.storage,
            files=self.files,
            environment=environment,
            since=self.since,
            clock=clock,
        )

    def _study(self, run: Run, shown: VisibleTask) -> tuple[Search, Objective]:
        # As in the timings of a run, computing representations is not counted.
        search = self.search(run, lambda: time.perf_counter() - shown.waited, environment(self.resources.device))
        return search, objective_of(run, shown, self.resources)


def objective_of(run: Run, shown: VisibleTask, resources: Resources) -> Objective:
    """The objective of the study of a run.

    Args:
        run: the run.
        shown: what its model may see of the task.
        resources: device and threads of a fit.
    """
    task = run.task
    spec = study_spec(run.spec, task.fold_numbers[0])
    assert spec.tuning is not None
    training = shown.samples(training_rows(task, spec), with_targets=True)
    splits = tuning_splits(task.name, spec.fold, training.targets, task.target.kind, spec.tuning, spec.protocol)
    return Objective(spec, run.model, training, splits, task.metric, resources.device, resources.threads)
