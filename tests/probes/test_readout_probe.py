"""The suite of the controls: which runs it has, and that the evaluation finds each of them."""

from __future__ import annotations

import pandas as pd
import pytest
from helpers import record, tiny_task

from crystalbench.errors import ConfigError
from crystalbench.models import get_model
from crystalbench.probes.readout import Readout
from crystalbench.results import Record, Results
from crystalbench.runs.plan import Plan, Selection, plan_of_task
from crystalbench.runs.suite import Suite, load_suite
from crystalbench.tasks import DataSources

CONTROLS = {
    "cgcnn": ("mean", "none"),
    "cgcnn_sum": ("sum", "none"),
    "cgcnn_atom_count": ("mean", "atom_count"),
    "cgcnn_atom_count_volume": ("mean", "atom_count_volume"),
    "hybrid": ("mean", "gong28"),
    "hybrid_without_cell": ("mean", "gong28_without_cell"),
    "hybrid_shuffled": ("mean", "gong28_shuffled"),
}


def records_of_the_suite() -> list[Record]:
    made = []
    for entry in load_suite("readout").entries():
        parameters = get_model(entry.model).from_configuration(entry.parameters).configuration()
        facts = {"model": entry.model, "label": entry.name, "parameters": parameters}
        made += [record(9.0, task="gong_cv_per_cell", fold=fold, **facts) for fold in range(2)]
    return made


def test_the_suite_has_all_controls() -> None:
    table = Readout().evaluate(Results(records_of_the_suite()), pd.DataFrame())["readout"].set_index("model")
    found = {name: (row["readout"], row["descriptors"]) for name, row in table.iterrows()}
    assert found == {**CONTROLS, "dummy": ("", "none")}


@pytest.mark.parametrize(
    ("label", "models"), [("per_cell", {*CONTROLS, "dummy"}), ("per_atom", {"cgcnn", "hybrid", "dummy"})]
)
def test_runs_that_say_nothing_per_atom_are_left_out(
    label: str, models: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = load_suite("readout")
    task = tiny_task(n=20, name=f"tiny_{label}")
    entries = [(entry, get_model(entry.model)) for entry in suite.entries()]
    complete = plan_of_task(task, entries, suite, Selection())
    monkeypatch.setattr("crystalbench.probes.probe.make_plan", lambda *_: complete)
    plan = Readout().plan(suite, Selection(), DataSources())
    assert {run.label for run in plan.runs} == models
    assert {run.spec.seed for run in plan.runs if run.label == "hybrid"} == {0, 1, 2}
    left_out = [note for note in plan.notes if note.startswith("per atom")]
    assert bool(left_out) == (label == "per_atom")
    assert all(name in note for note in left_out for name in set(CONTROLS) - models)


def planned(
    monkeypatch: pytest.MonkeyPatch, *models: str, name: str = "tiny_per_cell", views: tuple[str, ...] = ()
) -> Plan:
    task, suite = tiny_task(n=20, name=name), Suite(name="s", tasks=(name,), models=models)
    entries = [(entry, get_model(entry.model)) for entry in suite.entries()]
    complete = plan_of_task(task, entries, suite, Selection(folds=(0,), views=views))
    monkeypatch.setattr("crystalbench.probes.probe.make_plan", lambda *_: complete)
    spec = type("Spec", (), {"name": name})()
    monkeypatch.setattr("crystalbench.probes.readout.resolve_tasks", lambda _: [spec])
    return Readout().plan(suite, Selection(), DataSources())


def test_what_the_table_does_not_have_is_left_out_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(monkeypatch, "cgcnn", "magpie_forest", views=("full", "anonymous"))
    assert {(run.label, run.view.name) for run in plan.runs} == {("cgcnn", "full")}
    assert plan.notes == [
        "the variants compared are those of cgcnn and hybrid, left out: magpie_forest",
        "variants are compared on the full crystals, left out: view anonymous",
    ]
    (note,) = planned(monkeypatch, "hybrid").notes
    assert note == "the tables need cgcnn with the mean readout, which is not among the models"


def test_tasks_and_models_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigError, match=r"end in \(_per_cell or _per_atom\), and these do not: tiny; choose other tasks"
    ):
        planned(monkeypatch, "cgcnn", name="tiny")
    with pytest.raises(
        ConfigError, match=r"nothing to run: .* left out: magpie_forest; choose cgcnn and hybrid, or --suite"
    ):
        planned(monkeypatch, "magpie_forest")
