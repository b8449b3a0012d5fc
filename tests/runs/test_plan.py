from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import write_formulas, write_toys

from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.models import Dummy
from crystalbench.runs.command import CommandNames
from crystalbench.runs.plan import Plan, Selection, make_plan
from crystalbench.runs.suite import ModelEntry, ProtocolEntry, Suite, TuningEntry
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources
from crystalbench.tuning import digest_of

ENERGY, STABLE = "demo_formation_energy", "demo_dynamically_stable"


def plan(selection: Selection | None = None, **changes: Any) -> Plan:
    plain: dict[str, Any] = {"name": "test", "tasks": (ENERGY, STABLE), "models": ("dummy", "magpie_forest")}
    return make_plan(Suite(**{**plain, **changes}), selection or Selection(), DataSources(limit=60, download=False))


@pytest.fixture
def formulas(tmp_path: Path) -> str:
    """A task file of compositions."""
    (tmp_path / "alloys.csv").write_text("formula,gap\n" + "".join(f"Fe{i}O2,{i}\n" for i in range(1, 21)))
    file = tmp_path / "alloys.toml"
    file.write_text(
        'name = "alloys"\ntable = "alloys.csv"\ncomposition = "formula"\ntarget = "gap"\nkind = "regression"\n'
    )
    return str(file)


def test_a_plan_contains_all_runs_of_a_suite_by_task_and_fold() -> None:
    made = plan()
    expected = [(t, f, m) for t in (ENERGY, STABLE) for f in range(5) for m in ("dummy", "magpie_forest")]
    assert [(r.spec.task, r.spec.fold, r.label) for r in made.runs] == expected
    assert len({r.spec.key for r in made.runs}) == 20
    assert [task.name for task in made.tasks] == [ENERGY, STABLE]
    assert made.notes == []
    assert made.runs[0].spec.data == made.tasks[0].digest
    assert made.runs[1].spec.parameters["trees"] == 500  # defaults are part of the specification


def test_a_selection_restricts_the_plan() -> None:
    selection = Selection([STABLE], ["dummy"], [3, 1], [0, 7], ["full", "unit_density"])
    runs = plan(selection).runs
    assert [(r.spec.fold, r.spec.view, r.spec.seed) for r in runs] == [
        (fold, view, seed) for fold in (3, 1) for view in ("full", "unit_density") for seed in (0, 7)
    ]
    assert {(r.spec.task, r.label) for r in runs} == {(STABLE, "dummy")}
    assert runs[0].title == f"{STABLE} · dummy · fold 3"
    assert runs[3].title == f"{STABLE} · dummy · fold 3, view unit_density, seed 7"


def test_duplicates_in_a_selection_are_run_once() -> None:
    runs = plan(Selection([ENERGY, ENERGY], ["dummy", "dummy"], [1, 1], [0, 0], ["full", "full"])).runs
    assert len(runs) == 1


def test_the_protocol_of_the_suite_is_part_of_the_specification() -> None:
    protocol = ProtocolEntry(inner_folds=4, ensemble=2, seeds=(0, 1), folds=(2,), views=("anonymous",))
    runs = plan(protocol=protocol).runs
    assert {(r.spec.protocol.inner_folds, r.spec.protocol.ensemble) for r in runs} == {(4, 2)}
    assert {(r.spec.fold, r.spec.view) for r in runs} == {(2, "anonymous")}
    assert {r.label for r in runs} == {"dummy x2", "magpie_forest x2"}
    assert {r.spec.seed for r in runs} == {0, 1}


def test_a_model_may_have_its_own_number_of_members() -> None:
    entries = ("dummy", ModelEntry(model="magpie_forest", ensemble=3), ModelEntry(model="cgcnn", ensemble=1))
    runs = plan(models=entries, protocol=ProtocolEntry(inner_folds=4, ensemble=2, folds=(0,))).runs
    assert {(r.label, r.spec.protocol.ensemble) for r in runs} == {
        ("dummy x2", 2),
        ("magpie_forest x3", 3),
        ("cgcnn", 1),
    }
    with pytest.raises(ConfigError, match="ensemble = 3 is more than inner_folds = 2"):
        plan(models=entries, protocol=ProtocolEntry(inner_folds=2))


