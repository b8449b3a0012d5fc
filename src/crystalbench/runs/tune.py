"""Tuning a run: the study for its specification, and this process as a worker of the study."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

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

    def _study(self, run: Run, shown: VisibleTask) -> tuple[Search, Objective]:
        task = run.task
        spec = study_spec(run.spec, task.fold_numbers[0])
        assert spec.tuning is not None
        training = shown.samples(training_rows(task, spec), with_targets=True)
        splits = tuning_splits(task.name, spec.fold, training.targets, task.target.kind, spec.tuning, spec.protocol)
        resources = self.resources
        objective = Objective(spec, run.model, training, splits, task.metric, resources.device, resources.threads)
        search = Search(
            spec=spec,
            label=run.label,
            metric=task.metric,
            unit=task.target.unit,
            space=run.space,
            default=default_in(run.space, spec.parameters),
            storage=self.storage,
            files=self.files,
            environment=environment(resources.device),
            since=self.since,
            # As in the timings of a run, computing representations is not counted.
            clock=lambda: time.perf_counter() - shown.waited,
        )
        return search, objective
