from __future__ import annotations

import datetime

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from crystalbench.results.spec import TuningSpec
from crystalbench.tuning.budget import MAX_FAILURES, has_room, used_seconds


def finished(seconds: float, *, failed: bool = False) -> FrozenTrial:
    state, value = (TrialState.FAIL, None) if failed else (TrialState.COMPLETE, 1.0)
    return create_trial(state=state, value=value, user_attrs={"seconds": seconds})


def test_a_budget_of_trials_has_room_for_numbers_below_it() -> None:
    tuning = TuningSpec(trials=3)
    assert [has_room(tuning, {}, number) for number in range(5)] == [True, True, True, False, False]


def test_a_budget_of_minutes_has_room_until_the_time_is_used() -> None:
    tuning = TuningSpec(minutes=2.0)
    trials = {0: finished(60.0), 1: finished(59.9, failed=True)}
    assert has_room(tuning, trials, 2)
    assert not has_room(tuning, trials | {2: finished(0.1)}, 3)


def test_a_budget_of_minutes_has_no_room_after_many_failures_without_success() -> None:
    tuning = TuningSpec(minutes=2.0)
    failures = {number: finished(0.0, failed=True) for number in range(MAX_FAILURES)}
    assert not has_room(tuning, failures, MAX_FAILURES)
    assert has_room(tuning, failures | {0: finished(0.0)}, MAX_FAILURES)


def test_a_running_trial_uses_the_time_since_it_began() -> None:
    running = create_trial(state=TrialState.RUNNING)
    running.datetime_start = datetime.datetime.now() - datetime.timedelta(seconds=30)
    assert used_seconds([running, finished(5.0)]) == pytest.approx(35, abs=5)
