"""Workers of one study: workers that die, and several workers at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from searching import bowl, history, never_called, new_search, running_trial, stored_trials, tuned_spec

from crystalbench.results.spec import RunSpec
from crystalbench.results.study import Study, study_name
from crystalbench.tuning import Search, Storage, search, shared, worker
from crystalbench.tuning.reading import NUMBER, WITHDRAWN, WORKER
from crystalbench.tuning.search import TuningError
from crystalbench.tuning.shared import SharedStudy

# ---------------------------------------------------------------------- workers that die


def dies_in(number: int, folder: Path, study_spec: RunSpec) -> Search:
    """A search whose worker was killed in a trial: the trial is still running in the storage."""
    victim = new_search(folder, study_spec)

    class Killed(BaseException):
        pass

    def killed(at: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        if at == number:
            yield 0.2
            raise Killed
        yield from bowl(at, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SharedStudy, "release", lambda *_: None)  # a killed process cannot release its trial
        with pytest.raises(Killed):
            victim.run(killed)
    assert running_trial(victim).user_attrs[NUMBER] == number
    return victim


def rename_worker(victim: Search, name: str) -> None:
    """Assign the running trial to another worker."""
    victim.storage.database.set_trial_user_attr(running_trial(victim)._trial_id, WORKER, name)


def test_a_killed_worker_on_this_machine_is_detected_at_once(tmp_path: Path) -> None:
    complete = new_search(tmp_path / "complete", tuned_spec(9)).run(bowl)
    victim = dies_in(7, tmp_path, tuned_spec(9))
    machine, process, _ = worker.worker_id().rsplit(" ", 2)
    rename_worker(victim, f"{machine} {process} 1.00")  # another process has its process id now
    study = new_search(tmp_path, tuned_spec(9)).run(bowl)
    assert history(study) == history(complete)
    assert study.trials[7].tries == 2


def test_a_killed_worker_on_another_machine_is_detected_by_its_heartbeat(tmp_path: Path) -> None:
    victim = dies_in(3, tmp_path, tuned_spec(5))
    rename_worker(victim, "elsewhere 1 1.00")
    before = running_trial(victim)
    patient = new_search(tmp_path, tuned_spec(5), storage=Storage(victim.storage.url, heartbeat=1, grace=60))
    assert patient.assist(bowl) == 1  # trial 4; trial 3 may still be running
    begun = time.monotonic()
    study = new_search(tmp_path, tuned_spec(5), storage=Storage(victim.storage.url, heartbeat=1, grace=1)).run(bowl)
    assert time.monotonic() - begun < 20
    assert [(t.number, t.tries) for t in study.trials] == [(0, 1), (1, 1), (2, 1), (3, 2), (4, 1)]
    assert study.trials[3].parameters == before.params


def test_a_trial_that_kills_its_workers_fails(tmp_path: Path) -> None:
    machine, process, _ = worker.worker_id().rsplit(" ", 2)
    for _ in range(shared.MAX_DEATHS):
        rename_worker(dies_in(1, tmp_path, tuned_spec(4)), f"{machine} {process} 1.00")
    study = new_search(tmp_path, tuned_spec(4)).run(bowl)
    assert [(t.number, t.state == "failed", t.tries) for t in study.trials] == [
        (0, False, 1),
        (1, True, 3),
        (2, False, 1),
        (3, False, 1),
    ]
    assert study.trials[1].error == "its worker died 3 times, perhaps for lack of memory"


def test_a_running_trial_with_heartbeats_is_not_taken_over(tmp_path: Path) -> None:
    other = new_search(tmp_path, tuned_spec(3), storage=Storage.below(tmp_path))
    impatient = Storage(Storage.below(tmp_path).url, heartbeat=1, grace=2)
    helped: list[int] = []

    def slow(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        if number == 0:
            time.sleep(3.5)  # longer than the grace period
            helped.append(other_with(impatient).assist(bowl))
        yield from bowl(number, parameters)

    def other_with(storage: Storage) -> Search:
        return new_search(tmp_path, tuned_spec(3), storage=storage)

    study = new_search(tmp_path, tuned_spec(3), storage=impatient).run(slow)
    assert helped == [2]
    assert [t.tries for t in study.trials] == [1, 1, 1]
    assert other.files.find(other.spec) == study


def test_a_worker_that_dies_while_it_claims_a_trial_loses_nothing(tmp_path: Path) -> None:
    complete = new_search(tmp_path / "complete", tuned_spec(5)).run(bowl)
    for moment in ("enqueue_trial", "ask"):
        victim = new_search(tmp_path / moment, tuned_spec(5))
        study = killed_in(moment, victim)
        assert history(study) == history(complete), moment


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
            victim.run(bowl)
    return new_search(victim.files.root, victim.spec).run(bowl)


def test_attributes_in_the_storage_keep_their_names(tmp_path: Path) -> None:
    # Studies begun by earlier versions are continued, so neither the names nor the reason of a withdrawal may change.
    victim = dies_in(1, tmp_path, tuned_spec(3))
    machine, process, _ = worker.worker_id().rsplit(" ", 2)
    rename_worker(victim, f"{machine} {process} 1.00")

    def fragile(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        if number == 2:
            raise RuntimeError("the bowl is broken")
        yield from bowl(number, parameters)

    new_search(tmp_path, tuned_spec(3)).run(fragile)
    trials = stored_trials(victim)
    assert [(t.user_attrs["number"], set(t.user_attrs) - {"number"}) for t in trials] == [
        (0, {"worker", "seconds", "scores"}),
        (1, {"worker", "withdrawn"}),
        (1, {"worker", "seconds", "scores"}),
        (2, {"worker", "seconds", "scores", "error"}),
    ]
    assert trials[1].user_attrs["withdrawn"] == "its worker is gone"


def test_a_restart_keeps_its_name_in_the_storage(tmp_path: Path) -> None:
    def fails(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        raise RuntimeError("no bowl")

    with pytest.raises(TuningError):
        new_search(tmp_path, tuned_spec(2)).run(fails)
    search_again = new_search(tmp_path, tuned_spec(2), since=time.time() + 1)
    search_again.run(bowl)
    study = optuna.load_study(study_name=study_name(search_again.spec), storage=search_again.storage.database)
    assert set(study.user_attrs) == {"facts", "set_aside"}
    assert study.user_attrs["set_aside"] == 1


# ---------------------------------------------------------------------- several workers


def test_workers_share_a_study_without_exceeding_its_budget(tmp_path: Path) -> None:
    done = [0, 0, 0]
    all_have_one, own = threading.Barrier(3, timeout=60), threading.local()

    def work(place: int) -> None:
        done[place] = new_search(tmp_path, tuned_spec(22)).assist(slow_bowl)

    def slow_bowl(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        if not hasattr(own, "started"):  # each thread gets a trial, however late it starts
            own.started = True
            all_have_one.wait()
        time.sleep(0.01)
        yield from bowl(number, parameters)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    study = new_search(tmp_path, tuned_spec(22)).run(never_called)
    assert sum(done) == 22
    assert min(done) > 0
    assert [t.number for t in study.trials] == list(range(22))
    assert len({tuple(sorted(t.parameters.items())) for t in study.trials}) == 22
    assert not any(WITHDRAWN in t.user_attrs for t in stored_trials(new_search(tmp_path, tuned_spec(22))))


def test_a_worker_waits_for_the_trials_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "POLL_SECONDS", 0.02)
    begun, go = threading.Event(), threading.Event()

    def holds(number: int, parameters: Mapping[str, Any]) -> Iterator[float]:
        if number == 0:
            begun.set()
            go.wait(30)
        yield from bowl(number, parameters)

    helper = threading.Thread(target=lambda: new_search(tmp_path, tuned_spec(3)).assist(holds))
    helper.start()
    begun.wait(30)
    threading.Timer(0.3, go.set).start()
    study = new_search(tmp_path, tuned_spec(3)).run(bowl)
    helper.join()
    assert study.trials[0].state == "complete"
    assert all(trial.state != "running" for trial in study.trials)