def test_a_model_may_have_its_own_seeds_and_views() -> None:
    entries = (
        "dummy",
        ModelEntry(model="magpie_forest", label="often", seeds=(1, 2)),
        ModelEntry(model="magpie_forest", label="hidden", views=("unit_density", "full")),
    )
    protocol = ProtocolEntry(folds=(0,), seeds=(0,), views=("full",))

    def runs(**selected: Any) -> list[tuple[str, str, int]]:
        found = plan(Selection([ENERGY], **selected), models=entries, protocol=protocol).runs
        return [(r.spec.view, r.label, r.spec.seed) for r in found]

    assert runs() == [
        ("full", "dummy", 0),
        ("full", "hidden", 0),
        ("full", "often", 1),
        ("full", "often", 2),
        ("unit_density", "hidden", 0),
    ]
    assert runs(seeds=[7]) == [("full", n, 7) for n in ("dummy", "often", "hidden")] + [("unit_density", "hidden", 7)]
    assert runs(models=["hidden"], views=["anonymous"]) == [("anonymous", "hidden", 0)]
    with pytest.raises(ConfigError, match="seed = -1"):
        plan(models=(ModelEntry(model="dummy", seeds=(-1,)),))


def test_parameters_come_from_the_suite_and_then_from_the_selection() -> None:
    entry = ModelEntry(model="magpie_forest", label="small", parameters={"trees": 10, "min_samples_leaf": 7})
    (run,) = plan(Selection([ENERGY], folds=[0], parameters={"trees": 20}), models=(entry,)).runs
    assert run.label == "small"
    assert run.spec.model == "magpie_forest"
    assert (run.spec.parameters["trees"], run.spec.parameters["min_samples_leaf"]) == (20, 7)


def test_models_that_lack_a_parameter_are_noted() -> None:
    selection = Selection(models=["dummy", "magpie_forest", "cgcnn"], parameters={"trees": 30, "epochs": 2})
    assert plan(selection).notes == [
        "trees is no hyperparameter of dummy, cgcnn, which run without it",
        "epochs is no hyperparameter of dummy, magpie_forest, which run without it",
    ]
    selection = Selection(models=["dummy", "magpie_forest"], parameters={"trees": 30})
    assert plan(selection).notes == ["trees is no hyperparameter of dummy, which runs without it"]


def test_parameters_reach_the_models_that_have_them() -> None:
    runs = plan(Selection([ENERGY], folds=[0], parameters={"trees": 20})).runs
    assert [r.spec.parameters.get("trees") for r in runs] == [None, 20]


def test_task_files_of_the_suite_are_selected_by_name_or_by_path(formulas: str) -> None:
    for name in ("alloys", formulas):
        made = plan(Selection([name]), tasks=(ENERGY, formulas))
        assert [task.name for task in made.tasks] == ["alloys"]


def test_a_model_that_the_suite_does_not_name_may_be_selected(tmp_path: Path) -> None:
    toys = write_toys(tmp_path)
    (run,) = plan(Selection([ENERGY], [f"{toys}:Shifted"], [0], parameters={"shift": 2})).runs
    assert run.label == "Shifted"
    assert run.spec.model == "toys.py:Shifted"  # no path of this machine gets into records
    assert run.spec.parameters == {"shift": 2.0}


