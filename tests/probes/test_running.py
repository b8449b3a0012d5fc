"""Running a probe: what is computed, where it is kept, and that nothing is computed or asked twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crystalbench.data.views import FULL
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.evaluation.information import CONTROL, VIEWS
from crystalbench.probes import Probed, get_probe, probe_names, run_probe
from crystalbench.probes.information import Information
from crystalbench.results import RecordStore
from crystalbench.results.answers import AnswerStore
from crystalbench.runs.plan import Plan, Selection
from crystalbench.runs.suite import Suite
from crystalbench.tasks import DataSources

LINE = "crystalbench.testing._probe_case:VolumeLine"
PROBE = """
from pathlib import Path
import pandas as pd
from crystalbench.probes import Probe

class Mine(Probe):
    name, description, tables = "mine", "counts test rows", {"mine": ("task", "rows")}

    def ask(self, fitted):
        with open("asked.txt", "a") as file:
            file.write(f"{fitted.run.title}: {len(fitted.members)}\\n")
        if Path("broken").exists():
            raise ValueError("no answer")
        return pd.DataFrame({"n": [len(fitted.predict(fitted.test))]})

    def evaluate(self, results, answers):
        table = answers.groupby("task")["n"].sum().rename("rows").reset_index() if len(answers) else None
        return {"mine": pd.DataFrame(columns=["task", "rows"]) if table is None else table}

class OtherColumns(Mine):
    def evaluate(self, results, answers):
        return {"mine": pd.DataFrame(columns=["task", "other"])}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("probe.py").write_text(PROBE, encoding="utf-8")


def planned(probe: str, *models: str, **options: Any) -> Plan:
    suite = Suite(name="s", tasks=("demo_bulk_modulus",), models=models)
    sources = DataSources(limit=60, download=False)
    return get_probe(probe).plan(suite, Selection(models=models, **options), sources)


def run(probe: str, plan: Plan) -> Probed:
    return run_probe(probe, plan, Path("results"), workers=1)


def predicted_rows(plan: Plan) -> int:
    return sum(len(run.task.split(run.spec.fold)[1]) for run in plan.runs)


def asked() -> list[str]:
    return Path("asked.txt").read_text().splitlines()


def test_probes_are_found_by_name_and_by_place() -> None:
    assert {"information", "invariance"} <= set(probe_names())
    assert isinstance(get_probe("information"), Information)
    assert get_probe("probe.py:Mine").description == "counts test rows"
    with pytest.raises(UnknownNameError, match="Did you mean 'information'"):
        get_probe("informaton")
    with pytest.raises(ConfigError, match="not a subclass of Probe"):
        get_probe("pathlib:Path")


def test_the_plan_follows_what_models_and_views_declare() -> None:
    plan = planned("information", LINE, "magpie_forest", folds=(0,))
    views = {label: [r.spec.view for r in plan.runs if r.label == label] for label in {r.label for r in plan.runs}}
    # full twice: the second one is the control
    assert views == {
        "VolumeLine": [FULL, *(view for view in VIEWS[1:] if view != "composition_only"), FULL],
        "magpie_forest": [FULL, FULL],
        "dummy": [FULL, FULL],
    }
    notes = " ".join(plan.notes)
    assert "VolumeLine sees nothing of what these views leave, left out: composition_only" in notes
    assert (
        "magpie_forest sees the composition alone, which these views do not hide, left out: composition_only" in notes
    )
    only = planned("information", LINE, folds=(0,), views=("anonymous",))
    assert [run.spec.view for run in only.runs if run.label == "VolumeLine"] == [FULL, "anonymous", FULL]


def test_the_dummy_alone_says_nothing() -> None:
    with pytest.raises(ConfigError, match="there is no other model to run: dummy is the only model; choose another"):
        planned("information", "dummy", folds=(0,))
    Path("mine.csv").write_text("id,f,y\n" + "".join(f"r{i},Fe{i + 1}O2,{i}\n" for i in range(20)))
    Path("mine.toml").write_text(
        'name = "mine"\ntable = "mine.csv"\nid = "id"\ncomposition = "f"\ntarget = "y"\nkind = "regression"\n'
    )
    suite = Suite(name="s", tasks=("mine.toml",))
    with pytest.raises(ConfigError, match=r"no other model to run: cgcnn needs structures, left out: mine.*; choose"):
        Information().plan(suite, Selection(models=("cgcnn",)), DataSources(download=False))


