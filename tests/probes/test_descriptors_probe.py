"""A planted embedding is read, and nothing else; models are trained on descriptors and compared with the floor."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from helpers import formulas_task, tiny_task, write_formulas

from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.evaluation.descriptors import CONTROL, END_TO_END, FLOOR, LINEAR, UNTRAINED
from crystalbench.models import Embeds, get_model
from crystalbench.probes import Fitted, run_probe
from crystalbench.probes.descriptors import FOREST, Descriptors
from crystalbench.results import RecordStore, Results
from crystalbench.results.answers import AnswerStore
from crystalbench.runs.execute import compute
from crystalbench.runs.plan import Plan, Selection, plan_of_task
from crystalbench.runs.resources import Resources
from crystalbench.runs.suite import ModelEntry, Suite
from crystalbench.tasks import DataSources
from crystalbench.tasks.catalogue import DEFAULT, DESCRIPTORS, OF_COMPOSITIONS
from crystalbench.tasks.described import canonical, described

PLACE = f"{Path(__file__).parent / 'probe_models.py'}"
KNOWS, ORIENTATION = f"{PLACE}:KnowsDensity", f"{PLACE}:Orientation"
PROBE = "crystalbench.probes.descriptors:Descriptors"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two descriptors, and a forest of few trees."""
    monkeypatch.setattr("crystalbench.probes.descriptors.DEFAULT", ("density", "alpha"))
    forest = FOREST.model_copy(update={"parameters": {**FOREST.parameters, "trees": 5}})
    monkeypatch.setattr("crystalbench.probes.descriptors.FOREST", forest)


def planned(*models: str, tasks: tuple[str, ...] = ("demo_bulk_modulus",), folds: tuple[int, ...] = (0, 1)) -> Plan:
    suite = Suite(name="s", tasks=tasks, models=models)
    return Descriptors().plan(suite, Selection(folds=folds), DataSources(limit=60, download=False))


def test_a_planted_descriptor_is_read_from_the_embedding_and_no_other(tmp_path: Path) -> None:
    task, probe = tiny_task(n=150), Descriptors()
    entries = [(ModelEntry(model=KNOWS), get_model(KNOWS))]
    store, records = AnswerStore(tmp_path), []
    for run in plan_of_task(task, entries, Suite(name="s", tasks=("tiny",)), Selection()).runs:
        computed = compute(run.spec, run.label, run.model, run.task, Resources())
        store.write(computed.record, probe.ask(Fitted(run, computed.models)))
        records.append(computed.record)
    table = probe.evaluate(Results(records), store.read_all())["descriptors"].set_index(["descriptor", "mode"])
    assert set(table.index.get_level_values("descriptor")) <= set(DESCRIPTORS)
    density = table.loc[("density", LINEAR)]
    assert density["r2"] > 0.99 and density["gain_low"] > 0.5
    assert table.loc[("density", UNTRAINED), "r2"] < 0.2
    for unrelated in ("alpha", "gamma", "std_bond_angle"):
        assert table.loc[(unrelated, LINEAR), "r2"] < 0.2
    control = table.xs(CONTROL, level="mode")
    assert control["r2"].max() < 0.1 and not (control["low"] > 0).any()
    section, *_ = probe.report({"descriptors": table.reset_index()[list(probe.tables["descriptors"])]})
    (line,) = [line for line in section.lines if line.startswith("KnowsDensity training adds")]
    assert "density" in line.partition(";")[0]


@pytest.mark.usefixtures("short")
def test_models_are_trained_on_descriptors_and_compared_with_the_floor(tmp_path: Path) -> None:
    plan = planned(KNOWS, ORIENTATION, "dummy")
    by_task: dict[str, set[str]] = {}
    for run in plan.runs:
        by_task.setdefault(run.spec.task.partition(":")[2] or "property", set()).add(run.label)
    trained = {"KnowsDensity", "Orientation", FLOOR}
    assert by_task == {"property": {"KnowsDensity"}, "density": trained, "alpha": trained}
    probed = run_probe(PROBE, plan, tmp_path, workers=1)
    assert probed.computed == len(plan.runs) and not probed.failures
    assert {record.spec.task for _, record in _records(tmp_path / "records")} == {"demo_bulk_modulus"}
    assert len(_records(tmp_path / "probes" / "records")) == len(plan.runs) - 2
    table = probed.tables["descriptors"].set_index(["model", "descriptor", "mode"])
    assert table.loc[("KnowsDensity", "density", END_TO_END), "r2"] == pytest.approx(1)
    assert table.loc[("Orientation", "alpha", END_TO_END), "r2"] < 0
    assert table.loc[("KnowsDensity", "density", END_TO_END), "floor"] == FLOOR
    assert ("descriptor_forest", "alpha", FLOOR) in table.index
    assert (table.xs("density", level="descriptor")["undefined"] == 0).all()
    again = run_probe(PROBE, planned(KNOWS, ORIENTATION, "dummy"), tmp_path, workers=1)
    assert again.computed == 0 and again.tables["descriptors"].equals(probed.tables["descriptors"])


