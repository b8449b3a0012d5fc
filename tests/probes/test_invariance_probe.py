"""The audit of invariances finds what a model depends on, and names the worst crystal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import tiny_task, write_formulas
from probe_models import FirstAtom, MeanNumber, Orientation, Toy, Volume

from crystalbench.data.samples import Samples
from crystalbench.errors import ConfigError, DataError
from crystalbench.probes import Fitted
from crystalbench.probes.invariance import Invariance
from crystalbench.probes.transforms import NOISE, TRANSFORMS
from crystalbench.results import Results
from crystalbench.results.answers import AnswerStore
from crystalbench.runs.execute import compute
from crystalbench.runs.plan import Run, Selection, plan_of_task
from crystalbench.runs.resources import Resources
from crystalbench.runs.suite import ModelEntry, Suite
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources, Task

NAMES = [transform.name for transform in TRANSFORMS]
MEANINGLESS = [name for name in NAMES if not name.startswith("noise")]


def run_of(model: type[Toy], task: Task) -> Run:
    suite = Suite(name="audit", tasks=(task.name,))
    entry = ModelEntry(model=f"probe_models:{model.__name__}")
    (run,) = plan_of_task(task, [(entry, model)], suite, Selection(folds=(0,))).runs
    return run


def audited(model: type[Toy], folder: Path, kind: Kind = Kind.REGRESSION) -> pd.DataFrame:
    run, probe = run_of(model, tiny_task(kind, n=24)), Invariance()
    computed = compute(run.spec, run.label, run.model, run.task, Resources())
    store = AnswerStore(folder)
    store.write(computed.record, probe.ask(Fitted(run, computed.models)))
    table = probe.evaluate(Results([computed.record]), store.read_all())["invariance"]
    assert table["transform"].tolist() == NAMES
    return table.set_index("transform")


@pytest.mark.parametrize("kind", Kind)
def test_a_model_that_depends_on_the_composition_alone_never_drifts(kind: Kind, tmp_path: Path) -> None:
    table = audited(MeanNumber, tmp_path, kind)
    assert (table["drift"] < 1e-9).all()
    assert (table["share_beyond"] == 0).all()
    assert (table["error"] > 0).all()
    assert (set(table["unit"]) == {"probability"}) == (kind is not Kind.REGRESSION)


def test_the_order_of_atoms_is_caught(tmp_path: Path) -> None:
    table = audited(FirstAtom, tmp_path)
    assert table.loc["atom_order", "drift"] > 1
    assert table.loc["atom_order", "share_beyond"] > 0.1
    worst = table.loc["atom_order"]
    assert worst["max"] == abs(worst["max_after"] - worst["max_before"])
    assert worst["max_id"].startswith("crystal-")
    assert worst["max_formula"]
    assert table.loc["atom_order", "relative_to_error"] == pytest.approx(worst["drift"] / worst["error"])
    assert (table.loc[["origin", "rotation", "reflection", "niggli_cell"], "drift"] == 0).all()
    section, _ = Invariance().report({"invariance": table.reset_index()})
    assert any("depends on what has no meaning: atom_order (" in line for line in section.lines)


def test_what_grows_with_the_cell_is_told_from_what_drifts(tmp_path: Path) -> None:
    table = audited(Volume, tmp_path)
    assert table.loc["supercell", "median_ratio"] == pytest.approx(2)
    assert table.loc["supercell", "drift_per_atom"] == pytest.approx(0, abs=1e-9)
    assert table.loc["supercell", "drift"] > 1
    section, _ = Invariance().report({"invariance": table.reset_index()})
    assert any("grows with the cell" in line and "supercell" in line for line in section.lines)


def test_orientation_is_caught_and_noise_leaves_the_cell_alone(tmp_path: Path) -> None:
    table = audited(Orientation, tmp_path)
    assert table.loc["rotation", "relative_to_error"] > 0.01
    assert (table.loc[[f"noise_{amplitude:g}" for amplitude in NOISE], "drift"] == 0).all()
    assert set(table.loc[MEANINGLESS, "expected"]) == {"unchanged"}
    assert set(table["expected"].drop(MEANINGLESS)) == {"nearly unchanged"}


def test_a_crystal_that_cannot_be_predicted_is_named_with_the_transformation() -> None:
    class Small(Volume):
        def value(self, samples: Samples) -> np.ndarray:
            if (samples.crystals.atom_counts > 3).any():
                raise DataError(f"{samples.ids[samples.crystals.atom_counts > 3][0]}: is too large")
            return super().value(samples)

    run = run_of(Small, tiny_task(n=24))  # cells of up to three atoms
    computed = compute(run.spec, run.label, run.model, run.task, Resources())
    with pytest.raises(DataError, match=r"supercell: crystal-\d+: is too large"):
        Invariance().ask(Fitted(run, computed.models))


def test_tasks_without_structures_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("id,formula,gap\n" + "".join(f"r{i},Fe{i + 1}O2,{i}\n" for i in range(20)))
    Path("mine.toml").write_text(
        'name = "mine"\ntable = "mine.csv"\nid = "id"\ncomposition = "formula"\ntarget = "gap"\nkind = "regression"\n'
    )
    sources = DataSources(limit=30, download=False)
    both = Suite(name="both", tasks=("mine.toml", "demo_bulk_modulus"), models=("dummy",))
    plan = Invariance().plan(both, Selection(folds=(0,)), sources)
    assert {run.spec.task for run in plan.runs} == {"demo_bulk_modulus"}
    assert "the probe invariance needs structures, left out: mine" in plan.notes
    with pytest.raises(ConfigError, match=r"probe invariance: needs structures, .* compositions only: mine; choose"):
        Invariance().plan(both.model_copy(update={"tasks": ("mine.toml",)}), Selection(), sources)
    with pytest.raises(ConfigError, match=r"compositions only: mine; choose .* one of .*demo_bulk_modulus"):
        Invariance().plan(both, Selection(tasks=("mine.toml",), models=("sen",)), sources)


def test_data_without_structures_of_a_task_that_has_them(tmp_path: Path) -> None:
    suite = Suite(name="s", tasks=("matbench_perovskites",), models=("magpie_forest",))
    with pytest.raises(ConfigError) as caught:
        Invariance().plan(suite, Selection(), write_formulas(tmp_path))
    problem, advice = str(caught.value).split("; choose another task")
    assert problem.endswith("compositions only: matbench_perovskites")
    assert "matbench_phonons" in advice and "perovskites," not in advice
    assert advice.endswith("or name data with structures: --data matbench_perovskites=PATH")
