"""Tuning a run: from what it asks to the study that answers, and to a worker that takes part in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from crystalbench.models.model import Progress, silent
from crystalbench.records import Tuned
from crystalbench.runs.environment import environment
from crystalbench.runs.execute import Machine, Shown
from crystalbench.runs.plan import Run
from crystalbench.runs.protocol import tuning_splits
from crystalbench.studies import StudyFiles, asked_of_study
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

    files: StudyFiles
    storage: Storage
    machine: Machine
    since: float

    @classmethod
    def beside(cls, records: Path, storage: Storage | None, machine: Machine, since: float) -> Tuner:
        """With the studies beside a folder of records, in a sqlite file there if no other storage is given."""
        folder = records.parent / "studies"
        return cls(StudyFiles(folder), storage or Storage.below(folder), machine, since)

    def tune(self, run: Run, shown: Shown, progress: Progress = silent) -> Tuned:
        """Search for the run's hyperparameters, or take them from the finished study.

        Raises:
            TuningError: every trial failed.
            ConfigError: the storage cannot be used.
        """
        search, objective = self._study(run, shown)
        return search.work(objective, progress).tuned()

    def help(self, run: Run, shown: Shown) -> int:
        """Do trials of a run that another process holds; returns their number."""
        search, objective = self._study(run, shown)
        return search.help(objective)

    def _study(self, run: Run, shown: Shown) -> tuple[Search, Objective]:
        task = run.task
        asked = asked_of_study(run.asked, task.fold_numbers[0])
        assert asked.tuning is not None
        training = shown.samples(task.split(asked.fold)[0], with_targets=True)
        splits = tuning_splits(task.name, asked.fold, training.targets, task.target.kind, asked.tuning, asked.protocol)
        machine = self.machine
        objective = Objective(asked, run.model, training, splits, task.metric, machine.device, machine.threads)
        search = Search(
            asked=asked,
            label=run.label,
            metric=task.metric,
            unit=task.target.unit,
            space=run.space,
            default=default_in(run.space, asked.parameters),
            storage=self.storage,
            files=self.files,
            environment=environment(machine.device),
            since=self.since,
            # As for a run's own seconds, computing representations is not counted.
            clock=lambda: time.perf_counter() - shown.waited,
        )
        return search, objective
