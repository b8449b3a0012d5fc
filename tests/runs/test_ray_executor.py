"""Runs on a simulated cluster: nodes, workers and drivers that are lost, tuning, and what comes back."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import wait_for
from ray_toys import TOYS
from tuning.postgres import postgres

from crystalbench.data.samples import Samples
from crystalbench.models import load_model
from crystalbench.models.model import Progress
from crystalbench.results.record import Record
from crystalbench.results.store import RecordStore, StudyStore
from crystalbench.results.study import Study
from crystalbench.runs.api import run_models
from crystalbench.runs.executors import Engine, SerialExecutor
from crystalbench.runs.executors.ray import RayExecutor, shipping
from crystalbench.runs.failures import RunFailedError
from crystalbench.runs.fit_checkpoints import FitCheckpoints
from crystalbench.runs.kept_models import folder_of_models
from crystalbench.runs.observer import SilentObserver
from crystalbench.runs.plan import Plan, Run, Selection, make_plan
from crystalbench.runs.resources import Reservation, Resources
from crystalbench.runs.runner import Runner
from crystalbench.runs.scheduler import run_plan
from crystalbench.runs.suite import Suite, TuningEntry
from crystalbench.runs.tune import Tuner
from crystalbench.tasks import DataSources
from crystalbench.tuning import Storage

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]  # one worker of pytest, so that there is one cluster

NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster(session_cache: Path) -> Iterator[Any]:
    """Three nodes with one CPU each; the first is the head node."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYSTALBENCH_CACHE", str(session_cache))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")  # a token would be written to the home folder
        patch.setenv("PYTHONWARNINGS", "ignore")
        made = Cluster(initialize_head=True, head_node_args=NODE)
        try:
            for _ in range(2):
                made.add_node(**NODE)
            yield made
        finally:
            made.shutdown()


