"""Workers of one study: those that die, and several at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from searching import asked_for, bowl, course, in_storage, refuses, searching

from crystalbench.results.spec import RunSpec
from crystalbench.results.study import Study
from crystalbench.tuning import Search, Storage, search, worker
from crystalbench.tuning.objective import Report
from crystalbench.tuning.reading import NUMBER, WITHDRAWN, WORKER
from crystalbench.tuning.search import Judge

# ---------------------------------------------------------------------- workers that die


def dies_in(number: int, folder: Path, question: RunSpec) -> Search:
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


def test_a_trial_that_kills_its_workers_fails_in_the_end(tmp_path: Path) -> None:
    machine, process, _ = worker.this_worker().rsplit(" ", 2)
    for _ in range(search.MOST_DEATHS):
        rename_worker(dies_in(1, tmp_path, asked_for(4)), f"{machine} {process} 1.00")
    study = searching(tmp_path, asked_for(4)).work(bowl)
    assert [(t.number, t.state, t.tries) for t in study.trials] == [
        (0, "complete", 1),
        (1, "failed", 3),
        (2, "complete", 1),
        (3, "complete", 1),
    ]
    assert study.trials[1].error == "its worker died 3 times, perhaps for lack of memory"


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
    assert other.files.find(other.spec) == study


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
    return searching(victim.files.root, victim.spec).work(bowl)


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
