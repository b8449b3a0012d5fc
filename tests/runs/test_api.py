from __future__ import annotations

import dataclasses
import importlib.util
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import tiny_task, write_toys

from crystalbench.data.samples import Predictions, Samples
from crystalbench.errors import ConfigError, CrystalBenchError, UnknownNameError
from crystalbench.models import Model, Needs
from crystalbench.models.dummy import Dummy
from crystalbench.models.forests.magpie import MagpieForest
from crystalbench.results.store import RecordStore
from crystalbench.runs import run_models
from crystalbench.runs.kept_models import folder_of_models
from crystalbench.runs.suite import TuningEntry
from crystalbench.tasks import DataSources, Task, get_task_spec


@dataclass
class Unsaved(Model):
    """Does not define what has to be saved."""

    needs = Needs.COMPOSITION
    fails: bool = False

    def fit(self, train: Samples, valid: Samples) -> Unsaved:
        if self.fails:
            raise RuntimeError("the oven is cold")
        self.target = train.target
        self.mean = float(train.targets.mean())
        return self

    def predict(self, samples: Samples) -> Predictions:
        return Predictions(np.full(len(samples), self.mean))


@pytest.fixture
def task() -> Task:
    return get_task_spec("demo_formation_energy").load(DataSources(limit=60, download=False))


