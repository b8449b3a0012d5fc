"""The budget of a study, a number of trials or of minutes: what is used of it, and whether there is room for more."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

from optuna.trial import FrozenTrial, TrialState

from crystalbench.results.spec import TuningSpec
from crystalbench.tuning.reading import SECONDS

MAX_FAILURES = 20
"""With a budget of minutes, no trial begins after this many if all have failed: trials that fail may take no time."""


def has_room(tuning: TuningSpec, trials: Mapping[int, FrozenTrial], number: int) -> bool:
    """Whether the budget allows a new trial.

    Args:
        tuning: the budget.
        trials: trials so far, by number.
        number: number of the new trial.
    """
    if tuning.trials is not None:
        return number < tuning.trials
    assert tuning.minutes is not None
    if len(trials) >= MAX_FAILURES and all(t.state is TrialState.FAIL for t in trials.values()):
        return False
    return used_seconds(trials.values()) < 60 * tuning.minutes


def used_seconds(trials: Iterable[FrozenTrial]) -> float:
    """Seconds that trials took; for a running trial, the time since it began."""
    return sum(map(_seconds, trials))


def _seconds(trial: FrozenTrial) -> float:
    if not trial.state.is_finished() and trial.datetime_start is not None:
        return (datetime.datetime.now() - trial.datetime_start).total_seconds()
    return float(trial.user_attrs.get(SECONDS, 0.0))
