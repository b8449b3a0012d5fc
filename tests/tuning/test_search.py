"""Studies of a single worker: the trials, pruning, budgets, failures and interruptions."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from searching import (
    DEFAULT,
    bowl,
    history,
    never_called,
    new_search,
    reporting_bowl,
    take_over,
    tuned_spec,
)

from crystalbench.errors import ConfigError
from crystalbench.models.model import Phase
from crystalbench.tuning import Search
from crystalbench.tuning.objective import ObjectiveFunction, Report
from crystalbench.tuning.search import TuningError

# ---------------------------------------------------------------------- trials


def test_a_study_uses_its_budget_and_starts_with_the_default(tmp_path: Path) -> None:
    study = new_search(tmp_path).run(bowl)
    assert [t.number for t in study.trials] == list(range(14))
    assert study.trials[0].parameters == DEFAULT
    assert study.best is not None
    assert study.best.value is not None
    assert study.best.value < 0.5 < study.trials[0].value  # type: ignore[operator]
    assert study.best.value == min(t.value for t in study.trials if t.value is not None)
    assert study.tuned().parameters == study.best.parameters
    assert study.count("complete") + study.count("pruned") == 14


def test_a_finished_study_is_read_from_its_file(tmp_path: Path) -> None:
    first = new_search(tmp_path).run(bowl)
    (tmp_path / "studies.sqlite3").unlink()
    assert new_search(tmp_path).run(never_called) == first
    assert new_search(tmp_path).assist(never_called) == 0


def test_the_same_specification_gives_the_same_trials(tmp_path: Path) -> None:
    one = new_search(tmp_path / "one").run(reporting_bowl)
    assert history(new_search(tmp_path / "two").run(reporting_bowl)) == history(one)
    other = new_search(tmp_path / "three", tuned_spec(3, fold=1)).run(bowl)
    assert {t.parameters["x"] for t in other.trials} & {t.parameters["x"] for t in one.trials} == {2.0}


def test_poor_trials_are_pruned(tmp_path: Path) -> None:
    study = new_search(tmp_path, tuned_spec(16)).run(reporting_bowl)
    pruned = [t for t in study.trials if t.state == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial.value is None
        assert 3 <= len(trial.intermediate) < 10
        assert trial.number >= 5  # the first finished trials are what others are compared with
    worst = max(t.value for t in study.trials if t.value is not None)
    assert any(trial.intermediate[-1][1] - 1 / len(trial.intermediate) < worst for trial in pruned)


def test_a_metric_may_be_maximised(tmp_path: Path) -> None:
    def negated(number: int, parameters: Mapping[str, Any], report: Report) -> float:
        return -reporting_bowl(number, parameters, lambda step, value: report(step, -value))

    study = new_search(tmp_path, tuned_spec(12), metric="rocauc_true").run(negated)
    assert study.higher_is_better
    assert study.best is not None
    assert study.best.value == max(t.value for t in study.trials if t.value is not None)
    down = new_search(tmp_path / "down", tuned_spec(12)).run(reporting_bowl)
    assert [(t.parameters, t.state) for t in down.trials] == [(t.parameters, t.state) for t in study.trials]


def test_skipped_steps_get_the_best_score_before_them(tmp_path: Path) -> None:
    def skips_steps(number: int, parameters: Mapping[str, Any], report: Report) -> float:
        report(3, 0.5)
        report(5, 0.4)
        report(10, 0.3)
        return 0.3

    (trial,) = new_search(tmp_path, tuned_spec(1)).run(skips_steps).trials
    steps = dict(trial.intermediate)
    assert (steps[3], steps[4], steps[5], steps[6], steps[9], steps[10]) == (0.5, 0.5, 0.4, 0.4, 0.4, 0.3)
    assert min(steps) == 3


def test_a_budget_of_minutes_counts_the_time_of_the_trials(tmp_path: Path) -> None:
    now = [0.0]

    def lasts(number: int, parameters: Mapping[str, Any], report: Report) -> float:
        now[0] += 25
        return bowl(number, parameters, report)

    study = new_search(tmp_path, tuned_spec(None, 2.0), clock=lambda: now[0]).run(lasts)
    assert len(study.trials) == 5  # the fifth begins after 100 of 120 seconds
    assert study.seconds == pytest.approx(125)
    assert study.tuned().seconds == pytest.approx(125)


def test_progress_reports_the_trial_and_the_best_value(tmp_path: Path) -> None:
    reported: list[tuple[int, int, dict[str, Any]]] = []
    study = new_search(tmp_path, tuned_spec(3)).run(
        bowl, lambda done, total, **numbers: reported.append((done, total, numbers))
    )
    values = [t.value for t in study.trials]
    tuning = {"phase": Phase.TUNING, "unit": "trials", "trials": 3}
    assert reported == [
        (0, 3, tuning | {"trial": 0}),
        (1, 3, tuning | {"trial": 1, "best": values[0]}),
        (2, 3, tuning | {"trial": 2, "best": min(values[:2])}),  # type: ignore[type-var]
    ]


# ---------------------------------------------------------------------- failures and interruptions


def test_a_failed_trial_counts_and_keeps_its_error(tmp_path: Path) -> None:
    def fragile(number: int, parameters: Mapping[str, Any], report: Report) -> float:
        if number in (0, 3):
            raise RuntimeError("the bowl\nis broken")
        return bowl(number, parameters, report)

    study = new_search(tmp_path, tuned_spec(8)).run(fragile)
    assert [t.number for t in study.trials if t.state == "failed"] == [0, 3]
    assert study.trials[3].error == "RuntimeError: the bowl is broken"
    assert study.tuned().failed == 2
    assert study.tuned().trials == 8


def test_a_failed_trial_keeps_no_data_in_memory(tmp_path: Path) -> None:
    class Data:
        pass

    held = []

    def fails(number: int, parameters: Mapping[str, Any], report: Report) -> float:
        data = Data()
        held.append(weakref.ref(data))
        raise RuntimeError("no bowl")

    with pytest.raises(TuningError):
        (search := new_search(tmp_path, tuned_spec(1))).run(fails)
    gc.collect()
    assert [reference() for reference in held] == [None]
    assert search._failure is not None


def test_if_all_trials_fail_the_error_says_why_and_a_later_command_restarts_the_study(tmp_path: Path) -> None:
    def hopeless(number: int, parameters: Mapping[str, Any], report: Report) -> float:
        raise RuntimeError("too deep" if number == 1 else "no bowl")

    message = "all 4 trials of tuning failed, 3 of them with: RuntimeError: no bowl; run the same command again"
    with pytest.raises(TuningError, match=message) as caught:
        new_search(tmp_path, tuned_spec(4)).run(hopeless)
    assert repr(caught.value.__cause__) == "RuntimeError('no bowl')"  # with its traceback
    with pytest.raises(TuningError, match=message):  # the same command does not restart it
        new_search(tmp_path, tuned_spec(4)).run(never_called)
    study = new_search(tmp_path, tuned_spec(4), since=time.time() + 1).run(bowl)
    assert [(t.number, t.state, t.tries) for t in study.trials] == [(n, "complete", 1) for n in range(4)]
    assert study.trials[0].parameters == DEFAULT


def test_a_restarted_study_has_its_full_budget_of_minutes(tmp_path: Path) -> None:
    now = [0.0]

    def lasts(seconds: float, error: Exception | None) -> ObjectiveFunction:
        def objective(number: int, parameters: Mapping[str, Any], report: Report) -> float:
            now[0] += seconds
            if error:
                raise error
            return bowl(number, parameters, report)

        return objective

    def again(since: float = 0.0) -> Search:
        return new_search(tmp_path, tuned_spec(None, 0.2), clock=lambda: now[0], since=since)

    with pytest.raises(TuningError, match="all 12 trials of tuning failed"):
        again().run(lasts(1.0, RuntimeError("no")))
    study = again(since=time.time() + 1).run(lasts(100.0, None))
    assert [(t.number, t.seconds) for t in study.trials] == [(0, 100.0)]


def test_a_budget_of_minutes_ends_after_many_trials_that_all_fail(tmp_path: Path) -> None:
    def refused(number: int, parameters: Mapping[str, Any], report: Report) -> float:
        raise ConfigError("softening = 9.0; it must not be larger than the cutoff")

    with pytest.raises(TuningError, match="all 20 trials of tuning failed, 20 of them with: softening = 9"):
        new_search(tmp_path, tuned_spec(None, 60.0), clock=lambda: 0.0).run(refused)


def test_an_interrupted_study_ends_with_the_same_trials(tmp_path: Path) -> None:
    complete = new_search(tmp_path / "complete", tuned_spec(12)).run(bowl)
    stops = {4: KeyboardInterrupt, 11: SystemExit}  # the last one depends on the values of the others

    def interrupted(number: int, parameters: Mapping[str, Any], report: Report) -> float:
        if number in stops:
            report(5, 0.1)
            raise stops.pop(number)
        return bowl(number, parameters, report)

    for stop in (KeyboardInterrupt, SystemExit):
        with pytest.raises(stop):
            new_search(tmp_path, tuned_spec(12)).run(interrupted)
    study = new_search(tmp_path, tuned_spec(12)).run(interrupted)
    assert history(study) == history(complete)
    assert [t.tries for t in study.trials] == [2 if n in (4, 11) else 1 for n in range(12)]


def test_a_trial_that_was_taken_over_counts_once(tmp_path: Path) -> None:
    late, quick = new_search(tmp_path, tuned_spec(5)), new_search(tmp_path, tuned_spec(5))
    nested: list[int] = []

    def slow(number: int, parameters: Mapping[str, Any], report: Report) -> float:
        if number == 2 and not nested:
            take_over(late)
            nested.append(quick.assist(bowl))
        return 1e-9 if number == 2 else bowl(number, parameters, lambda *_: None)

    study = late.run(slow)
    assert nested == [3]
    assert [t.number for t in study.trials] == list(range(5))
    assert study.trials[2].value != 1e-9  # the value from the worker that lost the trial
    assert study.trials[2].tries == 2


def test_a_trial_that_was_taken_over_stops_at_its_next_step(tmp_path: Path) -> None:
    late = new_search(tmp_path, tuned_spec(2))
    reached = []

    def slow(number: int, parameters: Mapping[str, Any], report: Report) -> float:
        if number == 0 and not reached:
            take_over(late)
            reached.append("before")
            report(1, 1.0)
            reached.append("after")
        return bowl(number, parameters, report)

    late.run(slow)
    assert reached == ["before"]