class Toys:
    """The file of toys, and what they note."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "toys.py"
        self.file.write_text(TOYS)

    def plan(self, model: str = "Noted", seeds: int = 2, tuning: TuningEntry | None = None, **parameters: Any) -> Plan:
        suite = Suite(name="toys", tasks=("demo_formation_energy",), models=(f"{self.file}:{model}",), tuning=tuning)
        selection = Selection(
            folds=(0,) if tuning else (0, 1, 2),
            seeds=range(seeds),
            parameters={"folder": str(self.folder), **parameters},
        )
        return make_plan(suite, selection, DataSources(limit=60, download=False))

    @property
    def fits(self) -> list[str]:
        file = self.folder / "fits"
        return file.read_text().splitlines() if file.exists() else []

    def forget(self) -> None:
        for name in ("fits", "kill"):
            (self.folder / name).unlink(missing_ok=True)


@pytest.fixture
def toys(tmp_path: Path) -> Toys:
    return Toys(tmp_path)


def facts(records: list[Record]) -> list[dict[str, Any]]:
    """Everything in records that must not depend on where they were computed."""
    found = [r.model_dump(exclude={"seconds", "peak_memory_mb", "finished", "concurrent"}) for r in records]
    for record in found:
        record["environment"].pop("git")
    return found


def serial(toys: Toys, plan: Plan) -> list[Record]:
    """The records of the serial executor."""
    toys.forget()
    with SerialExecutor(Runner()) as executor:
        return run_plan(plan, None, executor).records


def test_a_lost_node_and_a_killed_worker_lose_and_double_no_record(
    cluster: Any, toys: Toys, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan, store = toys.plan(), RecordStore(tmp_path / "records")
    (tmp_path / "hold").touch()
    (tmp_path / "kill").write_text("5")  # it begins after the node is lost
    nodes = list(cluster.worker_nodes)

    def lose_one() -> None:
        wait_for(lambda: len(toys.fits) >= 3, 240)
        cluster.remove_node(nodes[0], allow_graceful=False)
        wait_for(lambda: "it is computed again" in caplog.text, 240)
        (tmp_path / "hold").unlink()

    thread = threading.Thread(target=lose_one)
    thread.start()
    with RayExecutor(Runner(), address=cluster.address) as executor:
        assert executor.slots == 3
        outcome = run_plan(plan, store, executor)
    thread.join()
    cluster.add_node(**NODE)
    assert (outcome.computed, outcome.failures) == (6, [])
    assert len(toys.fits) == 6 + 2
    assert caplog.text.count("it is computed again") == 2
    assert "its worker process died" in caplog.text
    records, problems = store.read_all()
    assert (len({record.key for record in records}), len(records), problems) == (6, 6, [])
    assert {record.concurrent for record in records} == {3}
    assert facts(outcome.records) == facts(serial(toys, plan))


def test_a_killed_driver_goes_on_where_it_was(cluster: Any, toys: Toys, tmp_path: Path) -> None:
    suite = tmp_path / "toys.toml"
    suite.write_text(
        f"""
        tasks = ["demo_formation_energy"]
        limit = 60
        models = [{{ model = '{toys.file}:Noted', parameters = {{ folder = '{toys.folder}' }} }}]
        [protocol]
        folds = [0, 1, 2]
        seeds = [0, 1]
        """
    )
    command = [sys.executable, "-m", "crystalbench", "run", "--suite", str(suite), "--results", "results"]
    command += ["--engine", "ray", "--address", cluster.address]
    records = RecordStore(tmp_path / "results" / "records")

    def started() -> subprocess.Popen[str]:
        environment = {**os.environ, "COLUMNS": "200"}
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    first = started()
    wait_for(lambda: len(records.paths()) >= 1, 240)
    (tmp_path / "hold").touch()
    wait_for(lambda: len(toys.fits) >= len(records.paths()) + 1, 60)
    first.kill()
    first.communicate()
    kept = len(records.paths())
    begun = len(toys.fits)
    (tmp_path / "hold").unlink()
    second = started()
    out, _ = second.communicate(timeout=300)
    assert second.returncode == 0, out
    assert f"6 runs, {kept} of them done" in out
    assert len(toys.fits) >= begun + 6 - kept
    assert len(records.paths()) == 6


class Losses(SilentObserver):
    """What was reported as the training loss."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def started(self, run: Run) -> Progress:
        def progress(done: int, total: int, **numbers: Any) -> None:
            self.seen += [numbers["loss"]] if "loss" in numbers else []

        return progress


def test_a_task_that_nodes_do_not_see_is_sent(
    cluster: Any, toys: Toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "sha256_of", lambda path: "another file")  # on this side only
    plan, observer = toys.plan(seeds=1), Losses()
    (tmp_path / "hold").touch()  # until an event has arrived, since late ones may be lost

    def let_go() -> None:
        wait_for(lambda: bool(observer.seen), 240)
        (tmp_path / "hold").unlink()

    thread = threading.Thread(target=let_go)
    thread.start()
    with RayExecutor(Runner(), address=cluster.address) as executor:
        outcome = run_plan(plan, None, executor, observer)
        assert len(executor._stored) == 1
    thread.join()
    assert set(observer.seen) == {0.5}
    assert facts(outcome.records) == facts(serial(toys, plan))


def test_models_are_kept_by_the_driver_and_failures_return(cluster: Any, toys: Toys, tmp_path: Path) -> None:
    suite = Suite(name="toys", tasks=("demo_formation_energy",), models=("dummy", f"{toys.file}:Failing"))
    plan = make_plan(suite, Selection(folds=(0,)), DataSources(limit=60, download=False))
    runner = Runner(keep_models=Path("models"), checkpoints=FitCheckpoints.of_records(tmp_path / "records"))
    here = Path.cwd()
    try:
        os.chdir(tmp_path)  # nodes have another working directory
        with RayExecutor(runner, address=cluster.address) as executor:
            outcome = run_plan(plan, None, executor)
    finally:
        os.chdir(here)
    ((run, reason),) = outcome.failures
    assert (run.label, reason) == ("Failing", "RuntimeError: the oven is cold")
    (record,) = outcome.records
    kept = load_model(folder_of_models(tmp_path / "models", record) / "member-0")
    task = plan.tasks[0]
    samples = Samples(task.inputs[task.split(0)[1]], task.target)
    assert kept.predict(samples).values.tolist() == record.predictions.values