def test_one_model_on_all_folds_in_memory(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_models("dummy", task)
    assert [(r.spec.model, r.spec.fold, r.spec.seed) for r in result.records] == [("dummy", k, 0) for k in range(5)]
    assert (result.models, result.failures) == ({}, {})
    assert list(tmp_path.iterdir()) == []


def test_the_options_are_those_of_the_specification(task: Task) -> None:
    result = run_models(
        ["magpie_forest", Dummy],
        task,
        folds=[2],
        seeds=[0, 3],
        view="unit_density",
        parameters={"trees": 5},
        ensemble=2,
        inner_folds=3,
    )
    assert [(r.label, r.spec.seed) for r in result.records] == [
        (label, seed) for seed in (0, 3) for label in ("magpie_forest x2", "dummy x2")
    ]
    spec = result.records[0].spec
    assert (spec.fold, spec.view, spec.parameters["trees"]) == (2, "unit_density", 5)
    assert (spec.protocol.inner_folds, spec.protocol.ensemble, spec.tuning) == (3, 2, None)


def test_a_class_a_name_and_a_file_are_the_same_model(task: Task, tmp_path: Path) -> None:
    one, other = (run_models(m, task, folds=[0]).records[0] for m in ("magpie_forest", MagpieForest))
    assert one.spec == other.spec
    file = tmp_path / "mine.py"
    file.write_text("from crystalbench.models.dummy import Dummy\nclass Mine(Dummy):\n    'Mine.'\n")
    by_path = run_models(f"{file}:Mine", task, folds=[0]).records[0]
    (name,) = [name for name in __import__("sys").modules if name.startswith("crystalbench_file_mine")]
    by_class = run_models(__import__("sys").modules[name].Mine, task, folds=[0]).records[0]
    assert by_path.spec == by_class.spec
    assert by_path.spec.model == "mine.py:Mine"
    assert by_path.command == by_class.command


def test_records_of_a_folder_are_found_and_not_computed_again(task: Task, tmp_path: Path) -> None:
    first = run_models("dummy", task, folds=[0, 1], results=tmp_path)
    again = run_models("dummy", task, folds=[0, 1, 2], results=tmp_path)
    assert again.records[:2] == first.records
    assert RecordStore(tmp_path / "records").read_all()[0] == sorted(again.records, key=lambda r: r.spec.fold)


def test_fitted_models_come_back(task: Task, tmp_path: Path) -> None:
    test = task.split(1)[1]
    for results in (None, tmp_path, tmp_path):  # the second time, the records of the folder are found
        result = run_models(
            "magpie_forest",
            task,
            folds=[1],
            parameters={"trees": 5},
            ensemble=2,
            inner_folds=3,
            results=results,
            keep_models=True,
        )
        assert set(result.models) == {("magpie_forest x2", 1, 0)}
        members = result.models["magpie_forest x2", 1, 0]
        samples = Samples(task.inputs.compositions()[test], task.target)  # type: ignore[union-attr]
        mean = np.mean([member.predict(samples).values for member in members], axis=0)
        np.testing.assert_allclose(mean, result.records[0].predictions.values)
    folder = folder_of_models(tmp_path / "models", result.records[0])
    assert sorted(path.name for path in folder.iterdir()) == ["member-0", "member-1"]
    assert len(RecordStore(tmp_path / "records").paths()) == 1


def test_a_model_that_cannot_be_saved_is_returned_and_named_in_a_warning(
    task: Task, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = run_models(Unsaved, task, folds=[0], results=tmp_path, keep_models=True)
    assert isinstance(result.models["Unsaved", 0, 0][0], Unsaved)
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    for text in ("Unsaved", "demo_formation_energy, fold 0, seed 0", "state()"):
        assert text in warning
    assert not list(tmp_path.glob("models/**/*.json"))


def test_tuning(task: Task) -> None:
    quick: dict[str, Any] = {"rounds": 5}
    (record,) = run_models("magpie_boosting", task, folds=[0], parameters=quick, tuning=2).records
    assert record.tuned is not None
    assert record.tuned.trials == 2
    entry = TuningEntry(trials=2, inner_folds=3)
    (other,) = run_models("magpie_boosting", task, folds=[0], parameters=quick, tuning=entry).records
    assert other.spec.tuning is not None
    assert other.spec.tuning.inner_folds == 3


def test_failures_are_reported_and_the_others_returned(task: Task, caplog: pytest.LogCaptureFixture) -> None:
    result = run_models(["dummy", Unsaved], task, folds=[0], parameters={"fails": True})
    assert [record.label for record in result.records] == ["dummy"]
    title = "demo_formation_energy · Unsaved · fold 0"
    assert result.failures == {title: "RuntimeError: the oven is cold"}
    assert any(title in r.getMessage() and "the oven is cold" in r.getMessage() for r in caplog.records)
    with pytest.raises(CrystalBenchError, match=r"all 1 runs failed: .*Unsaved.*the oven is cold"):
        run_models(Unsaved, task, folds=[0], parameters={"fails": True})


def test_a_task_in_memory_can_be_run(tmp_path: Path) -> None:
    task = dataclasses.replace(tiny_task(), name="mine")
    records = run_models("dummy", task, results=tmp_path).records
    assert {(record.spec.task, record.spec.data) for record in records} == {("mine", task.digest)}
    assert len(RecordStore(tmp_path / "records").paths()) == 3


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"models": "dumy"}, UnknownNameError, "Did you mean 'dummy'"),
        ({"models": 3}, ConfigError, "3 is not a name"),
        ({"models": int}, ConfigError, "int.* is not a name and not a subclass"),
        ({"folds": [5]}, ConfigError, r"has no fold 5; its folds are \[0, 1, 2, 3, 4\]"),
        ({"view": "anonymos"}, UnknownNameError, "Did you mean 'anonymous'"),
        ({"parameters": {"shift": 3}}, UnknownNameError, "hyperparameter of dummy 'shift'"),
        ({"workers": 0}, ConfigError, "workers = 0"),
        ({"ensemble": 0}, ConfigError, "ensemble = 0"),
        ({"inner_folds": 1}, ConfigError, "inner_folds = 1"),
        ({"inner_folds": 2, "ensemble": 3}, ConfigError, "ensemble = 3 is more than inner_folds = 2"),
        ({"tuning": 0}, ConfigError, "tuning = 0"),
    ],
    ids=str,
)
def test_mistakes(task: Task, options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        run_models(**{"models": "dummy", "task": task, **options})


def test_records_of_a_class_without_source_are_not_kept(task: Task, tmp_path: Path) -> None:
    space: dict[str, Any] = {"__name__": "nowhere"}
    exec("from crystalbench.models.dummy import Dummy\nclass Mine(Dummy):\n    'Mine.'\n", space)
    assert importlib.util.find_spec("nowhere") is None
    assert len(run_models(space["Mine"], task, folds=[0], workers=1).records) == 1
    with pytest.raises(ConfigError, match="nowhere:Mine: its source is not known"):
        run_models(space["Mine"], task, folds=[0], results=tmp_path)


def test_toys_of_a_file_run_in_processes(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "fits.txt"))
    result = run_models(f"{write_toys(tmp_path)}:Shifted", task, folds=[0, 1], workers=2, keep_models=True)
    assert len(result.records) == 2
    assert {type(members[0]).__name__ for members in result.models.values()} == {"Shifted"}


# ---------------------------------------------------------------------- other folds and fractions


def test_other_folds_and_fractions_of_the_training_part() -> None:
    task = get_task_spec("demo_formation_energy").load(DataSources(limit=60, download=False))
    made = run_models("dummy", task, folds=[0], fold_scheme="formula", train_fraction=[0.5, 1], workers=1)
    assert {record.spec.folds_text for record in made.records} == {"formula:k=5,seed=0"}
    learned = [record.rows.train + record.rows.valid for record in made.records]
    assert learned[0] == round(learned[1] / 2)
    assert made.records[0].predictions.ids == made.records[1].predictions.ids
    for wrong in (0, 1.5, [], "0.5", [0.5, "1"]):
        with pytest.raises(ConfigError, match="above 0 and at most 1"):
            run_models("dummy", task, train_fraction=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"as text, e\.g\. 'formula'"):
        run_models("dummy", task, fold_scheme=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="run one"):
        run_models("dummy", task, train_fraction=[0.5, 1], keep_models=True)
