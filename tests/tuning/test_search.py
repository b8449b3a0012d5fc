"""The search itself, with an objective that costs nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from helpers import asked
from tunable import Bowl

from crystalbench.records import Asked, Tuning
from crystalbench.studies import Study, StudyFiles, study_name
from crystalbench.tuning import Search, Storage, default_in, digest_of, search, space_of, worker
from crystalbench.tuning.objective import Report
from crystalbench.tuning.reading import NUMBER, WITHDRAWN, WORKER
from crystalbench.tuning.search import Judge, TuningError

SPACE = space_of(Bowl)
DEFAULT = {"x": 2.0, "depth": 10, "shape": "square"}


def asked_for(trials: int | None = 14, minutes: float | None = None, **changes: Any) -> Asked:
    tuning = Tuning(trials=trials, minutes=minutes, space=digest_of(SPACE))
    return asked(tuning=tuning, **changes)


def searching(folder: Path, question: Asked | None = None, **changes: Any) -> Search:
    plain: dict[str, Any] = {
        "asked": question or asked_for(),
        "label": "bowl",
        "metric": "mae",
        "unit": "eV",
        "space": SPACE,
        "default": DEFAULT,
        "storage": Storage.below(folder),
        "files": StudyFiles(folder),
    }
    return Search(**{**plain, **changes})


def bowl(number: int, found: Mapping[str, Any], report: Report) -> float:
    """Best at x = 1, round."""
    value: float = (found["x"] - 1) ** 2 + (found["shape"] == "square") + 0.001 * found["depth"]
    return value


def watched(number: int, found: Mapping[str, Any], report: Report) -> float:
    """The same with progress in ten steps."""
    value = bowl(number, found, report)
    for step in range(1, 11):
        report(step, value + 1 / step)
    return value


def course(study: Study) -> list[tuple[Any, ...]]:
    """What happened, without the seconds."""
    return [(t.number, t.state, tuple(sorted(t.parameters.items())), t.value, t.intermediate) for t in study.trials]


def in_storage(task: Search) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=study_name(task.asked), storage=task.storage.database).get_trials()


# ---------------------------------------------------------------------- space


def test_what_is_set_leaves_the_space() -> None:
    assert set(space_of(Bowl)) == {"x", "depth", "shape"}  # not `fixed`, which declares no distribution
    assert set(space_of(Bowl, {"x": 1.0})) == {"depth", "shape"}
    assert digest_of(space_of(Bowl)) != digest_of(space_of(Bowl, {"x"}))


def test_the_hash_of_a_space_does_not_depend_on_its_order() -> None:
    assert digest_of(dict(reversed(SPACE.items()))) == digest_of(SPACE)


def test_a_default_outside_of_its_space_is_told() -> None:
    with pytest.raises(Exception, match=r"x = 4\.0 lies outside of its search space .*; widen the space or set x"):
        default_in(SPACE, {**DEFAULT, "x": 4.0})
    with pytest.raises(Exception, match=r"shape = 'flat' lies outside"):
        default_in(SPACE, {**DEFAULT, "shape": "flat"})


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


def refuses(number: int, found: Mapping[str, Any], report: Report) -> float:
    raise AssertionError("nothing is to be tried")


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


def test_if_every_trial_fails_the_commonest_reason_is_told_and_a_later_call_tries_again(tmp_path: Path) -> None:
    def hopeless(number: int, found: Mapping[str, Any], report: Report) -> float:
        raise RuntimeError("too deep" if number == 1 else "no bowl")

    message = "all 4 trials of tuning failed, 3 of them with: RuntimeError: no bowl; the same command tries again"
    with pytest.raises(TuningError, match=message):
        searching(tmp_path, asked_for(4)).work(hopeless)
    with pytest.raises(TuningError, match=message):  # of the same call: not tried again
        searching(tmp_path, asked_for(4)).work(refuses)
    study = searching(tmp_path, asked_for(4), since=time.time() + 1).work(bowl)
    assert [(t.number, t.state, t.tries) for t in study.trials] == [(n, "complete", 1) for n in range(4)]
    assert study.trials[0].parameters == DEFAULT


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


# ---------------------------------------------------------------------- workers that die


def dies_in(number: int, folder: Path, question: Asked) -> Search:
    """A search whose worker was killed in a trial: the trial is running, and nobody is there."""
    victim = searching(folder, question)

    class Killed(BaseException):
        pass

    def killed(at: int, found: Mapping[str, Any], report: Report) -> float:
        if at == number:
            victim._withdraw = lambda *_: None  # type: ignore[method-assign]  # as it was killed, it could not
            report(2, 0.2)
            raise Killed
        return bowl(at, found, report)

    with pytest.raises(Killed):
        victim.work(killed)
    (running,) = [t for t in in_storage(victim) if t.state is optuna.trial.TrialState.RUNNING]
    assert running.user_attrs[NUMBER] == number
    return victim


def rename_worker(victim: Search, name: str) -> None:
    """Let the running trial be that of another worker."""
    (running,) = [t for t in in_storage(victim) if t.state is optuna.trial.TrialState.RUNNING]
    victim.storage.database.set_trial_user_attr(running._trial_id, WORKER, name)


def test_a_killed_worker_of_this_machine_is_known_at_once(tmp_path: Path) -> None:
    whole = searching(tmp_path / "whole", asked_for(9)).work(bowl)
    victim = dies_in(7, tmp_path, asked_for(9))
    machine, process, _ = worker.this_worker().rsplit(" ", 2)
    rename_worker(victim, f"{machine} {process} 1.00")  # the number of the process was given to another since
    study = searching(tmp_path, asked_for(9)).work(bowl)
    assert course(study) == course(whole)
    assert study.trials[7].tries == 2


def test_a_killed_worker_of_another_machine_is_missed_after_a_while(tmp_path: Path) -> None:
    victim = dies_in(3, tmp_path, asked_for(5))
    rename_worker(victim, "elsewhere 1 1.00")
    (before,) = [t for t in in_storage(victim) if t.state is optuna.trial.TrialState.RUNNING]
    patient = searching(tmp_path, asked_for(5), storage=Storage(victim.storage.url, heartbeat=1, grace=60))
    assert patient.help(bowl) == 1  # trial 4; trial 3 may still be under way
    begun = time.monotonic()
    study = searching(tmp_path, asked_for(5), storage=Storage(victim.storage.url, heartbeat=1, grace=1)).work(bowl)
    assert time.monotonic() - begun < 20
    assert [(t.number, t.tries) for t in study.trials] == [(0, 1), (1, 1), (2, 1), (3, 2), (4, 1)]
    assert study.trials[3].parameters == before.params


def test_a_trial_that_is_under_way_is_left_to_its_worker(tmp_path: Path) -> None:
    other = searching(tmp_path, asked_for(3), storage=Storage.below(tmp_path))
    impatient = Storage(Storage.below(tmp_path).url, heartbeat=1, grace=2)
    helped: list[int] = []

    def slow(number: int, found: Mapping[str, Any], report: Report) -> float:
        if number == 0:
            time.sleep(3.5)  # longer than the grace period, with signs of life
            helped.append(other_with(impatient).help(bowl))
        return bowl(number, found, report)

    def other_with(storage: Storage) -> Search:
        return searching(tmp_path, asked_for(3), storage=storage)

    study = searching(tmp_path, asked_for(3), storage=impatient).work(slow)
    assert helped == [2]
    assert [t.tries for t in study.trials] == [1, 1, 1]
    assert other.files.find(other.asked) == study


def test_a_worker_that_dies_between_making_and_beginning_a_trial_loses_nothing(tmp_path: Path) -> None:
    whole = searching(tmp_path / "whole", asked_for(5)).work(bowl)
    for moment in ("enqueue_trial", "ask"):
        victim = searching(tmp_path / moment, asked_for(5))
        study = killed_in(moment, victim)
        assert course(study) == course(whole), moment


def killed_in(moment: str, victim: Search) -> Study:
    calls = [0]
    real: Callable[..., Any] = getattr(optuna.Study, moment)

    class Killed(BaseException):
        pass

    def dies(self: optuna.Study, *arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        result = real(self, *arguments, **named)
        if calls[0] == 4:
            raise Killed
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optuna.Study, moment, dies)
        with pytest.raises(Killed):
            victim.work(bowl)
    return searching(victim.files.root, victim.asked).work(bowl)


# ---------------------------------------------------------------------- several workers


def test_workers_share_a_study_and_its_budget_is_exact(tmp_path: Path) -> None:
    done = [0, 0, 0]

    def work(place: int) -> None:
        done[place] = searching(tmp_path, asked_for(22)).help(slow_bowl)

    def slow_bowl(number: int, found: Mapping[str, Any], report: Report) -> float:
        time.sleep(0.01)
        return bowl(number, found, lambda *_: None)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    study = searching(tmp_path, asked_for(22)).work(refuses)
    assert sum(done) == 22
    assert min(done) > 0
    assert [t.number for t in study.trials] == list(range(22))
    assert len({tuple(sorted(t.parameters.items())) for t in study.trials}) == 22
    assert not any(WITHDRAWN in t.user_attrs for t in in_storage(searching(tmp_path, asked_for(22))))


def test_who_waits_for_another_worker_concludes_when_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "POLL_SECONDS", 0.02)
    begun, go = threading.Event(), threading.Event()

    def holds(number: int, found: Mapping[str, Any], report: Report) -> float:
        if number == 0:
            begun.set()
            go.wait(30)
        return bowl(number, found, lambda *_: None)

    helper = threading.Thread(target=lambda: searching(tmp_path, asked_for(3)).help(holds))
    helper.start()
    begun.wait(30)
    judge: Judge = bowl
    threading.Timer(0.3, go.set).start()
    study = searching(tmp_path, asked_for(3)).work(judge)
    helper.join()
    assert study.count("complete") == 3
