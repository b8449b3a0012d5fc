"""One study as several workers share it: claiming trials, finishing them, and taking over those of dead workers."""

from __future__ import annotations

import itertools
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Self

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from crystalbench.results.spec import RunSpec, TuningSpec
from crystalbench.results.study import study_name
from crystalbench.tuning.budget import has_room
from crystalbench.tuning.halving import Halving
from crystalbench.tuning.reading import (
    ERROR,
    FACTS,
    LAST_DISCARDED,
    SCORES,
    SECONDS,
    WITHDRAWN,
    WORKER,
    current_trials,
    last_discarded,
)
from crystalbench.tuning.sampler import NUMBER, SeededTPE
from crystalbench.tuning.storage import Storage
from crystalbench.tuning.worker import is_dead, worker_id

log = logging.getLogger(__name__)

MAX_DEATHS = 3
"""A trial fails after this many of its workers have died: it may be what kills them, for example for lack of memory."""

_DEAD_WORKER = "its worker is gone"
"""Reason of a withdrawal. It is counted in the storage, so the text must not change."""

_DEADLY = f"its worker died {MAX_DEATHS} times, perhaps for lack of memory"


@dataclass(frozen=True)
class SharedStudy:
    """A study in the storage.

    Every method that changes trials acquires the storage's lock of the study. The number of trials is therefore exact,
    and each proposal takes all running trials into account.

    A trial has a number within the budget. Optuna stores a new trial, with a number of its own, for each attempt at it.

    Attributes:
        spec: specification of the study.
        space: the search space.
        default: the configuration of trial 0, in the search space.
        storage: where the study is.
        study: the Optuna study.
    """

    spec: RunSpec
    space: Mapping[str, BaseDistribution]
    default: Mapping[str, Any]
    storage: Storage
    study: optuna.Study

    @classmethod
    def join(
        cls,
        spec: RunSpec,
        space: Mapping[str, BaseDistribution],
        default: Mapping[str, Any],
        storage: Storage,
        facts: Mapping[str, Any],
        since: float,
    ) -> Self:
        """Load a study from the storage, or create it there.

        Args:
            spec: specification of the study.
            space: the search space.
            default: the configuration of trial 0, in the search space.
            storage: where the study is.
            facts: see `crystalbench.tuning.reading.facts_of`.
            since: when this command began, in seconds since the epoch. A study whose trials all failed before that is
                restarted.
        """
        assert spec.tuning is not None
        database = storage.database
        with storage.locked(study_name(spec)):
            study = optuna.create_study(
                study_name=study_name(spec),
                storage=database,
                sampler=SeededTPE(spec, space, default),
                pruner=Halving(len(spec.tuning.evaluations)),
                direction="maximize" if facts["higher_is_better"] else "minimize",
                load_if_exists=True,
            )
            if FACTS not in study.user_attrs:
                study.set_user_attr(FACTS, dict(facts))
            shared = cls(spec, space, default, storage, study)
            shared._restart_if_all_failed(since)
        return shared

    @property
    def name(self) -> str:
        """Name of the study."""
        return study_name(self.spec)

    def trials(self) -> dict[int, FrozenTrial]:
        """The trials that count, by number."""
        return current_trials(self.study, self.study.get_trials(deepcopy=False))

    def claim(self) -> optuna.Trial | None:
        """Begin a trial, as the only worker on it; None if the budget allows no other."""
        with self.storage.locked(self.name):
            trials = self.study.get_trials(deepcopy=False)
            if self._withdraw_dead(trials):
                trials = self.study.get_trials(deepcopy=False)
            current = current_trials(self.study, trials)
            # A trial waits if a worker died between enqueueing and beginning it; then `ask` returns that one.
            if not any(t.state is TrialState.WAITING for t in current.values()) and not self._enqueue(trials, current):
                return None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Optuna warns about heartbeats, which `Heartbeat` records
                trial = self.study.ask(dict(self.space))
            trial.set_user_attr(WORKER, worker_id())
            self.storage.database.record_heartbeat(trial._trial_id)
            return trial

    def finish(
        self, trial: optuna.Trial, state: TrialState, scores: Sequence[float], error: str | None, seconds: float
    ) -> None:
        """Store the outcome of a trial, unless another worker has taken it over.

        Args:
            trial: a claimed trial.
            state: complete, pruned or failed.
            scores: score of each evaluation; the value of a complete trial is their mean.
            error: why it failed, in one line.
            seconds: time it took.
        """
        with self.storage.locked(self.name):
            stored = self.storage.database.get_trial(trial._trial_id)
            if stored.state is not TrialState.RUNNING or WITHDRAWN in stored.user_attrs:
                log.warning("%s: another worker has taken over trial %d", self.name, stored.user_attrs[NUMBER])
                return
            trial.set_user_attr(SECONDS, round(seconds, 4))
            trial.set_user_attr(SCORES, list(scores))
            if error is not None:
                trial.set_user_attr(ERROR, error)
            self.study.tell(trial, fmean(scores) if state is TrialState.COMPLETE else None, state)

    def release(self, trial: optuna.Trial) -> None:
        """Give up an interrupted trial, so that it is attempted again."""
        with self.storage.locked(self.name):
            self._withdraw(trial._trial_id, "interrupted")

    # ------------------------------------------------------------------ with the lock held

    @property
    def _tuning(self) -> TuningSpec:
        assert self.spec.tuning is not None
        return self.spec.tuning

    def _enqueue(self, trials: Sequence[FrozenTrial], current: Mapping[int, FrozenTrial]) -> bool:
        """Create the next trial, waiting to begin; False if the budget allows no other."""
        number = next(n for n in itertools.count() if n not in current)
        earlier = [t for t in trials if t.user_attrs[NUMBER] == number and t.params]
        # An attempt since the last restart is already part of the budget.
        budgeted = any(t.number > last_discarded(self.study) for t in earlier)
        if not budgeted and not has_room(self._tuning, current, number):
            return False
        # A new attempt has the parameters of the earlier ones.
        parameters = earlier[-1].params if earlier else (self.default if number == 0 else {})
        self.study.enqueue_trial(dict(parameters), user_attrs={NUMBER: number})
        return True

    def _restart_if_all_failed(self, since: float) -> None:
        """Discard the trials of a study that used its budget, without success, before this command began."""
        trials = self.study.get_trials(deepcopy=False)
        current = current_trials(self.study, trials)
        failed = [t for t in current.values() if t.state is TrialState.FAIL and t.datetime_complete]
        all_failed = bool(current) and len(failed) == len(current)
        if all_failed and not has_room(self._tuning, current, len(current)):
            last = max(t.datetime_complete.timestamp() for t in failed if t.datetime_complete)
            if last < since:
                self.study.set_user_attr(LAST_DISCARDED, max(t.number for t in trials))

    def _withdraw_dead(self, trials: Sequence[FrozenTrial]) -> bool:
        """Withdraw the running trials of dead workers, or fail them after `MAX_DEATHS`; returns whether any was."""
        running = [t for t in trials if t.state is TrialState.RUNNING]
        stale = set(self.storage.database._get_stale_trial_ids(self.study._study_id)) if running else set()
        found = False
        for trial in running:
            # A trial without a worker was left by one that died in `claim`, which is locked.
            worker = trial.user_attrs.get(WORKER)
            if worker is None or WITHDRAWN in trial.user_attrs or trial._trial_id in stale or is_dead(worker):
                number = trial.user_attrs[NUMBER]
                attempts = [t for t in trials if t.user_attrs[NUMBER] == number]
                deaths = 1 + sum(t.user_attrs.get(WITHDRAWN) == _DEAD_WORKER for t in attempts)
                if worker and deaths >= MAX_DEATHS:
                    log.warning("%s: trial %d fails: %s", self.name, number, _DEADLY)
                    self.storage.database.set_trial_user_attr(trial._trial_id, ERROR, _DEADLY)
                    self.storage.database.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                else:
                    log.warning("%s: trial %d is attempted again: %s", self.name, number, _DEAD_WORKER)
                    self._withdraw(trial._trial_id, _DEAD_WORKER)
                found = True
        return found

    def _withdraw(self, trial_id: int, reason: str) -> None:
        self.storage.database.set_trial_user_attr(trial_id, WITHDRAWN, reason)
        self.storage.database.set_trial_state_values(trial_id, TrialState.FAIL)
