"""The search for hyperparameters: one worker's part in a study."""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from crystalbench.errors import CrystalBenchError
from crystalbench.models.model import Phase, Progress, silent
from crystalbench.results.spec import RunSpec
from crystalbench.results.store import StudyStore
from crystalbench.results.study import Study
from crystalbench.targets import METRICS
from crystalbench.tuning.attempt import evaluate
from crystalbench.tuning.budget import used_seconds
from crystalbench.tuning.objective import ObjectiveFunction
from crystalbench.tuning.reading import facts_of, to_study
from crystalbench.tuning.sampler import NUMBER
from crystalbench.tuning.shared import SharedStudy
from crystalbench.tuning.space import space_as_json
from crystalbench.tuning.storage import Storage

POLL_SECONDS = 0.5
"""How often a worker without a trial checks whether the other workers have finished theirs."""


class TuningError(CrystalBenchError):
    """All trials of a study failed."""


@dataclass
class Search:
    """One worker's part in a study, which any number of workers may share.

    Attributes:
        spec: specification of the study.
        label: the model's name in tables.
        metric: name of the metric that scores a trial.
        unit: unit of the target.
        space: the search space.
        default: the configuration of trial 0, in the search space.
        storage: stores the study until it is finished.
        files: store of finished studies.
        environment: versions and processor of this process, for the finished study.
        since: when this command began, in seconds since the epoch. A study whose trials all failed before that is
            restarted.
        clock: current time in seconds; time during which the clock is stopped does not count for a trial.
    """

    spec: RunSpec
    label: str
    metric: str
    unit: str
    space: Mapping[str, BaseDistribution]
    default: Mapping[str, Any]
    storage: Storage
    files: StudyStore
    environment: Mapping[str, Any] = field(default_factory=dict)
    since: float = 0.0
    clock: Callable[[], float] = time.perf_counter
    _failure: Exception | None = field(default=None, init=False)

    def run(self, objective: ObjectiveFunction, progress: Progress = silent) -> Study:
        """Evaluate trials until the budget is used and all workers have finished.

        Args:
            objective: evaluates a trial.
            progress: called before each trial with the used part of the budget and the best value so far.

        Returns:
            The finished study. If it was finished before, it is read from its file.

        Raises:
            TuningError: all trials failed.
            ConfigError: the storage cannot be used.
        """
        if found := self.files.find(self.spec):
            return found
        with self.storage.translated_errors():
            shared = self._join()
            while True:
                trial = shared.claim()
                if trial is not None:
                    self._evaluate(shared, trial, objective, progress)
                elif all(t.state.is_finished() for t in shared.trials().values()):
                    return self._conclude(shared)
                else:
                    time.sleep(POLL_SECONDS)

    def assist(self, objective: ObjectiveFunction) -> int:
        """Evaluate trials of a study that another worker runs, as long as the budget allows new ones.

        Args:
            objective: evaluates a trial.

        Returns:
            Number of trials that were evaluated.

        Raises:
            ConfigError: the storage cannot be used.
        """
        if self.files.find(self.spec):
            return 0
        count = 0
        with self.storage.translated_errors():
            shared = self._join()
            while (trial := shared.claim()) is not None:
                self._evaluate(shared, trial, objective, silent)
                count += 1
        return count

    def _join(self) -> SharedStudy:
        metric = METRICS[self.metric]
        space = space_as_json(self.space)
        facts = facts_of(self.spec, self.label, metric.name, metric.higher_is_better, self.unit, space)
        return SharedStudy.join(self.spec, self.space, self.default, self.storage, facts, self.since)

    def _evaluate(
        self, shared: SharedStudy, trial: optuna.Trial, objective: ObjectiveFunction, progress: Progress
    ) -> None:
        if progress is not silent:
            self._report(shared, trial.user_attrs[NUMBER], progress)
        self._failure = evaluate(shared, trial, objective, self.clock) or self._failure

    def _report(self, shared: SharedStudy, number: int, progress: Progress) -> None:
        """Report the used part of the budget and the best value so far."""
        finished = [t for t in shared.trials().values() if t.state.is_finished()]
        values = [t.value for t in finished if t.state is TrialState.COMPLETE and t.value is not None]
        best = {"best": (max if METRICS[self.metric].higher_is_better else min)(values)} if values else {}
        tuning = self.spec.tuning
        assert tuning is not None
        if tuning.trials is not None:
            details: dict[str, Any] = {"unit": "trials", "trial": number, "trials": tuning.trials, **best}
            progress(len(finished), tuning.trials, phase=Phase.TUNING, **details)
        else:
            details = {"unit": "s", "trial": number, **best}
            progress(int(used_seconds(finished)), round(60 * (tuning.minutes or 0)), phase=Phase.TUNING, **details)

    def _conclude(self, shared: SharedStudy) -> Study:
        """Write the finished study to its file, unless another worker has done so."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        study = to_study(shared.study, environment=dict(self.environment), finished=now)
        if study.best is None:
            reasons = Counter(t.error or "no reason given" for t in study.trials)
            reason, count = reasons.most_common(1)[0]
            raise TuningError(
                f"all {len(study.trials)} trials of tuning failed, {count} of them with: {reason}; "
                "run the same command again to restart the study"
            ) from self._failure
        with self.storage.locked(shared.name):
            if found := self.files.find(self.spec):
                return found
            self.files.write(study)
        return study
