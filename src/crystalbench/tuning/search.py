"""The search: trials of one study, shared by any number of workers, each counted once."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import logging
import math
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError, TrialPruned, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from crystalbench.errors import CrystalBenchError
from crystalbench.models.model import Progress, silent
from crystalbench.results.spec import RunSpec
from crystalbench.results.store import StudyStore
from crystalbench.results.study import Study, study_name
from crystalbench.targets import METRICS
from crystalbench.tuning.objective import Report
from crystalbench.tuning.reading import ERROR, FACTS, SECONDS, SET_ASIDE, WITHDRAWN, WORKER, counted, facts_of, study_of
from crystalbench.tuning.sampler import NUMBER, STEPS, WARM_UP, SeededTPE, median_pruner
from crystalbench.tuning.space import space_as_json
from crystalbench.tuning.storage import Storage
from crystalbench.tuning.worker import Heartbeat, has_gone, this_worker

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""How often a worker that has nothing to try looks whether the others' trials are done."""

HOPELESS = 20
"""With a budget of minutes, no more is tried once so many trials have all failed: a failed one may cost no time."""

MOST_DEATHS = 3
"""A trial whose workers have died so often fails: it may be what kills them, for lack of memory."""

_GONE = "its worker is gone"
_DEADLY = f"its worker died {MOST_DEATHS} times, perhaps for lack of memory"


Judge = Callable[[int, Mapping[str, Any], Report], float]
"""From the number of a trial and its hyperparameters to its value; see `crystalbench.tuning.Objective`."""


class TuningError(CrystalBenchError):
    """No trial of a study was finished."""


class _TakenAway(Exception):  # noqa: N818  (not an error)
    """Another worker does the trial, since this one seemed to be gone."""


