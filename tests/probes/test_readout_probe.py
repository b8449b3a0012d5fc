"""The suite of the controls: which runs it has, and that the evaluation finds each of them."""

from __future__ import annotations

import pandas as pd
import pytest
from helpers import record, tiny_task

from crystalbench.models import get_model
from crystalbench.probes.readout import Readout
from crystalbench.results import Record, Results
from crystalbench.runs.plan import Selection, plan_of_task
from crystalbench.runs.suite import load_suite
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
