"""The course of a study of one worker."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from searching import DEFAULT, asked_for, bowl, course, in_storage, refuses, searching, watched

from crystalbench.errors import ConfigError
from crystalbench.tuning import Search
from crystalbench.tuning.objective import Report
from crystalbench.tuning.search import Judge, TuningError

# ---------------------------------------------------------------------- the course of a study


def test_a_study_has_its_trials_and_begins_with_the_default(tmp_path: Path) -> None:
    task = searching(tmp_path)
    study = task.work(bowl)
    assert [t.number for t in study.trials] == list(range(14))
    assert study.trials[0].parameters == DEFAULT
    assert study.best is not None
    assert study.best.value is not None
    assert study.best.value < 0.5 < study.trials[0].value  # type: ignore[operator]
    assert study.best.value == min(t.value for t in study.trials if t.value is not None)
    assert study.tuned().parameters == study.best.parameters
    assert study.count("complete") + study.count("pruned") == 14


def test_a_study_that_is_done_is_read_from_its_file_alone(tmp_path: Path) -> None:
    first = searching(tmp_path).work(bowl)
    (tmp_path / "studies.sqlite3").unlink()
    assert searching(tmp_path).work(refuses) == first
    assert searching(tmp_path).help(refuses) == 0


def test_the_same_question_takes_the_same_course(tmp_path: Path) -> None:
    one = searching(tmp_path / "one").work(watched)
    assert course(searching(tmp_path / "two").work(watched)) == course(one)
    other = searching(tmp_path / "three", asked_for(3, fold=1)).work(bowl)
    assert {t.parameters["x"] for t in other.trials} & {t.parameters["x"] for t in one.trials} == {2.0}


def test_bad_trials_are_pruned(tmp_path: Path) -> None:
    study = searching(tmp_path, asked_for(16)).work(watched)
    pruned = [t for t in study.trials if t.state == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial.value is None
        assert 3 <= len(trial.intermediate) < 10
        assert trial.number >= 5  # the first finished ones are what others are compared with
    worst = max(t.value for t in study.trials if t.value is not None)
    assert any(trial.intermediate[-1][1] - 1 / len(trial.intermediate) < worst for trial in pruned)


def test_a_larger_score_can_be_the_better_one(tmp_path: Path) -> None:
    def upside_down(number: int, found: Mapping[str, Any], report: Report) -> float:
        return -watched(number, found, lambda step, value: report(step, -value))

    study = searching(tmp_path, asked_for(12), metric="rocauc_true").work(upside_down)
    assert study.higher_is_better
    assert study.best is not None
    assert study.best.value == max(t.value for t in study.trials if t.value is not None)
    down = searching(tmp_path / "down", asked_for(12)).work(watched)
    assert [(t.parameters, t.state) for t in down.trials] == [(t.parameters, t.state) for t in study.trials]


def test_passed_over_steps_repeat_the_score_that_was_the_best_then(tmp_path: Path) -> None:
    def stops_early(number: int, found: Mapping[str, Any], report: Report) -> float:
        report(3, 0.5)
        report(5, 0.4)
        report(10, 0.3)
        return 0.3

    (trial,) = searching(tmp_path, asked_for(1)).work(stops_early).trials
    steps = dict(trial.intermediate)
    assert (steps[3], steps[4], steps[5], steps[6], steps[9], steps[10]) == (0.5, 0.5, 0.4, 0.4, 0.4, 0.3)
    assert min(steps) == 3


def test_minutes_are_those_of_the_trials(tmp_path: Path) -> None:
    now = [0.0]

    def lasts(number: int, found: Mapping[str, Any], report: Report) -> float:
        now[0] += 25
        return bowl(number, found, report)

    study = searching(tmp_path, asked_for(None, 2.0), clock=lambda: now[0]).work(lasts)
    assert len(study.trials) == 5  # the fifth begins after 100 of 120 seconds
    assert study.seconds == pytest.approx(125)
    assert study.tuned().seconds == pytest.approx(125)


def test_progress_tells_the_trial_and_the_best_so_far(tmp_path: Path) -> None:
    told: list[tuple[int, int, dict[str, float]]] = []
    study = searching(tmp_path, asked_for(3)).work(
        bowl, lambda done, total, **numbers: told.append((done, total, numbers))
    )
    values = [t.value for t in study.trials]
    assert told == [
        (0, 3, {"trial": 0, "trials": 3}),
        (1, 3, {"trial": 1, "trials": 3, "best": values[0]}),
        (2, 3, {"trial": 2, "trials": 3, "best": min(values[:2])}),  # type: ignore[type-var]
    ]


# ---------------------------------------------------------------------- what goes wrong


def test_a_failed_trial_is_counted_with_its_error(tmp_path: Path) -> None:
    def fragile(number: int, found: Mapping[str, Any], report: Report) -> float:
        if number in (0, 3):
            raise RuntimeError("the bowl\nis broken")
        return bowl(number, found, report)

    study = searching(tmp_path, asked_for(8)).work(fragile)
    assert [t.number for t in study.trials if t.state == "failed"] == [0, 3]
    assert study.trials[3].error == "RuntimeError: the bowl is broken"
    assert study.tuned().failed == 2
    assert study.tuned().trials == 8


def test_a_failed_trial_leaves_nothing_in_memory(tmp_path: Path) -> None:
    class Data:
        pass

    held = []

    def fails(number: int, found: Mapping[str, Any], report: Report) -> float:
        data = Data()
        held.append(weakref.ref(data))
        raise RuntimeError("no bowl")

    with pytest.raises(TuningError):
        (task := searching(tmp_path, asked_for(1))).work(fails)
    gc.collect()
    assert [reference() for reference in held] == [None]
    assert task._failure is not None


def test_if_every_trial_fails_the_commonest_reason_is_told_and_a_later_call_tries_again(tmp_path: Path) -> None:
    def hopeless(number: int, found: Mapping[str, Any], report: Report) -> float:
        raise RuntimeError("too deep" if number == 1 else "no bowl")

    message = "all 4 trials of tuning failed, 3 of them with: RuntimeError: no bowl; the same command tries again"
    with pytest.raises(TuningError, match=message) as caught:
        searching(tmp_path, asked_for(4)).work(hopeless)
    assert repr(caught.value.__cause__) == "RuntimeError('no bowl')"  # whose traceback is kept
    with pytest.raises(TuningError, match=message):  # of the same call: not tried again
        searching(tmp_path, asked_for(4)).work(refuses)
    study = searching(tmp_path, asked_for(4), since=time.time() + 1).work(bowl)
    assert [(t.number, t.state, t.tries) for t in study.trials] == [(n, "complete", 1) for n in range(4)]
    assert study.trials[0].parameters == DEFAULT


def test_a_budget_of_minutes_holds_also_when_a_study_is_tried_again(tmp_path: Path) -> None:
    now = [0.0]

    def lasts(seconds: float, error: Exception | None) -> Judge:
        def judge(number: int, found: Mapping[str, Any], report: Report) -> float:
            now[0] += seconds
            if error:
                raise error
            return bowl(number, found, report)

        return judge

    def again(since: float = 0.0) -> Search:
        return searching(tmp_path, asked_for(None, 0.2), clock=lambda: now[0], since=since)

    with pytest.raises(TuningError, match="all 12 trials of tuning failed"):
        again().work(lasts(1.0, RuntimeError("no")))
    study = again(since=time.time() + 1).work(lasts(100.0, None))
    assert [(t.number, t.seconds) for t in study.trials] == [(0, 100.0)]


def test_a_budget_of_minutes_is_not_spent_on_trials_that_fail_at_once(tmp_path: Path) -> None:
    def refused(number: int, found: Mapping[str, Any], report: Report) -> float:
        raise ConfigError("softening = 9.0; it must not be larger than the cutoff")

    with pytest.raises(TuningError, match="all 20 trials of tuning failed, 20 of them with: softening = 9"):
        searching(tmp_path, asked_for(None, 60.0), clock=lambda: 0.0).work(refused)


def test_an_interrupted_study_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    whole = searching(tmp_path / "whole", asked_for(12)).work(bowl)
    stops = {4: KeyboardInterrupt, 11: SystemExit}  # the last is proposed by what the others found

    def interrupted(number: int, found: Mapping[str, Any], report: Report) -> float:
        if number in stops:
            report(5, 0.1)
            raise stops.pop(number)
        return bowl(number, found, report)

    for stop in (KeyboardInterrupt, SystemExit):
        with pytest.raises(stop):
            searching(tmp_path, asked_for(12)).work(interrupted)
    study = searching(tmp_path, asked_for(12)).work(interrupted)
    assert course(study) == course(whole)
    assert [t.tries for t in study.trials] == [2 if n in (4, 11) else 1 for n in range(12)]


def test_a_worker_that_seemed_gone_and_comes_back_does_not_count_twice(tmp_path: Path) -> None:
    late, quick = searching(tmp_path, asked_for(5)), searching(tmp_path, asked_for(5))
    nested: list[int] = []

    def slow(number: int, found: Mapping[str, Any], report: Report) -> float:
        if number == 2 and not nested:
            (mine,) = [t for t in in_storage(late) if t.state is optuna.trial.TrialState.RUNNING]
            late._withdraw(mine._trial_id, "as another worker does")
            nested.append(quick.help(bowl))
        return 1e-9 if number == 2 else bowl(number, found, lambda *_: None)

    study = late.work(slow)
    assert nested == [3]
    assert [t.number for t in study.trials] == list(range(5))
    assert study.trials[2].value != 1e-9  # of the worker that had lost the trial
    assert study.trials[2].tries == 2


def test_a_trial_is_stopped_when_another_worker_has_it(tmp_path: Path) -> None:
    late = searching(tmp_path, asked_for(2))
    reached = []

    def slow(number: int, found: Mapping[str, Any], report: Report) -> float:
        if number == 0 and not reached:
            (mine,) = [t for t in in_storage(late) if t.state is optuna.trial.TrialState.RUNNING]
            late._withdraw(mine._trial_id, "as another worker does")
            reached.append("before")
            report(1, 1.0)
            reached.append("after")
        return bowl(number, found, report)

    late.work(slow)
    assert reached == ["before"]