def test_a_run_keeps_the_names_that_the_user_gave_to_model_and_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    write_toys(Path("mine"))
    Path("mine/seen.py").write_text(
        "from crystalbench.data.views import View\nbare = View('bare', 'nothing', lambda c: c)\n"
    )
    place, view = "mine/toys.py:Shifted", "mine/seen.py:bare"
    (run,) = plan(Selection([ENERGY], [place], [0], views=[view])).runs
    assert run.names == CommandNames(place, view)
    assert (run.spec.model, run.spec.view) == ("toys.py:Shifted", "bare")
    (moved,) = plan(Selection([ENERGY], [str(tmp_path / place)], [0], views=[str(tmp_path / view)])).runs
    assert moved.names == CommandNames(str(tmp_path / place), str(tmp_path / view))
    assert moved.spec.key == run.spec.key
    (plain,) = plan(Selection([ENERGY], ["dummy"], [0])).runs
    assert plain.names == CommandNames("dummy", "full")


def test_classes_of_one_name_in_two_files_are_two_models(tmp_path: Path) -> None:
    one = write_toys(tmp_path)
    other = one.with_name("others.py")
    other.write_text(one.read_text())
    runs = plan(Selection([ENERGY], [f"{one}:Shifted", f"{other}:Shifted"], [0])).runs
    assert [r.spec.model for r in runs] == ["toys.py:Shifted", "others.py:Shifted"]


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        (
            Selection(["demo_formation_enery"]),
            "Unknown task 'demo_formation_enery'. Did you mean 'demo_formation_energy'",
        ),
        (Selection(["demo_bulk_modulus"]), "Unknown task of the suite test 'demo_bulk_modulus'"),
        (Selection(models=["dumy"]), "Unknown model 'dumy'. Did you mean 'dummy'"),
        (Selection(views=["anonymos"]), "Unknown view 'anonymos'. Did you mean 'anonymous'"),
        (
            Selection(models=["magpie_forest"], parameters={"tree": 3}),
            "Unknown hyperparameter of magpie_forest 'tree'. Did you mean 'trees'",
        ),
        (Selection(parameters={"tree": 3}), "Did you mean 'trees'"),
    ],
    ids=range(6),
)
def test_unknown_names_offer_the_nearest(selection: Selection, says: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        plan(selection)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["potential", "stack"])
def test_a_place_that_does_not_exist_is_found_before_data_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crystalbench.runs.plan.missing_extra", lambda extra: "")
    wrong = {"potential": "nofile.py:Springs"}
    if name == "stack":
        wrong = {"members": 'dummy + potential_forest(potential="nofile.py:Springs")'}
    says = r"potential\w*: potential = 'nofile\.py:Springs': nofile\.py: there is no such file"
    with pytest.raises(ConfigError, match=says):
        plan(models=(ModelEntry(model=name, parameters=wrong),), tasks=("matbench_dielectric",))
    with pytest.raises(ConfigError, match=r"it must be a subclass of .*Potential that defines _evaluate"):
        plan(models=(ModelEntry(model="potential", parameters={"potential": "pathlib:Path"}),))


def test_mistakes_are_found_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match=r"demo_formation_energy: has no fold 5; its folds are \[0, 1, 2, 3, 4\]"):
        plan(Selection(folds=[5]))
    with pytest.raises(ConfigError, match="trees = 'many'; it must be an integer"):
        plan(Selection(models=["magpie_forest"], parameters={"trees": "many"}))
    with pytest.raises(ConfigError, match="bank = 'oak'; it must be one of gong28"):
        plan(Selection(models=["descriptor_forest"], parameters={"bank": "oak"}))


def test_models_that_cannot_do_a_task_are_noted(formulas: str, tmp_path: Path) -> None:
    only = tmp_path / "only.py"
    only.write_text(
        "from crystalbench.models.dummy import Dummy\n"
        "from crystalbench.data.samples import Kind\n"
        "class Ranker(Dummy):\n"
        "    kinds = frozenset({Kind.BINARY})\n"
    )
    made = plan(tasks=(formulas,), models=("cgcnn", "dummy", f"{only}:Ranker"))
    assert {r.label for r in made.runs} == {"dummy"}
    notes = "\n".join(made.notes)
    assert "cgcnn needs structures" in notes
    assert "Ranker does not predict regression targets" in notes
    assert "alloys" in notes