def test_the_python_interface_returns_records_and_models(cluster: Any, toys: Toys) -> None:
    task = toys.plan().tasks[0]
    engine = Engine("ray", cluster.address)
    result = run_models(
        f"{toys.file}:Noted", task, folds=[1], parameters={"folder": str(toys.folder)}, keep_models=True, engine=engine
    )
    (record,), ((model,),) = result.records, result.models.values()
    test = task.split(1)[1]
    assert model.predict(Samples(task.inputs[test], task.target)).values.tolist() == record.predictions.values
    assert len(toys.fits) == 1


def test_reservations_that_no_node_has_are_refused(cluster: Any, toys: Toys) -> None:
    with pytest.raises(Exception, match=r"no node of the cluster has 2 CPUs for a run \(3 nodes: .*--cpus-per-run"):
        RayExecutor(Runner(), address=cluster.address, reserves=Reservation(cpus=2))
    suite = Suite(
        name="toys",
        tasks=("demo_formation_energy",),
        models=({"model": "dummy", "resources": {"gpus": 0.5}},),
    )
    plan = make_plan(suite, Selection(folds=(0,)), DataSources(limit=60, download=False))
    with RayExecutor(Runner(), address=cluster.address) as executor:
        error = executor.submit(plan.runs[0]).exception(timeout=30)
    assert isinstance(error, RunFailedError)
    assert "has 1 CPU and 0.5 GPUs for a run" in error.reason


def course(study: Study) -> list[object]:
    return [(t.number, t.state, t.parameters, t.scores) for t in study.trials]


def tuned(executor: Any, plan: Plan) -> Record:
    with executor:
        outcome = run_plan(plan, None, executor)
    assert outcome.failures == []
    (record,) = outcome.records
    return record


@contextlib.contextmanager
def _nothing() -> Iterator[None]:
    yield None


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_trials_of_one_study_are_computed_in_parallel(cluster: Any, toys: Toys, tmp_path: Path, database: str) -> None:
    # The first fits wait until there are two of them: the only run's study is done by two nodes, or never.
    plan = toys.plan(seeds=1, tuning=TuningEntry(trials=6, inner_folds=3, splits=2, seeds=1), processes=2)
    with postgres() if database == "postgresql" else _nothing() as url:
        tuner = Tuner.in_folder(tmp_path / "studies", Storage(url) if url else None, Resources(), 0.0)
        record = tuned(RayExecutor(Runner(tuner=tuner), address=cluster.address), plan)
    (study,) = StudyStore(tmp_path / "studies").read_all()[0]
    assert [trial.number for trial in study.trials] == list(range(6))
    assert study.count("complete") + study.count("pruned") == 6
    assert len(toys.fits) == sum(len(trial.scores) for trial in study.trials) + 1
    assert all(trial.seconds > 0 for trial in study.trials)
    assert record.tuned == study.tuned()


def test_a_study_with_one_trial_at_a_time_is_that_of_the_serial_executor(
    cluster: Any, toys: Toys, tmp_path: Path
) -> None:
    plan = toys.plan(seeds=1, tuning=TuningEntry(trials=4, inner_folds=3, splits=2, seeds=1))
    studies, records = [], []
    for name in ("ray", "serial"):
        runner = Runner(tuner=Tuner.in_folder(tmp_path / name, None, Resources(), 0.0))
        executor = RayExecutor(runner, 1, cluster.address) if name == "ray" else SerialExecutor(runner)
        records.append(tuned(executor, plan))
        studies += StudyStore(tmp_path / name).read_all()[0]
    assert course(studies[0]) == course(studies[1])
    assert records[0].predictions == records[1].predictions
