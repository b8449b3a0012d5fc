"""Studies of a single worker: the trials, pruning, budgets, failures and interruptions."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from searching import (
    DEFAULT,
    EVALUATIONS,
    bowl,
    history,
    never_called,
    new_search,
    take_over,
    tuned_spec,
)

from crystalbench.errors import ConfigError
from crystalbench.tuning import Search
from crystalbench.tuning.objective import ObjectiveFunction
from crystalbench.tuning.sampler import STARTUP_TRIALS
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
    one = new_search(tmp_path / "one").run(bowl)
    assert history(new_search(tmp_path / "two").run(bowl)) == history(one)
    other = new_search(tmp_path / "three", tuned_spec(3, fold=1)).run(bowl)
    assert {t.parameters["x"] for t in other.trials} & {t.parameters["x"] for t in one.trials} == {2.0}


def test_after_each_evaluation_a_trial_goes_on_only_in_the_best_half(tmp_path: Path) -> None:
    study = new_search(tmp_path, tuned_spec(24)).run(bowl)
    assert study.count("pruned") > study.count("complete") > 1
    means = [dict(t.intermediate) for t in study.trials]
    for trial in study.trials[1:]:
        for step, mean in means[trial.number].items():
            assert mean == pytest.approx(np.mean(trial.scores[:step]))
            earlier = [m[step] for m in means[: trial.number] if step in m]
            in_best_half = sum(other < mean for other in earlier) < max(1, (len(earlier) + 1) // 2)
            assert in_best_half == (step < len(trial.scores) or trial.state == "complete")
    assert all((t.state == "complete") == (len(t.scores) == len(EVALUATIONS)) for t in study.trials)
    assert all(t.value is None for t in study.trials if t.state == "pruned")


def test_the_default_is_evaluated_completely_even_if_it_is_the_worst(tmp_path: Path) -> None:
    def late_default(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        for evaluation in range(len(EVALUATIONS)):
            if number == 0 and evaluation == 0:  # others come first
                new_search(tmp_path, tuned_spec(6)).assist(lambda *_: iter([0.0] * len(EVALUATIONS)))
            yield float(number == 0)

    study = new_search(tmp_path, tuned_spec(6)).run(late_default)
    assert study.trials[0].scores == [1.0] * len(EVALUATIONS)
    assert study.count("complete") == 6


def test_the_first_trials_change_a_few_hyperparameters_of_the_default(tmp_path: Path) -> None:
    study = new_search(tmp_path, tuned_spec(STARTUP_TRIALS)).run(bowl)
    for trial in study.trials[1:]:
        assert 1 <= sum(trial.parameters[name] != DEFAULT[name] for name in DEFAULT) <= 3


def test_the_default_is_kept_if_the_gain_is_within_the_noise(tmp_path: Path) -> None:
    def noise(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        yield from np.random.default_rng(number).normal(size=len(EVALUATIONS)).tolist()

    kept = [new_search(tmp_path, tuned_spec(8, fold=fold)).run(noise).tuned() for fold in (0, 1)]
    for found in kept:
        assert found.decision is not None
        assert (found.trial, found.parameters) == (0, DEFAULT)
        assert found.decision.reason.startswith("default kept: ")
    better = new_search(tmp_path / "better", tuned_spec(8)).run(bowl).tuned()
    assert better.trial > 0
    assert better.decision is not None
    assert better.decision.gain is not None
    assert better.decision.gain > 0.5
    assert better.decision.standard_error == pytest.approx(0, abs=1e-9)  # all evaluations differ by the same amounts


def test_a_metric_may_be_maximised(tmp_path: Path) -> None:
    def negated(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        yield from (-score for score in bowl(number, parameters))

    study = new_search(tmp_path, tuned_spec(12), metric="rocauc_true").run(negated)
    assert study.higher_is_better
    assert study.best is not None
    assert study.best.value == max(t.value for t in study.trials if t.value is not None)
    down = new_search(tmp_path / "down", tuned_spec(12)).run(bowl)
    assert [(t.parameters, t.state) for t in down.trials] == [(t.parameters, t.state) for t in study.trials]
    assert study.decision is not None
    assert down.decision is not None
    assert study.decision.gain == pytest.approx(down.decision.gain)


def test_a_budget_of_minutes_counts_the_time_of_the_trials(tmp_path: Path) -> None:
    now = [0.0]

    def lasts(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        now[0] += 25
        yield from bowl(number, parameters)

    study = new_search(tmp_path, tuned_spec(None, 2.0), clock=lambda: now[0]).run(lasts)
    assert len(study.trials) == 5  # the fifth begins after 100 of 120 seconds
    assert study.seconds == pytest.approx(125)
    assert study.tuned().seconds == pytest.approx(125)


def test_progress_reports_the_trial_and_the_best_value(tmp_path: Path) -> None:
    reported: list[tuple[int, int, dict[str, float]]] = []
    study = new_search(tmp_path, tuned_spec(3)).run(
        bowl, lambda done, total, **numbers: reported.append((done, total, numbers))
    )
    values = [t.value for t in study.trials]
    best = [min(v for v in values[:count] if v is not None) for count in (1, 2)]
    assert reported == [
        (0, 3, {"trial": 0, "trials": 3}),
        (1, 3, {"trial": 1, "trials": 3, "best": best[0]}),
        (2, 3, {"trial": 2, "trials": 3, "best": best[1]}),
    ]


# ---------------------------------------------------------------------- failures and interruptions


def test_a_failed_trial_counts_and_keeps_its_error(tmp_path: Path) -> None:
    def fragile(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        if number in (0, 3):
            raise RuntimeError("the bowl\nis broken")
        yield from bowl(number, parameters)

    study = new_search(tmp_path, tuned_spec(8)).run(fragile)
    assert [t.number for t in study.trials if t.state == "failed"] == [0, 3]
    assert study.trials[3].error == "RuntimeError: the bowl is broken"
    assert study.tuned().failed == 2
    assert study.tuned().trials == 8


def test_a_failed_trial_keeps_no_data_in_memory(tmp_path: Path) -> None:
    class Data:
        pass

    held = []

    def fails(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        data = Data()
        held.append(weakref.ref(data))
        raise RuntimeError("no bowl")

    with pytest.raises(TuningError):
        (search := new_search(tmp_path, tuned_spec(1))).run(fails)
    gc.collect()
    assert [reference() for reference in held] == [None]
    assert search._failure is not None


def test_if_all_trials_fail_the_error_says_why_and_a_later_command_restarts_the_study(tmp_path: Path) -> None:
    def hopeless(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        raise RuntimeError("too deep" if number == 1 else "no bowl")

    message = "all 4 trials of tuning failed, 3 of them with: RuntimeError: no bowl; run the same command again"
    with pytest.raises(TuningError, match=message) as caught:
        new_search(tmp_path, tuned_spec(4)).run(hopeless)
    assert repr(caught.value.__cause__) == "RuntimeError('no bowl')"  # with its traceback
    with pytest.raises(TuningError, match=message):  # the same command does not restart it
        new_search(tmp_path, tuned_spec(4)).run(never_called)
    study = new_search(tmp_path, tuned_spec(4), since=time.time() + 1).run(bowl)
    assert [(t.number, t.tries) for t in study.trials] == [(n, 1) for n in range(4)]
    assert study.count("failed") == 0
    assert study.trials[0].parameters == DEFAULT


def test_a_restarted_study_has_its_full_budget_of_minutes(tmp_path: Path) -> None:
    now = [0.0]

    def lasts(seconds: float, error: Exception | None) -> ObjectiveFunction:
        def objective(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
            now[0] += seconds
            if error:
                raise error
            yield from bowl(number, parameters)

        return objective

    def again(since: float = 0.0) -> Search:
        return new_search(tmp_path, tuned_spec(None, 0.2), clock=lambda: now[0], since=since)

    with pytest.raises(TuningError, match="all 12 trials of tuning failed"):
        again().run(lasts(1.0, RuntimeError("no")))
    study = again(since=time.time() + 1).run(lasts(100.0, None))
    assert [(t.number, t.seconds) for t in study.trials] == [(0, 100.0)]


def test_a_budget_of_minutes_ends_after_many_trials_that_all_fail(tmp_path: Path) -> None:
    def refused(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        raise ConfigError("softening = 9.0; it must not be larger than the cutoff")

    with pytest.raises(TuningError, match="all 20 trials of tuning failed, 20 of them with: softening = 9"):
        new_search(tmp_path, tuned_spec(None, 60.0), clock=lambda: 0.0).run(refused)


def test_an_interrupted_study_ends_with_the_same_trials(tmp_path: Path) -> None:
    complete = new_search(tmp_path / "complete", tuned_spec(12)).run(bowl)
    stops = {4: KeyboardInterrupt, 11: SystemExit}  # the last one depends on the values of the others

    def interrupted(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        if number in stops:
            yield 0.1
            raise stops.pop(number)
        yield from bowl(number, parameters)

    for stop in (KeyboardInterrupt, SystemExit):
        with pytest.raises(stop):
            new_search(tmp_path, tuned_spec(12)).run(interrupted)
    study = new_search(tmp_path, tuned_spec(12)).run(interrupted)
    assert history(study) == history(complete)
    assert [t.tries for t in study.trials] == [2 if n in (4, 11) else 1 for n in range(12)]


def test_a_trial_that_was_taken_over_counts_once(tmp_path: Path) -> None:
    late, quick = new_search(tmp_path, tuned_spec(5)), new_search(tmp_path, tuned_spec(5))
    nested: list[int] = []

    def slow(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        if number == 2 and not nested:
            take_over(late)
            nested.append(quick.assist(bowl))
        yield from [1e-9] * len(EVALUATIONS) if number == 2 else bowl(number, parameters)

    study = late.run(slow)
    assert nested == [3]
    assert [t.number for t in study.trials] == list(range(5))
    assert study.trials[2].value != 1e-9  # the value from the worker that lost the trial
    assert study.trials[2].tries == 2


def test_a_trial_that_was_taken_over_stops_after_the_evaluation(tmp_path: Path) -> None:
    late = new_search(tmp_path, tuned_spec(2))
    reached = []

    def slow(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        if number == 0 and not reached:
            take_over(late)
            reached.append("before")
            yield 1.0
            reached.append("after")
        yield from bowl(number, parameters)

    late.run(slow)
    assert reached == ["before"]
