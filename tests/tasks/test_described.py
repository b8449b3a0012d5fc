"""Descriptors of the crystals of a task as targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import formulas_task, supercells, tiny_task

from crystalbench.data.crystals import Crystals
from crystalbench.data.views import primitive
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.representations import DescriptorBank, MagpieFeatures
from crystalbench.results.spec import RunSpec
from crystalbench.runs.command import repeat_command
from crystalbench.runs.suite import suite_of_tasks
from crystalbench.tasks import DataSources, get_task_spec
from crystalbench.tasks.catalogue import CELL, DEFAULT, DESCRIPTORS, KINDS, OF_COMPOSITIONS, VOLUME
from crystalbench.tasks.described import canonical, described
from crystalbench.tasks.suffixes import divided, is_made_of_another
from crystalbench.testing import check_task
from crystalbench.testing.crystals import known_structures


def test_the_catalogue_has_the_28_of_the_paper_under_plain_names() -> None:
    labels = {descriptor.label for descriptor in DESCRIPTORS.values()}
    assert set(DescriptorBank("gong28").labels) <= labels
    assert labels - set(DescriptorBank("gong28").labels) <= {*MagpieFeatures().labels, VOLUME}
    assert all(name.replace("_", "").isalnum() for name in DESCRIPTORS)
    assert {DESCRIPTORS[name].kind for name in DEFAULT} == set(KINDS)
    assert {"a", "b", "c", "volume", "density", "atom_count", "space_group", "mean_coordination"} <= set(DEFAULT)


@pytest.mark.parametrize("name", ["c", "volume", "atom_count", "complexity_per_cell"])
def test_descriptors_of_the_cell_are_those_of_the_canonical_one(name: str) -> None:
    assert DESCRIPTORS[name].kind == CELL
    task = replace(tiny_task(n=4, folds=2), inputs=(crystals := known_structures()[:4]), targets=np.arange(4.0))
    larger = replace(task, inputs=supercells(crystals, (1, 2, 1)))
    assert described(larger, name).targets == pytest.approx(described(task, name).targets, rel=1e-6)


def test_inputs_are_the_cells_that_the_target_is_of() -> None:
    task = tiny_task(n=12)
    made = described(task, "volume")
    assert isinstance(made.inputs, Crystals)
    assert made.inputs.digest == primitive(task.inputs).digest  # type: ignore[arg-type]
    assert np.array_equal(made.targets, made.inputs.volumes)
    assert np.array_equal(made.folds, task.folds)
    assert (made.name, made.target.name, made.target.unit) == ("tiny+descriptor:volume", "volume", "Å³")
    assert described(task, "atom_count").inputs is canonical(task.inputs)[0]  # type: ignore[arg-type]


def test_crystals_without_the_descriptor_are_left_out_with_a_remark() -> None:
    task = tiny_task(n=6, folds=2)
    crystals: Crystals = task.inputs  # type: ignore[assignment]
    numbers = crystals.numbers.copy()
    numbers[:] = 26
    numbers[crystals.offsets[2] : crystals.offsets[3]] = 10  # neon has no atomic radius
    task = replace(task, inputs=replace(crystals, numbers=numbers))
    made = described(task, "packing_fraction")
    assert len(made) == 5 and not made.is_partial
    assert f"1 of 6 crystals have no packing_fraction and are left out: {crystals.ids[2]}" in made.remarks_line
    assert np.array_equal(made.folds, np.delete(task.folds, 2))
    with pytest.raises(DataError, match="for none of its 1 crystals"):
        described(
            replace(task, inputs=task.inputs[[2]], targets=np.zeros(1), folds=task.folds[[2]]), "packing_fraction"
        )


def test_it_is_found_by_its_name() -> None:
    name = "demo_bulk_modulus+descriptor:density"
    assert len(check_task(name).passed) > 5
    task = get_task_spec(name).load(DataSources(limit=40, download=False))
    assert len(task) == 40 and task.name == name
    assert suite_of_tasks([name]).tasks == (name,)
    control = get_task_spec(f"{name}+shuffled_labels").load(DataSources(limit=40, download=False))
    assert sorted(control.targets) == sorted(task.targets) and control.name == f"{name}+shuffled_labels"
    with pytest.raises(UnknownNameError, match=r"densty.*density"):
        get_task_spec("demo_bulk_modulus+descriptor:densty")
    with pytest.raises(UnknownNameError, match="nonsense"):
        get_task_spec("nonsense+descriptor:a")
    for wrong in ("+shuffled_labels+descriptor:a", "+descriptor:a+descriptor:b", "+shuffled_labels+shuffled_labels"):
        with pytest.raises(ConfigError, match=r"write demo_bulk_modulus\+descriptor:NAME\+shuffled_labels"):
            get_task_spec(f"demo_bulk_modulus{wrong}")


def test_compositions_have_the_descriptors_that_need_no_structure() -> None:
    task = formulas_task()
    made = described(task, "mean_atomic_number")
    numbers, compositions = MagpieFeatures().labels.index("MagpieData mean Number"), task.inputs
    assert np.array_equal(made.targets, MagpieFeatures()(compositions).values["features"][:, numbers])
    assert made.inputs is compositions and np.array_equal(made.folds, task.folds)
    assert made.remarks_line.endswith("a descriptor of the composition, MagpieData mean Number")
    with pytest.raises(ConfigError, match=r"a needs structures, and formulas has compositions only; .* are number_of"):
        described(task, "a")
    crystals = known_structures()[:4]
    structured = replace(tiny_task(n=4, folds=2), inputs=crystals, targets=np.arange(4.0))
    for name in OF_COMPOSITIONS:
        same = replace(structured, inputs=crystals.compositions())
        assert described(same, name).targets == pytest.approx(described(structured, name).targets)


def test_equal_crystals_of_two_tasks_keep_their_ids() -> None:
    task = tiny_task(n=6, folds=2)
    renamed = replace(task, inputs=replace(task.inputs, ids=np.array([f"other{i}" for i in range(6)])))
    assert described(task, "a").inputs.ids.tolist() == task.inputs.ids.tolist()
    assert described(renamed, "a").inputs.ids.tolist() == renamed.inputs.ids.tolist()


def test_the_command_of_a_record_names_it() -> None:
    task = tiny_task()
    task = replace(task, source=replace(task.source, task_file="tiny.toml"))
    made = described(task, "a")
    spec = RunSpec(task=made.name, data=made.digest, fold=0, model="dummy", model_version=1, parameters={})
    assert "--task tiny.toml+descriptor:a " in repeat_command(spec, made)


def test_a_task_file_has_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(
        'name = "mine"\ntable = "mine.csv"\nid = "id"\ncomposition = "f"\ntarget = "y"\nkind = "regression"\n'
    )
    (name,) = suite_of_tasks(["mine.toml+descriptor:number_of_elements"]).tasks
    spec = get_task_spec(name)
    assert spec.name == "mine+descriptor:number_of_elements"
    assert spec.description == "0-norm of the compositions of mine"
    with pytest.raises(ConfigError, match=r"mine\+descriptor:a: a needs structures, and mine has compositions only"):
        get_task_spec("mine.toml+descriptor:a")  # before data is read


def test_names_are_divided() -> None:
    assert divided("t+descriptor:a+shuffled_labels") == ("t", "+descriptor:a+shuffled_labels")
    assert divided("t+u.toml+shuffled_labels") == ("t+u.toml", "+shuffled_labels")
    assert divided("t") == ("t", "")
    assert is_made_of_another("t+descriptor:a") and not is_made_of_another("t+u")