def _records(folder: Path) -> list[tuple[Path, object]]:
    store = RecordStore(folder)
    return [(path, store.read(path)) for path in store.paths()]


def test_tasks_of_descriptors_are_taken_as_they_are_named() -> None:
    plan = planned(KNOWS, tasks=("demo_bulk_modulus+descriptor:beta",))
    assert {run.spec.task for run in plan.runs} == {"demo_bulk_modulus+descriptor:beta"}
    assert not any(Descriptors().asks_models_of(run) for run in plan.runs)


def test_by_default_there_is_a_short_list() -> None:
    plan = planned(ORIENTATION, folds=(0,))
    assert len(plan.runs) == 2 * len(DEFAULT)  # the model, which has no embeddings, and the forest
    assert not any("its target is a descriptor" in note for note in plan.notes)
    assert issubclass(get_model("cgcnn"), Embeds) and not issubclass(get_model("descriptor_forest"), Embeds)


@pytest.fixture
def alloys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A task file of compositions."""
    monkeypatch.chdir(tmp_path)
    Path("alloys.csv").write_text("f,y\n" + "".join(f"Fe{i}O2Ni,{i}\nFe{i}Cu3,{i}\n" for i in range(1, 21)))
    Path("alloys.toml").write_text(
        'name = "alloys"\ntable = "alloys.csv"\ncomposition = "f"\ntarget = "y"\nkind = "regression"\n'
    )
    return "alloys.toml"


def test_a_task_of_another_suite_is_named() -> None:
    suite = Suite(name="s", tasks=("demo_bulk_modulus",), models=("dummy",))
    with pytest.raises(UnknownNameError, match="task of the suite s 'demo_formation_energy'"):
        Descriptors().plan(suite, Selection(tasks=("demo_formation_energy",)), DataSources(download=False))


def test_compositions_have_descriptors_of_the_composition(alloys: str, tmp_path: Path) -> None:
    plan = planned("magpie_forest", "dummy", tasks=(alloys, "demo_bulk_modulus+descriptor:density"), folds=(0,))
    assert {(run.spec.task, run.label) for run in plan.runs} == {
        *((f"alloys+descriptor:{name}", "magpie_forest") for name in OF_COMPOSITIONS),
        *(("demo_bulk_modulus+descriptor:density", model) for model in ("magpie_forest", FLOOR)),
    }
    assert plan.notes == []
    with pytest.raises(ConfigError, match="nothing to run: cgcnn needs structures, left out: alloys"):
        planned("cgcnn", tasks=(alloys,))
    with pytest.raises(ConfigError, match="these models see nothing; choose others with --model"):
        planned("dummy", tasks=(alloys,))


def test_a_task_whose_data_has_compositions_has_descriptors_of_the_composition(tmp_path: Path) -> None:
    suite = Suite(name="s", tasks=("matbench_perovskites", "demo_bulk_modulus"), models=("magpie_forest",))
    plan = Descriptors().plan(suite, Selection(folds=(0,)), write_formulas(tmp_path))
    found = {(run.spec.task, run.label) for run in plan.runs if run.spec.task.startswith("matbench")}
    assert found == {(f"matbench_perovskites+descriptor:{name}", "magpie_forest") for name in OF_COMPOSITIONS}
    others = {run.spec.task for run in plan.runs} - {task for task, _ in found}
    assert others == {f"demo_bulk_modulus+descriptor:{name}" for name in DEFAULT}


def test_views_have_no_effect_and_this_is_said() -> None:
    suite = Suite(name="s", tasks=("demo_bulk_modulus+descriptor:density",), models=("magpie_forest",))
    selection = Selection(folds=(0,), views=("anonymous",))
    plan = Descriptors().plan(suite, selection, DataSources(limit=40, download=False))
    assert plan.notes == ["descriptors are of complete crystals; without effect: views anonymous"]
    assert {run.view.name for run in plan.runs} == {"full"}


def test_spreads_of_descriptors_are_described_for_each_fold() -> None:
    task, probe = tiny_task(n=20, folds=2), Descriptors()
    found = probe.describe(task).set_index(["descriptor", "fold"])["spread"]
    volumes = canonical(task.inputs)[1][:, list(DESCRIPTORS).index("volume")]
    train, test = task.split(1)
    assert found["volume", 1] == pytest.approx(volumes[test].std() / volumes[train].std())
    assert len(found) == 2 * len(DESCRIPTORS)
    one = probe.describe(described(task, "volume")).set_index(["descriptor", "fold"])["spread"]
    assert one.to_dict() == {("volume", fold): pytest.approx(found["volume", fold]) for fold in (0, 1)}
    of_compositions = probe.describe(formulas_task())
    assert set(of_compositions["descriptor"]) == set(OF_COMPOSITIONS)


def test_nothing_gives_an_empty_table() -> None:
    assert Descriptors().evaluate(Results([]), pd.DataFrame())["descriptors"].empty
