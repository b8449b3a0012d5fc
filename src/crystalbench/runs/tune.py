"""Tuning a run: from what it asks to the study that answers, and to a worker that takes part in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from crystalbench.models.model import Progress, silent
from crystalbench.results.record import TuningResult
from crystalbench.results.store import StudyStore
from crystalbench.results.study import study_spec
from crystalbench.runs.environment import environment
from crystalbench.runs.execute import Resources, VisibleTask
from crystalbench.runs.plan import Run
from crystalbench.runs.protocol import tuning_splits
from crystalbench.tuning import Objective, Search, Storage, default_in


@dataclass(frozen=True)
class Tuner:
    """Where studies are, for all tuned runs of a plan.

    Attributes:
        files: finished studies.
        storage: studies under way.
        machine: device and threads.
        since: when this call of the command began (seconds since the epoch).
    """

    files: StudyStore
    storage: Storage
    machine: Resources
    since: float

    @classmethod
    def beside(cls, records: Path, storage: Storage | None, machine: Resources, since: float) -> Tuner:
        """With the studies beside a folder of records, in a sqlite file there if no other storage is given."""
        folder = records.parent / "studies"
        return cls(StudyStore(folder), storage or Storage.below(folder), machine, since)

    def tune(self, run: Run, shown: VisibleTask, progress: Progress = silent) -> TuningResult:
        """Search for the run's hyperparameters, or take them from the finished study.

        Raises:
            TuningError: every trial failed.
            ConfigError: the storage cannot be used.
        """
        search, objective = self._study(run, shown)
        return search.run(objective, progress).tuned()

    def help(self, run: Run, shown: VisibleTask) -> int:
        """Do trials of a run that another process holds; returns their number."""
        search, objective = self._study(run, shown)
        return search.assist(objective)

    def _study(self, run: Run, shown: VisibleTask) -> tuple[Search, Objective]:
        task = run.task
        spec = study_spec(run.spec, task.fold_numbers[0])
        assert spec.tuning is not None
        training = shown.samples(task.split(spec.fold)[0], with_targets=True)
        splits = tuning_splits(task.name, spec.fold, training.targets, task.target.kind, spec.tuning, spec.protocol)
        machine = self.machine
        objective = Objective(spec, run.model, training, splits, task.metric, machine.device, machine.threads)
        search = Search(
            spec=spec,
            label=run.label,
            metric=task.metric,
            unit=task.target.unit,
            space=run.space,
            default=default_in(run.space, spec.parameters),
            storage=self.storage,
            files=self.files,
            environment=environment(machine.device),
            since=self.since,
            # As for a run's own seconds, computing representations is not counted.
            clock=lambda: time.perf_counter() - shown.waited,
        )
        return search, objective