def test_views_do_not_apply_to_compositions(formulas: str) -> None:
    made = plan(Selection(views=["full", "anonymous"]), tasks=(formulas,), models=("dummy",))
    assert {r.spec.view for r in made.runs} == {"full"}
    assert any("anonymous" in note and "alloys" in note for note in made.notes)


def test_nothing_to_run_says_why(formulas: str) -> None:
    with pytest.raises(ConfigError, match=r"nothing to run: .*cgcnn needs structures"):
        plan(tasks=(formulas,), models=("cgcnn",))


def test_nothing_to_run_on_data_without_structures_names_the_file(tmp_path: Path) -> None:
    suite = Suite(name="s", tasks=("matbench_perovskites",), models=("cgcnn",))
    with pytest.raises(ConfigError, match=r"cgcnn needs structures, .*formulas\.parquet has compositions only"):
        make_plan(suite, Selection(), write_formulas(tmp_path))


def test_missing_data_stops_a_suite_unless_it_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYSTALBENCH_DATA", str(tmp_path))
    with pytest.raises(DataError, match="matbench_phonons"):
        plan(tasks=(ENERGY, "matbench_phonons"))
    made = plan(tasks=(ENERGY, "matbench_phonons"), optional_data=True)
    assert {r.spec.task for r in made.runs} == {ENERGY}
    assert any("matbench_phonons" in note for note in made.notes)


def test_runs_on_part_of_the_rows_have_other_keys() -> None:
    whole = make_plan(Suite(name="x", tasks=(ENERGY,), models=("dummy",)), Selection(), DataSources(download=False))
    part = plan(Selection([ENERGY], ["dummy"]))
    assert {r.spec.key for r in whole.runs}.isdisjoint(r.spec.key for r in part.runs)


# ---------------------------------------------------------------------- fold schemes


def test_other_folds_are_part_of_the_specification() -> None:
    usual = plan(Selection([ENERGY], ["dummy"])).runs
    grouped = plan(Selection([ENERGY], ["dummy"]), protocol=ProtocolEntry(fold_scheme="formula:k=3")).runs
    assert {run.spec.fold_scheme for run in usual} == {None}
    assert all("fold_scheme" not in run.spec.model_dump() for run in usual)
    assert [run.spec.fold for run in grouped] == [0, 1, 2]
    assert {run.spec.folds_text for run in grouped} == {"formula:k=3,seed=0"}
    assert grouped[0].title == f"{ENERGY} · dummy · fold 0 of formula:k=3,seed=0"
    assert {run.spec.data for run in grouped} == {grouped[0].task.digest}
    assert {run.spec.key for run in usual}.isdisjoint(run.spec.key for run in grouped)


def test_tasks_for_which_the_folds_cannot_be_made_are_left_out_with_a_note() -> None:
    tails = ProtocolEntry(fold_scheme="target_tail")
    made = plan(protocol=tails)
    assert [task.name for task in made.tasks] == [ENERGY]
    assert any("this one is binary" in note and STABLE in note for note in made.notes)
    with pytest.raises(ConfigError, match=f"folds target_tail:0.1 of {STABLE}: it needs a numerical target"):
        plan(Selection([STABLE]), protocol=tails)
    with pytest.raises(UnknownNameError, match="Did you mean 'formula'"):
        plan(protocol=ProtocolEntry(fold_scheme="formulae"))


# ---------------------------------------------------------------------- fractions of the training part


