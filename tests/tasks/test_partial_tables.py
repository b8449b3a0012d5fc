"""Tables with some rows of an official task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from official_tables import load, table_of, write
from pymatgen.core import Structure

from crystalbench.data.crystals import Crystals
from crystalbench.errors import DataError
from crystalbench.tasks import DataSources
from crystalbench.tasks.derived.crystal_systems import CrystalSystems
from crystalbench.tasks.derived.spec import DerivedTaskSpec
from crystalbench.tasks.described import DescribedTaskSpec
from crystalbench.tasks.matbench.folds import official_folds
from crystalbench.tasks.matbench.official import OfficialTask
from crystalbench.tasks.matbench.spec import MatbenchTaskSpec

IDS = ["mb-tiny-09", "mb-tiny-02", "mb-tiny-04", "mb-tiny-01", "mb-tiny-12"]


def test_some_of_the_rows_keep_their_official_folds(
    tiny: OfficialTask, structures: list[Structure], tmp_path: Path
) -> None:
    chosen = [structures[int(name[-2:]) - 1] for name in IDS]
    task = load(tiny, write(tmp_path, table_of(chosen, list(IDS), prop_x=[9.0, 2.0, 4.0, 1.0, 12.0])))
    rows = [0, 1, 3, 8, 11]
    assert task.inputs.ids.tolist() == sorted(IDS)
    assert task.targets.tolist() == [1, 2, 4, 9, 12]
    assert isinstance(task.inputs, Crystals)
    assert task.inputs.digest == Crystals.from_pymatgen([structures[row] for row in rows]).digest
    assert np.array_equal(task.folds, official_folds(tiny.name)[rows])
    assert (task.source.verified, task.rows_total, task.is_partial) == ("ids", 12, True)


def test_the_columns_of_the_task_take_precedence_over_the_general_ones(
    tiny: OfficialTask, structures: list[Structure], tmp_path: Path
) -> None:
    table = table_of(structures[:3], ["mp-1", "mp-2", "mp-3"], target=[0.0] * 3, y_tiny=[1.0, 2.0, 3.0])
    table["id_tiny"] = ["mb-tiny-03", None, "mb-tiny-01"]
    spec, file = MatbenchTaskSpec.of(tiny), write(tmp_path, table)
    task = load(tiny, file)
    assert task.targets.tolist() == [3.0, 1.0]
    available = spec.availability(DataSources(files={tiny.name: file}))
    assert available.here and available.rows == 2
    assert "2 of 12 rows" in available.where and "1 others" in available.where


def test_compositions_are_enough_for_models_that_see_nothing_else(
    tiny: OfficialTask, structures: list[Structure], tmp_path: Path
) -> None:
    table = table_of(structures[:3], ["mb-tiny-03", "mb-tiny-05", "mb-tiny-06"], target=[3.0, 5.0, 6.0])
    crystals = load(tiny, write(tmp_path, table)).inputs
    assert isinstance(crystals, Crystals)
    formulas = [structure.composition.formula for structure in structures[:3]]
    task = load(tiny, write(tmp_path, {"id": table["id"], "target": table["target"], "formula": formulas}))
    assert not task.has_structures
    assert task.inputs.digest == crystals.compositions().digest
    assert any("compositions only" in remark for remark in task.remarks)
    with_both = load(tiny, write(tmp_path, {**table, "formula": ["Fe2 O3"] * 3}))
    assert with_both.has_structures and not with_both.remarks


def test_whether_a_table_has_structures_is_known_from_its_columns(
    tiny: OfficialTask, structures: list[Structure], tmp_path: Path
) -> None:
    spec, table = MatbenchTaskSpec.of(tiny), table_of(structures[:2], ["mb-tiny-03", "mb-tiny-05"], target=[3.0, 5.0])
    formulas = {"id": table["id"], "target": table["target"], "formula": ["Fe2 O3"] * 2}
    described = DescribedTaskSpec.of(spec, "density")
    systems = DerivedTaskSpec.of("systems", spec, CrystalSystems(2), rows_total=14)
    for columns, expected in ((table, True), ({**table, "formula": ["Fe2 O3"] * 2}, True), (formulas, False)):
        sources = DataSources(files={tiny.name: write(tmp_path, columns)}, download=False)
        assert [one.has_structures_here(sources) for one in (spec, described, systems)] == [expected] * 3
    with pytest.raises(DataError, match=f"systems: .* the data of {tiny.name} has compositions only; name a file"):
        systems.load(sources)
    missing = DataSources(files={tiny.name: tmp_path / "missing.parquet"}, download=False)
    assert spec.has_structures_here(missing)  # so that the error is about the data
    (tmp_path / "broken.parquet").write_text("no table")
    assert spec.has_structures_here(DataSources(files={tiny.name: tmp_path / "broken.parquet"}, download=False))


def test_rows_without_an_official_id_are_counted(
    tiny: OfficialTask, structures: list[Structure], tmp_path: Path
) -> None:
    task = load(tiny, write(tmp_path, table_of(structures[:3], ["mb-tiny-03", None, None], target=[1.0, 2.0, 3.0])))
    assert any("2 of 3 rows of part.parquet have no id" in remark for remark in task.remarks)


@pytest.mark.parametrize(
    ("ids", "targets", "message"),
    [
        (["mb-tiny-03", "mb-tiny-03"], [1.0, 2.0], "mb-tiny-03.*in rows 0, 1"),
        (["mb-tiny-03", "mp-7"], [1.0, 2.0], "'mp-7'.*mb-tiny-01 to mb-tiny-12"),
        (["mb-tiny-03", "mb-tiny-13"], [1.0, 2.0], "'mb-tiny-13'"),
        ([None, None], [1.0, 2.0], "no row has an id"),
        (["mb-tiny-03", "mb-tiny-05"], [1.0, None], "mb-tiny-05: its.*missing"),
        (["mb-tiny-03", "mb-tiny-05"], [1.0, float("nan")], "mb-tiny-05: its.*missing"),
    ],
)
def test_tables_with_mistakes_are_refused(
    tiny: OfficialTask, structures: list[Structure], tmp_path: Path, ids: list[str | None], targets: Any, message: str
) -> None:
    table = table_of(structures[:2], ids, target=targets)
    table["id"] = pa.array(ids, pa.string())
    with pytest.raises(DataError, match=r"part\.parquet.*" + message):
        load(tiny, write(tmp_path, table))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("lattice", [1.0] * 8, "9 numbers"),
        ("frac_coords", [0.0] * 5, "3 numbers for each"),
        ("frac_coords", [0.0] * 5 + [float("nan")], "not finite"),
        ("frac_coords", [0.0] * 5 + [None], "not finite"),
        ("frac_coords", None, "has no frac_coords"),
        ("numbers", [0, 8], "atomic number"),
        ("numbers", [119, 8], "atomic number"),
        ("lattice", [0.0] * 9, "volume"),
    ],
)
def test_structures_with_mistakes_are_refused_with_their_id(
    tiny: OfficialTask, structures: list[Structure], tmp_path: Path, column: str, value: Any, message: str
) -> None:
    table = table_of(structures[:2], ["mb-tiny-03", "mb-tiny-05"], target=[1.0, 2.0])
    table[column][1] = value
    with pytest.raises(DataError, match=r"part\.parquet.*mb-tiny-05.*" + message):
        load(tiny, write(tmp_path, table))


def test_all_structures_with_mistakes_are_listed_at_once(
    tiny: OfficialTask, structures: list[Structure], tmp_path: Path
) -> None:
    table = table_of(structures[:3], ["mb-tiny-03", "mb-tiny-05", "mb-tiny-06"], target=[1.0, 2.0, 3.0])
    table["lattice"][0] = [1.0] * 8
    table["frac_coords"][2] = [0.0] * len(table["frac_coords"][2])  # all atoms at one place
    with pytest.raises(DataError, match=r"mb-tiny-03: its lattice must have 9 numbers, mb-tiny-06: .* 0 Å apart"):
        load(tiny, write(tmp_path, table))


def test_missing_columns_are_named(tiny: OfficialTask, structures: list[Structure], tmp_path: Path) -> None:
    table = table_of(structures[:1], ["mb-tiny-03"], target=[1.0])
    for column, what in (("id", "official ids"), ("target", "targets"), ("numbers", "structures")):
        rest = {name: values for name, values in table.items() if name != column}
        with pytest.raises(DataError, match=f"no column with the {what}"):
            load(tiny, write(tmp_path, rest))
    del table["lattice"]  # a structure in part is no composition
    with pytest.raises(DataError, match="no column with the structures"):
        load(tiny, write(tmp_path, {**table, "formula": ["Fe2 O3"]}))


def test_a_broken_table_is_refused(tiny: OfficialTask, tmp_path: Path) -> None:
    file = tmp_path / "part.parquet"
    file.write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        load(tiny, file)
    assert not MatbenchTaskSpec.of(tiny).availability(DataSources(files={tiny.name: file})).here


def test_a_table_of_compositions(tiny_formulas: OfficialTask, tmp_path: Path) -> None:
    table = {"id": ["mb-formulas-02", "mb-formulas-01"], "formula": ["NaCl", "Fe0.5Ni0.5"], "target": [1.0, 2.0]}
    task = load(tiny_formulas, write(tmp_path, table))
    assert task.inputs.ids.tolist() == ["mb-formulas-01", "mb-formulas-02"]
    assert task.inputs.amounts.tolist() == [0.5, 0.5, 1.0, 1.0]  # type: ignore[union-attr]
    table["formula"][1] = "Na(Cl"
    with pytest.raises(DataError, match=r"mb-formulas-01.*not a chemical formula"):
        load(tiny_formulas, write(tmp_path, table))