@dataclass
class Search:
    """One study, as one worker takes part in it.

    Attributes:
        asked: what determines the study.
        label: the model's name in tables.
        metric: name of the metric that judges.
        unit: unit of the target.
        space: the search space.
        default: the configuration to try first, in the search space.
        storage: where the trials are while the study goes on.
        files: where the finished study goes.
        environment: of this process, for the finished study.
        since: when this call of the command began (seconds since the epoch): a study whose trials have all failed
            before is begun anew.
        clock: seconds; time that does not count is left out.
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

    def work(self, objective: Judge, progress: Progress = silent) -> Study:
        """Do trials until the budget is used and all workers are done.

        Raises:
            TuningError: every trial failed.
            ConfigError: the storage cannot be used.
        """
        if found := self.files.find(self.spec):
            return found
        with self.storage.for_people():
            self._join()
            while True:
                trial = self._take()
                if trial is not None:
                    self._try(trial, objective, progress)
                elif self._is_over():
                    return self._conclude()
                else:
                    time.sleep(POLL_SECONDS)

    def help(self, objective: Judge) -> int:
        """Do trials for another worker's run, as long as there are any to begin.

        Returns:
            Number of trials done.
        """
        if self.files.find(self.spec):
            return 0
        done = 0
        with self.storage.for_people():
            self._join()
            while (trial := self._take()) is not None:
                self._try(trial, objective, silent)
                done += 1
        return done

    # ------------------------------------------------------------------ the budget

    @property
    def _name(self) -> str:
        return study_name(self.spec)

    def _join(self) -> None:
        database = self.storage.database
        metric = METRICS[self.metric]
        with self.storage.locked(self._name):
            self._study = optuna.create_study(
                study_name=self._name,
                storage=database,
                sampler=SeededTPE(self.spec),
                pruner=median_pruner(),
                direction="maximize" if metric.higher_is_better else "minimize",
                load_if_exists=True,
            )
            if FACTS not in self._study.user_attrs:
                space = space_as_json(self.space)
                facts = facts_of(self.spec, self.label, metric.name, metric.higher_is_better, self.unit, space)
                self._study.set_user_attr(FACTS, facts)
            self._set_failures_aside()

    def _set_failures_aside(self) -> None:
        """A study whose trials all failed before this call of the command is tried again, as a failed run is."""
        trials = self._study.get_trials(deepcopy=False)
        mine = counted(self._study, trials)
        failed = [t for t in mine.values() if t.state is TrialState.FAIL and t.datetime_complete]
        if mine and len(failed) == len(mine) and not self._may_begin(len(mine), mine):
            last = max(t.datetime_complete.timestamp() for t in failed if t.datetime_complete)
            if last < self.since:
                self._study.set_user_attr(SET_ASIDE, max(t.number for t in trials))

    def _may_begin(self, number: int, mine: Mapping[int, FrozenTrial]) -> bool:
        """Whether the budget has room for a trial of this number, which was never begun."""
        tuning = self.spec.tuning
        assert tuning is not None
        if tuning.trials is not None:
            return number < tuning.trials
        assert tuning.minutes is not None
        if len(mine) >= HOPELESS and all(t.state is TrialState.FAIL for t in mine.values()):
            return False
        return sum(map(_seconds, mine.values())) < 60 * tuning.minutes

    def _take(self) -> optuna.Trial | None:
        """Begin a trial; None where the budget has none left.

        All of it happens while no other worker does the same, so the number of trials is exact, and every proposal
        knows of those under way.
        """
        with self.storage.locked(self._name):
            trials = self._study.get_trials(deepcopy=False)
            if self._withdraw_the_dead(trials):
                trials = self._study.get_trials(deepcopy=False)
            mine = counted(self._study, trials)
            if not any(t.state is TrialState.WAITING for t in mine.values()):
                number = next(n for n in itertools.count() if n not in mine)
                begun = [t for t in trials if t.user_attrs[NUMBER] == number and t.params]
                aside = self._study.user_attrs.get(SET_ASIDE, -1)
                if not any(t.number > aside for t in begun) and not self._may_begin(number, mine):
                    return None
                before = begun[-1].params if begun else (self.default if number == 0 else {})
                self._study.enqueue_trial(dict(before), user_attrs={NUMBER: number})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # heartbeats are ours
                trial = self._study.ask(dict(self.space))
            trial.set_user_attr(WORKER, this_worker())
            self.storage.database.record_heartbeat(trial._trial_id)
            return trial

    def _withdraw_the_dead(self, trials: Sequence[FrozenTrial]) -> bool:
        """Take trials from workers that are gone; they are begun again with the same parameters, but not for ever."""
        running = [t for t in trials if t.state is TrialState.RUNNING]
        stale = set(self.storage.database._get_stale_trial_ids(self._study._study_id)) if running else set()
        withdrawn = False
        for trial in running:
            # A try without worker was cut short while it was begun, which one worker does at a time.
            worker = trial.user_attrs.get(WORKER)
            if worker is None or WITHDRAWN in trial.user_attrs or trial._trial_id in stale or has_gone(worker):
                number = trial.user_attrs[NUMBER]
                before = [t for t in trials if t.user_attrs[NUMBER] == number]
                if worker and sum(t.user_attrs.get(WITHDRAWN) == _GONE for t in before) + 1 >= MOST_DEATHS:
                    log.warning("%s: trial %d fails: %s", self._name, number, _DEADLY)
                    self.storage.database.set_trial_user_attr(trial._trial_id, ERROR, _DEADLY)
                    self.storage.database.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                else:
                    log.warning("%s: trial %d is begun again: %s", self._name, number, _GONE)
                    self._withdraw(trial._trial_id, _GONE)
                withdrawn = True
        return withdrawn

    def _withdraw(self, trial: int, reason: str) -> None:
        self.storage.database.set_trial_user_attr(trial, WITHDRAWN, reason)
        self.storage.database.set_trial_state_values(trial, TrialState.FAIL)

    def _is_over(self) -> bool:
        trials = counted(self._study, self._study.get_trials(deepcopy=False))
        return all(t.state.is_finished() for t in trials.values())

    # ------------------------------------------------------------------ a trial

    def _try(self, trial: optuna.Trial, objective: Judge, progress: Progress) -> None:
        number: int = trial.user_attrs[NUMBER]
        self._show(number, progress)
        value, error, state = None, None, TrialState.COMPLETE
        begun = self.clock()
        try:
            with Heartbeat(self.storage.database, trial._trial_id, self.storage.heartbeat):
                value = objective(number, trial.params, _Reporter(trial))
        except TrialPruned:
            state = TrialState.PRUNED
        except _TakenAway:
            log.warning("%s: another worker has taken trial %d over", self._name, number)
            return
        except (StorageInternalError, SQLAlchemyError):
            raise
        except Exception as failure:
            state = TrialState.FAIL
            error = str(failure) if isinstance(failure, CrystalBenchError) else f"{type(failure).__name__}: {failure}"
            traceback.clear_frames(failure.__traceback__)  # which would keep the data and the model in memory
            self._failure = failure
        except BaseException:
            with contextlib.suppress(Exception), self.storage.locked(self._name):
                self._withdraw(trial._trial_id, "interrupted")
            raise
        self._tell(trial, state, value, error, self.clock() - begun)

    def _tell(
        self, trial: optuna.Trial, state: TrialState, value: float | None, error: str | None, seconds: float
    ) -> None:
        with self.storage.locked(self._name):
            now = self.storage.database.get_trial(trial._trial_id)
            if now.state is not TrialState.RUNNING or WITHDRAWN in now.user_attrs:
                log.warning("%s: another worker has taken trial %d over", self._name, now.user_attrs[NUMBER])
                return
            trial.set_user_attr(SECONDS, round(seconds, 4))
            if error is not None:
                trial.set_user_attr(ERROR, " ".join(error.split()))
            self._study.tell(trial, value, state)

    def _show(self, number: int, progress: Progress) -> None:
        """Tell how far the study is."""
        if progress is silent:
            return
        known = counted(self._study, self._study.get_trials(deepcopy=False)).values()
        finished = [t for t in known if t.state.is_finished()]
        values = [t.value for t in finished if t.state is TrialState.COMPLETE and t.value is not None]
        best = {"best": (max if METRICS[self.metric].higher_is_better else min)(values)} if values else {}
        tuning = self.spec.tuning
        assert tuning is not None
        if tuning.trials is not None:
            progress(len(finished), tuning.trials, trial=number, trials=tuning.trials, **best)
        else:
            progress(int(sum(map(_seconds, finished))), round(60 * (tuning.minutes or 0)), trial=number, **best)

    # ------------------------------------------------------------------ the end

    def _conclude(self) -> Study:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        study = study_of(self._study, environment=dict(self.environment), finished=now)
        if study.best is None:
            reasons = Counter(t.error or "no reason given" for t in study.trials)
            reason, times = reasons.most_common(1)[0]
            raise TuningError(
                f"all {len(study.trials)} trials of tuning failed, {times} of them with: {reason}; "
                "the same command tries again"
            ) from self._failure
        with self.storage.locked(self._name):
            if found := self.files.find(self.spec):  # another worker was faster
                return found
            self.files.write(study)
        return study


@dataclass
class _Reporter:
    """Hands a trial's progress to Optuna, and stops the trial where it is bad."""

    trial: optuna.Trial
    last: int = 0
    best: float = math.nan

    def __call__(self, step: int, value: float) -> None:
        """Report a step; at those that were passed over, the best score was the last one.

        Raises:
            TrialPruned: the trial is worse than others were at this step.
        """
        if step <= self.last:
            return
        try:
            for passed in range(self.last + 1, step if self.last else 0):
                self.trial.report(self.best, passed)
            self.trial.report(value, step)
        except UpdateFinishedTrialError as error:
            raise _TakenAway from error
        self.last, self.best = step, value
        if WARM_UP <= step < STEPS and self.trial.should_prune():
            raise TrialPruned


def _seconds(trial: FrozenTrial) -> float:
    if not trial.state.is_finished() and trial.datetime_start is not None:
        return (datetime.datetime.now() - trial.datetime_start).total_seconds()
    return float(trial.user_attrs.get(SECONDS, 0.0))