def test_each_fraction_is_a_run_and_the_complete_part_keeps_its_key() -> None:
    selection = Selection([ENERGY], ["dummy"], [0])
    (usual,) = plan(selection).runs
    made = plan(selection, protocol=ProtocolEntry(train_fractions=(0.5, 1, 0.5))).runs
    assert [run.spec.train_fraction for run in made] == [0.5, None]
    assert made[1].spec.key == usual.spec.key
    assert made[0].spec.key != usual.spec.key
    assert "train_fraction" not in usual.spec.model_dump()
    assert made[0].title == f"{ENERGY} · dummy · fold 0, 50 % of the training part"


# ---------------------------------------------------------------------- tuning


def test_models_without_a_search_space_run_without_tuning() -> None:
    made = plan(Selection([ENERGY], folds=[0]), tuning=TuningEntry(trials=3))
    dummy, forest = made.runs
    assert made.notes == ["dummy has no hyperparameters to tune; it runs without tuning"]
    assert dummy.spec == plan(Selection([ENERGY], ["dummy"], [0])).runs[0].spec
    assert forest.spec.tuning is not None
    assert forest.spec.tuning.space == digest_of(forest.space)
    untuned = plan(Selection([ENERGY], ["magpie_forest"], [0])).runs[0]
    assert forest.spec.parameters == untuned.spec.parameters
    assert forest.spec.key != untuned.spec.key
    assert forest.title == f"{ENERGY} · magpie_forest · fold 0, tuned"
    assert (untuned.spec.tuning, untuned.space) == (None, {})


def test_hyperparameters_set_by_the_user_are_not_tuned() -> None:
    entry = ModelEntry(model="magpie_boosting", parameters={"leaves": 31})
    selection = Selection([ENERGY], folds=[0], parameters={"rounds": 100})
    (run,) = plan(selection, models=(entry,), tuning=TuningEntry(trials=3)).runs
    assert set(run.space) == {"min_samples_leaf", "max_features", "learning_rate"}
    assert (run.spec.parameters["rounds"], run.spec.parameters["leaves"]) == (100, 31)
    whole = {"min_samples_leaf": 3, "max_features": 0.5, "learning_rate": 0.1}
    everything = Selection([ENERGY], folds=[0], parameters={"rounds": 100, **whole})
    made = plan(everything, models=(entry,), tuning=TuningEntry(trials=3))
    assert made.notes == ["magpie_boosting has no hyperparameters to tune; it runs without tuning"]
    assert made.runs[0].spec.tuning is None


def test_a_model_whose_extra_is_not_installed_is_left_out_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    note = "schnet needs torch_geometric, which is not installed; run: pip install 'crystalbench[pyg]', left out"
    made = plan(models=("dummy", "schnet"))
    assert {run.label for run in made.runs} == {"dummy"}
    assert made.notes == [f"{note}: {ENERGY}, {STABLE}"]
    with pytest.raises(ConfigError, match=re.escape(f"nothing to run: {note}: {ENERGY}")):
        plan(Selection([ENERGY], ["schnet"]))
    stack = ModelEntry(model="stack", parameters={"members": "dummy + schnet"})
    contains = note.replace("schnet", "stack contains schnet, which")
    assert plan(models=("dummy", stack)).notes == [f"{contains}: {ENERGY}, {STABLE}"]


def test_a_stack_is_left_out_where_a_member_does_not_predict_the_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dummy, "kinds", frozenset({Kind.REGRESSION}))
    stack = ModelEntry(model="composition_stack", parameters={"members": "dummy + magpie_forest"})
    made = plan(models=(stack,))
    assert {run.spec.task for run in made.runs} == {ENERGY}
    reason = "has the member dummy, which does not predict binary targets"
    assert made.notes == [f"composition_stack {reason}, left out: {STABLE}"]


def test_a_model_is_left_out_where_its_hyperparameters_do_not_fit_the_kind() -> None:
    made = plan(models=(ModelEntry(model="cgcnn", parameters={"readout": "sum"}),))
    assert {run.spec.task for run in made.runs} == {ENERGY}
    assert made.notes == [f"cgcnn does not predict binary targets with these hyperparameters, left out: {STABLE}"]
