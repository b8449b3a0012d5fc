"""What the record of a run contains."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import memory_model
import numpy as np
import pytest
from helpers import tiny_task
from memory_model import Memory, run, spec_of

from crystalbench.data.samples import Predictions, Samples
from crystalbench.errors import ConfigError, DataError
from crystalbench.evaluation.metrics import score
from crystalbench.models import get_model
from crystalbench.models.model import Phase
from crystalbench.results.record import Record
from crystalbench.results.spec import ProtocolSpec
from crystalbench.results.store import RecordStore
from crystalbench.runs.command import repeat_command
from crystalbench.runs.execute import execute
from crystalbench.runs.executors import SerialExecutor
from crystalbench.runs.plan import Selection, make_plan
from crystalbench.runs.resources import Resources
from crystalbench.runs.runner import Runner
from crystalbench.runs.scheduler import run_plan
from crystalbench.runs.suite import Suite
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources, Source


@pytest.fixture(autouse=True)
def _forget() -> None:
    for kept in (Memory.fits, Memory.spec, Memory.seeds):
        kept.clear()


def test_the_record_is_complete() -> None:
    task = tiny_task(n=32, total=100)
    record = run(task, protocol=ProtocolSpec(inner_folds=4, ensemble=3))
    train_rows, test_rows = task.split(0)
    assert record.spec == spec_of(task, protocol=ProtocolSpec(inner_folds=4, ensemble=3))
    assert record.predictions.ids == task.inputs.ids[test_rows].tolist()
    assert record.predictions.targets == task.targets[test_rows].tolist()
    assert record.scores == pytest.approx(
        score("regression", task.targets[test_rows], np.array(record.predictions.values))
    )
    rows = record.rows
    assert rows.train + rows.valid == len(train_rows)
    assert (rows.test, rows.task, rows.task_total) == (11, 32, 100)
    assert (record.metric, record.kind, record.unit, record.label) == ("mae", "regression", "eV", "Memory")
    assert record.n_parameters == 3 * 7
    assert (record.device, record.threads) == ("cpu", 1)
    assert record.seconds.featurise == 0
    assert 0 <= record.seconds.fit < 60
    assert 0 <= record.seconds.predict < 60
    assert record.peak_memory_mb > 10
    assert record.source.name == "tiny.parquet"
    assert {"python", "system", "processor", "packages", "git"} == set(record.environment)
    assert record.environment["packages"]["numpy"] == np.__version__
    assert record.model_source == hashlib.sha256(Path(memory_model.__file__).read_bytes()).hexdigest()
    finished = datetime.datetime.fromisoformat(record.finished)
    assert abs(datetime.datetime.now(datetime.UTC) - finished) < datetime.timedelta(minutes=1)
    words = shlex.split(record.command)
    assert words[:2] == ["crystalbench", "run"]
    for option, value in (("--task", "tiny"), ("--fold", "0"), ("--ensemble", "3"), ("--limit", "32")):
        assert words[words.index(option) + 1] == value
    assert Record.from_json(record.to_json()) == record


def words_after(command: str, option: str) -> str:
    words = shlex.split(command)
    assert words.count(option) == 1
    return words[words.index(option) + 1]


def test_the_command_repeats_what_came_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("my models")
    folder.mkdir()
    (folder / "model.py").write_text("from crystalbench.models.dummy import Dummy\nclass Mine(Dummy): 'Mine.'\n")
    (folder / "view.py").write_text(
        "from crystalbench.data.views import View\nbare = View('bare', 'nothing', lambda c: c)\n"
    )
    suite = Suite(name="x", tasks=("demo_formation_energy",), models=("my models/model.py:Mine",))
    sources = DataSources(limit=60, download=False)
    plan = make_plan(suite, Selection(folds=[0], views=["my models/view.py:bare"]), sources)
    (record,) = run_plan(plan, RecordStore(tmp_path / "records"), SerialExecutor(Runner())).records
    assert (record.spec.model, record.spec.view) == ("model.py:Mine", "bare")
    model, view = (words_after(record.command, option) for option in ("--model", "--view"))
    assert (model, view) == ("my models/model.py:Mine", "my models/view.py:bare")
    (again,) = make_plan(suite, Selection(models=[model], folds=[0], views=[view]), sources).runs
    assert again.spec == record.spec


def test_the_command_has_the_table_and_the_rows_that_were_used_of_it() -> None:
    source = Source("part.parquet", "0" * 64, "ids")
    table = dataclasses.replace(tiny_task(n=40, total=100), source=source)
    for task in (table.limited(25), table):
        command = run(task).command
        assert words_after(command, "--data") == "tiny=part.parquet"
        assert table.limited(int(words_after(command, "--limit"))).digest == task.digest
    assert "--limit" not in run(dataclasses.replace(table, rows_total=40)).command


@pytest.mark.parametrize(
    "value",
    ["round", "two words", "it's", "3", "true", "None", '"quoted"', "", 3, -1.5e-07, True, None, [1, 2], "ångström"],
)
def test_the_command_sets_hyperparameters_to_what_they_were(value: Any) -> None:
    from crystalbench.cli.options import parameters

    spec = spec_of(tiny_task(), parameters={"name": value})
    assignment = words_after(repeat_command(spec, tiny_task()), "--set")
    (found,) = parameters([assignment]).values()
    assert found == value
    assert type(found) is type(value)


def test_tasks_of_packaged_task_files_are_repeated_by_name() -> None:
    source = Source("t.parquet", "0" * 64, "user", "cv_per_cell.toml")
    mine = dataclasses.replace(tiny_task(), source=source)
    packaged = dataclasses.replace(mine, name="gong_cv_per_cell")
    assert words_after(repeat_command(spec_of(mine), mine), "--task") == "cv_per_cell.toml"
    assert words_after(repeat_command(spec_of(packaged), packaged), "--task") == "gong_cv_per_cell"


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_its_scores(kind: Kind) -> None:
    record = run(tiny_task(kind))
    assert record.kind == kind
    assert record.metric in record.scores
    values = np.array(record.predictions.values)
    assert values.shape == ((10, 3) if kind is Kind.MULTICLASS else (10,))


def test_undefined_scores_are_null() -> None:
    task = tiny_task(Kind.BINARY)
    task = dataclasses.replace(task, targets=np.where(task.folds == 0, 1.0, task.targets))
    assert run(task).scores["rocauc_true"] is None


def test_members_have_seeds_of_their_own_and_report_progress_in_turn() -> None:
    task, calls = tiny_task(), []
    spec = spec_of(task, protocol=ProtocolSpec(inner_folds=4, ensemble=3), parameters={"sigma": 0.5})

    def progress(done: int, total: int, **numbers: Any) -> None:
        if "loss" in numbers:
            assert (numbers["member"], numbers["members"]) == ((done - 1) // 2, 3)
            calls.append((done, total, numbers["loss"]))

    record = execute(spec, "Memory", Memory, task, Resources(), progress)
    assert calls == [(1, 6, 0.5), (2, 6, 0.25), (3, 6, 0.5), (4, 6, 0.25), (5, 6, 0.5), (6, 6, 0.25)]
    assert Memory.seeds == [spec.derived_seed("member", number) for number in range(3)]
    means = [train.targets.mean() for train, _ in Memory.fits]
    np.testing.assert_allclose(record.predictions.values, np.mean(means))
    assert record.predictions.std is not None
    np.testing.assert_allclose(record.predictions.std, np.sqrt(np.var(means) + 0.25))


def test_a_run_reports_its_phases() -> None:
    calls: list[tuple[str, int, int, str]] = []

    def progress(done: int, total: int, *, phase: Phase = Phase.FITTING, unit: str = "", **_: float) -> None:
        calls.append((str(phase), done, total, unit))

    task = tiny_task(n=40)
    execute(spec_of(task, parameters={"trees": 3}), "forest", get_model("magpie_forest"), task, Resources(), progress)
    tested = int((task.folds == 0).sum())
    assert calls == [
        ("fitting", 0, 0, ""),
        ("representations", 0, 40, "compositions"),
        ("fitting", 0, 0, ""),
        ("fitting", 3, 3, "trees"),
        ("predicting", 0, tested, "rows"),
    ]


def test_a_run_can_be_repeated_bit_by_bit() -> None:
    task = tiny_task()
    parameters = {"trees": 5}
    one, other = (run(task, get_model("magpie_forest"), parameters=parameters) for _ in range(2))
    assert one.predictions == other.predictions
    assert one.scores == other.scores
    third = run(task, get_model("magpie_forest"), parameters=parameters, seed=1)
    assert third.predictions.values != one.predictions.values


def test_bad_predictions_stop_the_run_by_id() -> None:
    @dataclass
    class Lost(Memory):
        def predict(self, samples: Samples) -> Predictions:
            return Predictions(np.where(np.arange(len(samples)) == 2, np.nan, 1.0))

    with pytest.raises(DataError, match=r"^crystal-6: its prediction is not finite"):
        run(tiny_task(), Lost)


def test_a_fold_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match=r"tiny: has no fold 3; its folds are \[0, 1, 2\]"):
        run(tiny_task(), fold=3)
