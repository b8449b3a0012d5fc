"""Tasks in a notebook: one line, a small table, data frames."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import real_file, tiny_task

from crystalbench.data import Compositions, Crystals
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.targets import Kind
from crystalbench.tasks import list_tasks, load_task
from crystalbench.tasks.task import NEVER_TESTED


def test_the_repr_is_one_line() -> None:
    task = load_task("demo_bulk_modulus")
    assert repr(task) == (f"Task demo_bulk_modulus: {len(task):,} crystals → bulk_modulus (GPa), 5 folds, metric MAE")
    assert f"50 of {len(task):,} crystals" in repr(task.limited(50))
    assert "(7 classes)" in repr(load_task("demo_crystal_system"))
    assert "(false / true)" in repr(load_task("demo_dynamically_stable"))
    compositions = Compositions.from_formulas(["NaCl", "KCl"])
    two = dataclasses.replace(
        task, inputs=compositions, targets=np.zeros(2), folds=np.array([0, NEVER_TESTED], np.int16), rows_total=2
    )
    assert "2 compositions" in repr(two) and "1 fold," in repr(two)


def test_the_repr_of_a_matbench_task() -> None:
    task = load_task("matbench_phonons", data=real_file("matbench_phonons.json.gz"))
    assert repr(task) == "Task matbench_phonons: 1,265 crystals → last phdos peak (cm⁻¹), 5 folds, metric MAE"


def test_the_html_table_is_escaped() -> None:
    task = load_task("demo_bulk_modulus")
    target = dataclasses.replace(task.target, name="<b>bulk</b> & co")
    html = dataclasses.replace(task, name="a<script>", target=target)._repr_html_()
    assert "<script>" not in html and "<b>bulk" not in html
    texts: list[str] = []
    open_tags: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

        def handle_data(self, data: str) -> None:
            texts.append(data)

    Parser().feed(html)
    assert not open_tags
    assert {"a<script>", "<b>bulk</b> & co (GPa)", "regression", "MAE"} <= set(texts)
    assert f"{len(task):,} crystals" in texts


@pytest.mark.parametrize("kind", list(Kind))
def test_the_frame_has_a_row_for_each_crystal(kind: Kind) -> None:
    task = tiny_task(kind)
    assert isinstance(task.inputs, Crystals)
    frame = task.to_frame()
    labels = [] if kind is Kind.REGRESSION else ["label"]
    assert frame.columns.tolist() == ["id", "formula", "n_atoms", "target", *labels, "fold"]
    assert frame["id"].tolist() == task.inputs.ids.tolist()
    assert frame["formula"].tolist() == task.inputs.formulas()
    assert frame["n_atoms"].tolist() == task.inputs.atom_counts.tolist()
    assert frame["target"].tolist() == task.targets.tolist()
    assert frame["fold"].tolist() == task.folds.tolist()
    if labels:
        assert frame["label"].tolist() == [task.target.classes[int(number)] for number in task.targets]
        assert frame["label"].cat.categories.tolist() == list(task.target.classes)
    frame.loc[0, "target"] = 1e9  # the table is a copy
    assert task.targets[0] != 1e9


def test_structures_are_added_on_request() -> None:
    task = load_task("demo_bulk_modulus", limit=5)
    assert isinstance(task.inputs, Crystals)
    structures = task.to_frame(structures=True)["structure"]
    assert Crystals.from_pymatgen(structures, task.inputs.ids).digest == task.inputs.digest


def test_a_frame_of_compositions_has_no_atoms_and_no_structures(tmp_path: Path) -> None:
    table = pd.DataFrame({"f": ["NaCl", "Fe0.5Ni0.5", "H2O"] * 2, "y": range(6)})
    table.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ntable = "t.csv"\ncomposition = "f"\ntarget = "y"\nkind = "regression"\n'
    )
    task = load_task(tmp_path / "mine.toml")
    frame = task.to_frame()
    assert frame.columns.tolist() == ["id", "formula", "target", "fold"]
    assert frame["formula"].tolist()[:3] == ["Na1 Cl1", "Fe0.5 Ni0.5", "H2 O1"]
    with pytest.raises(ConfigError, match="mine has compositions only"):
        task.to_frame(structures=True)


def test_tasks_are_loaded_by_name_or_path(tmp_path: Path) -> None:
    assert len(load_task("demo_bulk_modulus", limit=20)) == 20
    with pytest.raises(UnknownNameError, match="Did you mean 'demo_bulk_modulus'"):
        load_task("demo_bulk_modulos")
    with pytest.raises(DataError, match=f"put matbench_steels.json.gz into {tmp_path}"):
        load_task("matbench_steels", data_dir=tmp_path, download=False)
    with pytest.raises(DataError, match=r"absent\.json\.gz: there is no such file"):
        load_task("matbench_steels", data=str(tmp_path / "absent.json.gz"))
    with pytest.raises(ConfigError, match="must end in"):
        load_task("matbench_steels", data=__file__)


def test_all_tasks_are_listed(tmp_path: Path) -> None:
    (tmp_path / "matbench_steels.json.gz").touch()
    tasks = list_tasks(tmp_path).set_index("name")
    assert tasks.columns.tolist() == [
        "rows", "rows_available", "unit", "kind", "property", "inputs", "description", "source",
    ]  # fmt: skip
    assert tasks.loc["matbench_steels", ["rows", "rows_available", "inputs"]].tolist() == [312, 312, "compositions"]
    assert tasks.loc["matbench_phonons", ["rows", "rows_available", "unit"]].tolist() == [1265, 0, "cm⁻¹"]
    assert tasks.loc["demo_crystal_system", "kind"] == "multiclass"
    assert (tasks["source"].str.len() > 10).all()


def test_rows_that_are_left_out_are_always_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mine.csv").write_text("formula,y\nNaCl,1\nKCl,\nCsCl,2\n")
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ntable = "mine.csv"\ntarget = "y"\nkind = "regression"\n'
        'composition = "formula"\nmissing = "drop"\n'
        "[folds]\nk = 2\n"
    )
    assert len(load_task(tmp_path / "mine.toml")) == 2
    (line,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert line.startswith("mine: dropped: 1 of 3 rows have no target (y)")