def test_runs_of_a_leaderboard_are_kept_apart_from_others_and_nothing_is_computed_twice() -> None:
    plan = planned("information", LINE, folds=(0, 1), views=("anonymous",))
    first = run("information", plan)
    assert first.computed == len(plan.runs) == 10
    ranked = {(r.spec.task, r.spec.view) for r in RecordStore(Path("results/records")).read_all()[0]}
    others = {(r.spec.task, r.spec.view) for r in RecordStore(Path("results/probes/records")).read_all()[0]}
    assert ranked == {("demo_bulk_modulus", FULL)}
    assert others == {("demo_bulk_modulus", "anonymous"), (f"demo_bulk_modulus+{CONTROL}", FULL)}
    table = pd.read_csv("results/information.csv")
    assert table["view"].tolist() == [FULL, "anonymous", CONTROL]
    assert list(table)[:9] == ["task", "view", "model", "skill", "low", "high", "mae", "folds", "seeds"]
    again = run("information", plan)
    assert again.computed == 0
    assert pd.read_csv("results/information.csv").equals(table)
    # One that `crystalbench run` has made is not made again.
    record = next(RecordStore(Path("results/probes/records")).root.rglob("anonymous-fold0*"))
    target = Path("results/records/demo_bulk_modulus/VolumeLine") / record.name
    record.rename(target)
    assert run("information", plan).computed == 0


def test_models_are_asked_once_right_after_the_fit() -> None:
    plan = planned("probe.py:Mine", LINE, folds=(0, 1))
    probed = run("probe.py:Mine", plan)
    assert probed.computed == 2
    assert len(asked()) == 2
    assert probed.tables["mine"]["rows"].tolist() == [predicted_rows(plan)]
    assert Path("results/mine.csv").read_text() == f"task,rows\ndemo_bulk_modulus,{predicted_rows(plan)}\n"
    run("probe.py:Mine", plan)
    assert len(asked()) == 2


def test_a_run_whose_record_exists_is_fitted_again_to_be_asked() -> None:
    plan = planned("information", LINE, folds=(0,), views=(FULL,))
    run("information", plan)
    before = sorted(Path("results/records").rglob("*.json"))
    probed = run("probe.py:Mine", planned("probe.py:Mine", LINE, folds=(0,)))
    assert probed.computed == 0
    assert len(asked()) == 1
    assert sorted(Path("results/records").rglob("*.json")) == before


def test_kept_models_are_asked_without_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    from crystalbench.models.forests.magpie import MagpieForest
    from crystalbench.runs import run_models
    from crystalbench.tasks import load_task

    task = load_task("demo_bulk_modulus", limit=60)
    run_models("magpie_forest", task, folds=[0], results="results", keep_models=True, parameters={"trees": 5})
    monkeypatch.setattr(MagpieForest, "fit", None)
    plan = planned("probe.py:Mine", "magpie_forest", folds=(0,), parameters={"trees": 5})
    probed = run("probe.py:Mine", plan)
    assert not probed.failures
    assert probed.tables["mine"]["rows"].tolist() == [predicted_rows(plan)]


def test_a_question_that_fails_is_reported_and_the_record_kept() -> None:
    Path("broken").touch()
    plan = planned("probe.py:Mine", LINE, folds=(0,))
    probed = run("probe.py:Mine", plan)
    assert [reason for _, reason in probed.failures] == ["ValueError: no answer"]
    assert probed.computed == 1
    Path("broken").unlink()
    again = run("probe.py:Mine", plan)
    assert not again.failures
    assert again.computed == 0
    assert again.tables["mine"]["rows"].tolist() == [predicted_rows(plan)]


def test_other_tables_than_declared_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"evaluate makes the tables .*other.* and it declares .*rows"):
        run("probe.py:OtherColumns", planned("probe.py:OtherColumns", LINE, folds=(0,)))


@pytest.mark.slow
def test_models_are_asked_in_worker_processes() -> None:
    plan = planned("probe.py:Mine", LINE, folds=(0, 1))
    probed = run_probe("probe.py:Mine", plan, Path("results"), workers=2)
    assert probed.tables["mine"]["rows"].tolist() == [predicted_rows(plan)]
    assert len(asked()) == 2


def test_damaged_answers_are_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    run("probe.py:Mine", planned("probe.py:Mine", LINE, folds=(0, 1)))
    store = AnswerStore.of(Path("results"), "mine", 1)
    next(store.root.rglob("*fold0*")).write_bytes(b"nothing")
    assert len(store.read_all()) == 1
    assert "cannot be read" in caplog.text


def test_only_the_models_that_a_probe_asks_are_asked() -> None:
    Path("some.py").write_text(
        PROBE + "\nclass Some(Mine):\n    def asks_models_of(self, run):\n        return run.spec.fold == 1\n",
        encoding="utf-8",
    )
    plan = planned("some.py:Some", LINE, folds=(0, 1))
    probed = run("some.py:Some", plan)
    assert probed.computed == 2
    assert [line.partition(" (")[0] for line in asked()] == [f"{plan.runs[1].title}: 1"]
    assert run("some.py:Some", plan).computed == 0 and len(asked()) == 1
