from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import cell_from_parameters, formulas_task

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.errors import ConfigError
from crystalbench.evaluation.refinement import COLUMNS, refinement
from crystalbench.probes import run_probe
from crystalbench.probes.refinement import Refinement, counted
from crystalbench.runs.plan import Plan, Selection
from crystalbench.runs.suite import ProtocolEntry, Suite
from crystalbench.tasks import DataSources

from helpers import record, supercells  # isort: skip


def close_packed(layers: str, name: str) -> Crystals:
    places = {"A": (0.0, 0.0), "B": (1 / 3, 2 / 3), "C": (2 / 3, 1 / 3)}
    lattice = cell_from_parameters(3.2, 3.2, 3.2 * np.sqrt(2 / 3) * len(layers), 90, 90, 120)
    coords = [[*places[layer], number / len(layers)] for number, layer in enumerate(layers)]
    return Crystals.from_flat(lattice[None], coords, [12] * len(layers), [len(layers)], [name])


def test_copies_of_a_crystal_are_not_pairs_of_different_ones() -> None:
    copy = replace(supercells(close_packed("AB", "hcp"), (1, 1, 2)), ids=np.array(["copy"]))
    crystals = concatenate([close_packed("ABC", "fcc"), close_packed("AB", "hcp"), copy])
    found = counted(crystals, 12, 0.01)
    assert (found["pairs"], found["crystals"], found["identical"], found["other_space_group"]) == (2, 3, 3, 2)
    assert found["examples"] == "fcc (Mg, space group 225) and hcp (Mg, space group 194)"
    assert counted(crystals, 19, 0.01)["pairs"] == 0
    assert counted(crystals, 19, 0.01)["identical"] == 1


def test_it_needs_no_models(tmp_path: Path) -> None:
    suite = Suite(name="s", tasks=("demo_bulk_modulus",), models=("cgcnn",))
    plan = Refinement().plan(suite, Selection(models=("cgcnn",), folds=(1,)), DataSources(limit=40, download=False))
    assert [run.label for run in plan.runs] == ["dummy"]
    reason = "the question is about all crystals of a task, not about models"
    assert plan.notes == [f"{reason}; without effect: models cgcnn; folds 1"]
    probed = run_probe("crystalbench.probes.refinement:Refinement", plan, tmp_path, workers=1)
    table = probed.tables["refinement"]
    assert table["neighbours"].tolist() == [12, 24] and (table["rows"] == 40).all()
    (section,) = Refinement().report(probed.tables)
    assert section.heading.startswith("demo_bulk_modulus") and len(section.rows) == 2
    assert run_probe("crystalbench.probes.refinement:Refinement", plan, tmp_path, workers=1).computed == 0


def test_the_protocol_has_no_effect_and_this_is_said() -> None:
    suite, sources = Suite(name="s", tasks=("demo_bulk_modulus",)), DataSources(limit=40, download=False)
    changed = ProtocolEntry(ensemble=2, inner_folds=3, fold_scheme="formula", train_fractions=(0.5, 1.0))
    plan = Refinement().plan(suite.model_copy(update={"protocol": changed}), Selection(), sources)
    assert plan.notes == [
        "the question is about all crystals of a task, not about models; without effect: inner_folds 3; ensemble 2; "
        "fold_scheme formula; train_fractions 0.5, 1.0"
    ]
    plain = Refinement().plan(suite, Selection(), sources)
    assert plain.notes == [] and [run.spec for run in plan.runs] == [run.spec for run in plain.runs]


def test_tasks_without_structures_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    task = formulas_task()
    runs = [type("R", (), {"task": task, "spec": record(task="formulas").spec})()]
    monkeypatch.setattr("crystalbench.probes.refinement.make_plan", lambda *_: Plan(runs, [task], []))  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError,
        match="probe refinement: needs structures, and these tasks have compositions only: formulas; choose another",
    ):
        Refinement().plan(Suite(name="s", tasks=("formulas",)), Selection(), DataSources())


def test_the_last_answer_counts() -> None:
    facts = {"task": "t", "rows": 3, "fold_scheme": "official", "neighbours": 12, "tolerance": 0.01}
    rows = [dict.fromkeys(COLUMNS, 0) | facts | {"pairs": pairs, "key": key} for pairs, key in ((5, "b"), (4, "a"))]
    assert refinement(pd.DataFrame(rows))["pairs"].tolist() == [5]
    assert list(refinement(pd.DataFrame())) == list(COLUMNS)
