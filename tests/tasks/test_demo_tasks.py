from __future__ import annotations

import importlib.metadata
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources, TaskSpec, demo, get_task_spec, registry, require_data, resolve_tasks
from crystalbench.tasks import task_specs as all_specs
from crystalbench.tasks.demo import CRYSTAL_SYSTEMS, TASKS
from crystalbench.tasks.matbench import spec as matbench_module

SPECS = {spec.name: spec for spec in TASKS}


@pytest.mark.parametrize("spec", TASKS, ids=lambda spec: spec.name)
def test_demo_tasks_load_without_a_network_and_are_complete(spec: TaskSpec) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = spec.load(DataSources(download=False))
    assert len(task) == task.rows_total == spec.rows_total > 200
    assert task.source.verified == "package"
    assert task.fold_numbers == [0, 1, 2, 3, 4]
    sizes = np.bincount(task.folds)
    assert sizes.max() - sizes.min() <= 1
    assert task.target == spec.target
    assert spec.availability(DataSources()).here
    assert spec.load(DataSources()).digest == task.digest
    assert len(spec.load(DataSources(limit=50))) == 50


def test_thermodynamic_tasks_are_of_the_stable_alloys_and_consistent() -> None:
    stable = SPECS["demo_dynamically_stable"].load(DataSources())
    for name in ("heat_capacity", "internal_energy"):
        atom = SPECS[f"demo_{name}_per_atom"].load(DataSources())
        cell = SPECS[f"demo_{name}_per_cell"].load(DataSources())
        assert atom.inputs.ids.tolist() == cell.inputs.ids.tolist()
        assert atom.inputs.ids.tolist() == stable.inputs.ids[stable.targets == 1].tolist()
        assert np.array_equal(atom.folds, cell.folds)
        np.testing.assert_allclose(cell.targets, atom.targets * atom.inputs.atom_counts, rtol=1e-6)  # type: ignore[union-attr]


def test_every_class_occurs() -> None:
    systems = SPECS["demo_crystal_system"].load(DataSources())
    assert systems.target.kind is Kind.MULTICLASS
    assert np.array_equal(np.unique(systems.targets), np.arange(len(CRYSTAL_SYSTEMS)))
    assert set(SPECS["demo_dynamically_stable"].load(DataSources()).targets) == {0.0, 1.0}


def test_a_missing_data_file_is_named() -> None:
    with pytest.raises(DataError, match=r"absent\.parquet: is missing from this installation"):
        demo._content("absent.parquet")


# ---------------------------------------------------------------------- the registry


class Entry(SimpleNamespace):
    def load(self) -> object:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def register(monkeypatch: pytest.MonkeyPatch, *found: object) -> None:
    entries = [Entry(name=f"e{i}", value=f"package{i}:TASKS", found=tasks) for i, tasks in enumerate(found)]
    others = importlib.metadata.entry_points  # other packages look for theirs, and remember what they find

    def entry_points(group: str) -> object:
        return entries if group == registry.ENTRY_POINTS else others(group=group)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    registry._registered.cache_clear()


@pytest.fixture(autouse=True)
def builtin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    request.addfinalizer(registry._registered.cache_clear)
    register(monkeypatch, matbench_module.TASKS, TASKS)


def test_tasks_are_found_by_name_pattern_and_path(tmp_path: Path) -> None:
    assert len(all_specs()) == 13 + len(TASKS)
    assert get_task_spec("matbench_phonons").rows_total == 1265
    names = [spec.name for spec in resolve_tasks(["demo_b*", "matbench_mp_*", "demo_bulk_modulus"])]
    assert names == ["demo_bulk_modulus", "matbench_mp_gap", "matbench_mp_is_metal", "matbench_mp_e_form"]
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\ntable = "t.csv"\ncomposition = "f"\ntarget = "y"\nkind = "regression"\n')
    assert [spec.name for spec in resolve_tasks([str(file), "demo_b*"])] == ["mine", "demo_bulk_modulus"]
    (tmp_path / "other.toml").write_text(file.read_text().replace("t.csv", "u.csv"))
    with pytest.raises(ConfigError, match="named 'mine'"):
        resolve_tasks([str(file), str(tmp_path / "other.toml")])


def test_unknown_names_and_patterns_suggest_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'matbench_phonons'"):
        get_task_spec("matbench_phonon")
    with pytest.raises(UnknownNameError, match="matbanch_"):
        resolve_tasks(["matbanch_*"])


@pytest.mark.parametrize("broken", [ImportError("no module named x"), ["not a spec"], 5])
def test_a_broken_entry_point_is_a_warning(broken: object, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, TASKS, broken)
    with pytest.warns(RuntimeWarning, match="package1:TASKS"):
        assert set(all_specs()) == set(SPECS)


def test_duplicate_names_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, TASKS, TASKS[:1])
    with pytest.raises(ConfigError, match=r"demo_crystal_system.*package0.*package1"):
        all_specs()


def test_all_missing_data_is_listed_before_any_run(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\ntable = "t.csv"\ncomposition = "f"\ntarget = "y"\nkind = "regression"\n')
    specs = resolve_tasks(["matbench_phonons", "matbench_steels", "demo_bulk_modulus", str(file)])
    with pytest.raises(DataError, match=r"(?s)matbench_phonons:.*matbench_steels:.*mine: there is no table"):
        require_data(specs, DataSources(tmp_path, download=False))
    require_data(resolve_tasks(["demo_*"]), DataSources(tmp_path, download=False))
