"""Inputs that other programs read wrongly in silence: each is read as it is meant, or refused with id and reason."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import known_structures
from pymatgen.core import Lattice, Structure

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals
from crystalbench.data.distances import least_distances
from crystalbench.errors import DataError
from crystalbench.tasks import DataSources, TableTaskSpec, Task
from crystalbench.tasks.cif import structure_of_cif

CELL = {"a": "4", "b": "4", "c": "4", "alpha": "90", "beta": "90", "gamma": "90"}


def cif(
    sites: list[str],
    columns: str = "label type_symbol fract_x fract_y fract_z",
    formula: str | None = None,
    group: str = "_symmetry_space_group_name_H-M 'P 1'",
    name: str = "x",
    **cell: str | None,
) -> str:
    lines = [f"data_{name}", group]
    lines += [f"_chemical_formula_sum '{formula}'"] if formula else []
    for key, value in {**CELL, **cell}.items():
        if value is not None:
            lines.append(f"_cell_{'length' if len(key) == 1 else 'angle'}_{key} {value}")
    lines += ["loop_", *(f"_atom_site_{column}" for column in columns.split()), *sites]
    return "\n".join(lines) + "\n"


SALT = ["Na1 Na 0 0 0", "Cl1 Cl 0.5 0.5 0.5"]
WITH_OCCUPANCY = "label type_symbol fract_x fract_y fract_z occupancy"
REFUSED = {
    "hydroxide": (cif(["Ca1 Ca 0 0 0", "OH1 OH 0.4 0 0"], formula="Ca O2"), "site OH1 of type 'OH'"),
    "water": (cif(["Ca1 Ca 0 0 0", "W1 Wat 0.4 0 0"]), "site W1 of type 'Wat'"),
    "vacancy": (cif(["Ca1 Ca 0 0 0", "V1 Vac 0.4 0 0"]), "site V1 of type 'Vac'"),
    "ammonium": (cif(["N1 NH4 0 0 0", "Cl1 Cl 0.5 0.5 0.5"]), "site N1 of type 'NH4'"),
    "missing hydrogen": (cif(["Ca1 Ca 0 0 0", "O1 O 0.5 0 0"], formula="Ca O2 H2"), "says Ca O2 H2.*give Ca1 O1"),
    "other formula": (cif(SALT, formula="Na2 Cl"), "says Na2 Cl"),
    "two blocks": (cif(SALT, name="low") + cif(SALT, name="high"), r"2 data blocks with structures \(low, high\)"),
    "occupancy above one": (
        cif(["Mg1 Mg 0 0 0 1.001", "O1 O 0.5 0.5 0.5 1"], WITH_OCCUPANCY),
        "Mg1 with occupancy 1.001",
    ),
    "occupancy of zero": (cif(["Mg1 Mg 0 0 0 0", "O1 O 0.5 0.5 0.5 1"], WITH_OCCUPANCY), "Mg1 with occupancy 0"),
    "no coordinate": (cif(["Mg1 Mg 0 0 0", "H1 H . . ."]), "site H1 without coordinates"),
    "unknown coordinate": (cif(["Mg1 Mg 0 0 0", "H1 H 0.1 ? 0"]), "site H1 without coordinates"),
    "no angle": (cif(SALT, gamma=None), "no _cell_angle_gamma"),
    "length of zero": (cif(SALT, b="0"), "_cell_length_b '0'"),
    "unknown group": (
        cif(SALT, group="_symmetry_space_group_name_H-M 'P 9 9'"),
        "space group 'P 9 9', which is unknown",
    ),
    "no sites": ("data_x\n_cell_length_a 4\n", "no atom sites"),
    "empty": ("", "is empty"),
    "no CIF": ("hello", "no atom sites|cannot be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_doubtful_cifs_are_refused_with_the_reason(name: str) -> None:
    text, reason = REFUSED[name]
    with pytest.raises(DataError, match=reason):
        structure_of_cif(text)


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        (cif(["Mg1 Mg 0 0 0 .", "O1 O 0.5 0.5 0.5 1"], WITH_OCCUPANCY, "Mg O"), "Mg1 O1"),  # 1 is the default
        (cif(["Fe1 Fe3+ 0 0 0", "O1 O2- 0.5 0.5 0.5"], formula="Fe O"), "Fe1 O1"),
        (cif(["Na1 0 0 0", "Cl1 0.5 0.5 0.5"], "label fract_x fract_y fract_z", "Na Cl"), "Na1 Cl1"),
        (cif(["Li1 Li 0.000(2) 0 0", "H1 D 0.5 0.5 0.5"], formula="Li D"), "Li1 H1"),
        (cif(SALT, group=""), "Na1 Cl1"),
    ],
    ids=["occupancy dot", "charges", "labels only", "deuterium", "no group"],
)
def test_what_is_clear_is_read(text: str, formula: str) -> None:
    assert structure_of_cif(text).composition.formula == formula


def test_cifs_written_by_pymatgen_are_read_as_the_same_structures() -> None:
    crystals = known_structures()
    for i in range(len(crystals)):
        structure = crystals.structure(i)
        for options in ({}, {"symprec": 0.1}):
            read = structure_of_cif(structure.to(fmt="cif", **options))
            assert read.composition.reduced_formula == structure.composition.reduced_formula


# ---------------------------------------------------------------------- tables


def task_of(folder: Path, rows: dict[str, list[Any]], **config: Any) -> Task:
    """A task of a JSON table."""
    (folder / "table.json").write_text(json.dumps(rows))
    plain = {"name": '"mine"', "table": '"table.json"', "id": '"id"', "target": '"y"', "kind": '"regression"'}
    lines = [f"{key} = {value}" for key, value in {**plain, **config}.items()]
    (folder / "mine.toml").write_text("\n".join(lines) + "\n")
    return TableTaskSpec.from_toml(folder / "mine.toml").load(DataSources(download=False))


def structures(n: int = 6) -> list[dict[str, Any]]:
    return [
        Structure(Lattice.cubic(4 + 0.1 * i), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]).as_dict() for i in range(n)
    ]


def text_coordinates(entry: dict[str, Any]) -> None:
    entry["sites"][1]["abc"] = ["0.5", "0.5", "0.5"]


def null_lattice(entry: dict[str, Any]) -> None:
    entry["lattice"]["matrix"][1][2] = None


def two_rows(entry: dict[str, Any]) -> None:
    del entry["lattice"]["matrix"][2]


def text_occupancy(entry: dict[str, Any]) -> None:
    entry["sites"][0]["species"][0]["occu"] = "1"


def no_sites(entry: dict[str, Any]) -> None:
    entry["sites"] = []


def layer(entry: dict[str, Any]) -> None:
    entry["lattice"]["pbc"] = [True, True, False]


def one_place(entry: dict[str, Any]) -> None:
    entry["sites"][1] |= {"abc": [0.0, 0.0, 1.0], "xyz": None}


def close(entry: dict[str, Any]) -> None:
    entry["sites"][1] |= {"abc": [0.05, 0.0, 0.0], "xyz": None}


def two_places(entry: dict[str, Any]) -> None:
    entry["sites"][1]["abc"] = [0.25, 0.25, 0.25]


def other_length(entry: dict[str, Any]) -> None:
    entry["lattice"]["b"] *= 1.01


BROKEN: dict[Callable[[dict[str, Any]], None], str] = {
    text_coordinates: "abc must contain numbers",
    null_lattice: "lattice matrix",
    two_rows: "3 × 3",
    text_occupancy: "occupancy '1'",
    no_sites: "no atoms",
    layer: "periodic in 2 of three directions",
    one_place: "0 Å apart",
    close: "0.2.* Å apart",
    two_places: "contradicts itself: the xyz and the abc of site 1",
    other_length: "contradicts itself: the lattice has b = ",
}


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: change.__name__)
def test_broken_json_structures_are_refused_by_id(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    entries = structures()
    change(entries[3])
    rows = {"id": [f"r{i}" for i in range(6)], "s": entries, "y": list(range(6))}
    with pytest.raises(DataError, match=f"(?s)table.json.*1 of 6 rows are invalid.*r3: .*{BROKEN[change]}"):
        task_of(tmp_path, rows, structure='{ json = "s" }')


def test_all_invalid_rows_are_listed_at_once_and_dropped_only_on_request(tmp_path: Path) -> None:
    entries = structures(30)
    for row, change in {2: layer, 7: close, 11: null_lattice}.items():
        change(entries[row])
    rows = {"id": [f"r{i}" for i in range(30)], "s": entries, "y": list(range(30))}
    with pytest.raises(DataError, match=r'(?s)3 of 30 rows.*r2: .*r7: .*r11: .*invalid = "drop"'):
        task_of(tmp_path, rows, structure='{ json = "s" }')
    for _ in range(2):  # decoded, and from the store
        task = task_of(tmp_path, rows, structure='{ json = "s" }', invalid='"drop"')
        assert len(task) == 27
        assert {"r2", "r7", "r11"}.isdisjoint(task.inputs.ids)
        assert np.array_equal(task.targets, [i for i in range(30) if i not in (2, 7, 11)])
        assert [remark.split(": ")[1] for remark in task.remarks] == ["r2", "r7", "r11"]


def test_coordinates_with_too_few_digits_are_found_by_the_distances(tmp_path: Path) -> None:
    thirds = cif(
        ["Zn1 Zn 0.333 0.667 0.0", "Se1 Se 0.333 0.667 0.375"],
        formula="Zn2 Se2",
        group="_symmetry_space_group_name_H-M 'P 63 m c'",
        c="6.5",
        gamma="120",
    )
    good = thirds.replace("0.333", "0.33333").replace("0.667", "0.66667")
    assert len(structure_of_cif(good)) == 4
    rows = {"id": ["good", "bad"], "cif": [good, thirds], "y": [1, 2]}
    with pytest.raises(DataError, match=r"(?s)bad: .*0\.00.* Å apart"):
        task_of(tmp_path, rows, structure='{ cif = "cif" }')


def test_least_distances_count_images_and_nothing_else() -> None:
    lattices = np.array([np.eye(3) * 4, np.diag([0.4, 4, 4]), np.eye(3) * 4])
    coords = [[0, 0, 0], [0.5, 0.5, 0.5], [0, 0, 0], [0.1, 0, 0], [0.99, 0, 0]]
    crystals = Crystals.from_flat(lattices, coords, [6] * 5, [2, 1, 2])
    assert least_distances(crystals) == pytest.approx([np.inf, 0.4, 0.44])
    assert np.isinf(least_distances(known_structures())).all()


# ---------------------------------------------------------------------- formulas, labels, groups, columns


@pytest.mark.parametrize(
    ("formula", "same"),
    [
        ("CuSO4.5H2O", "CuSO9H10"),
        ("CuSO4·5H2O", "CuSO9H10"),
        ("MgCl2.6H2O", "MgCl2O6H12"),
        ("CaSO4·0.5H2O", "CaSO4.5H"),
        ("Na2CO3 · 10H2O", "Na2CO13H20"),
        ("D2O", "H2O"),
        ("Fe0.62Ni0.38", "Fe0.62Ni0.38"),
        ("[Co(NH3)6]Cl3", "CoN6H18Cl3"),
        ("C60", "C60"),
    ],
)
def test_formulas_are_read_as_they_are_meant(formula: str, same: str) -> None:
    one, other = Compositions.from_formulas([formula]), Compositions.from_formulas([same])
    assert np.array_equal(one.numbers, other.numbers)
    assert one.amounts == pytest.approx(other.amounts)


@pytest.mark.parametrize("formula", ["Fe(II)O", "Cu(I)2O", "Fe0O", "Fe0.0O", "X2O", "Fe3+2O3", "", "·5H2O", "Wat"])
def test_ambiguous_formulas_are_refused(formula: str) -> None:
    with pytest.raises(DataError, match=r"r0: .*is not a chemical formula"):
        Compositions.from_formulas([formula], ["r0"])


FORMULAS = ["Fe0.62Ni0.38", "Fe62Ni38", "Fe31Ni19", "Fe6.2Ni3.8", "CoNi", "Co0.5Ni0.5", "TiAl2", "Ti0.3333Al0.6667"]
GROUPS = [0, 0, 0, 0, 1, 1, 2, 2]


def test_equal_formulas_are_one_group_however_they_are_written(tmp_path: Path) -> None:
    others = [f"Na{i}Cl" for i in range(1, 13)]
    rows = {"id": [f"r{i}" for i in range(20)], "f": [*FORMULAS, *others], "y": list(range(20))}
    task = task_of(tmp_path, rows, composition='"f"', folds='{ k = 4, group = "formula" }')
    for group in set(GROUPS):
        folds = {int(task.folds[i]) for i in range(len(GROUPS)) if GROUPS[i] == group}
        assert len(folds) == 1
    assert len(set(task.folds.tolist())) == 4


@pytest.mark.parametrize("missing", ["NA", "nan", " NaN ", "None", "null", "n/a", ""])
def test_missing_labels_are_no_class(tmp_path: Path, missing: str) -> None:
    rows = {"id": list("abcdefgh"), "f": ["NaCl"] * 8, "y": ["p", " q", "p ", missing, "q", "p", "q", "p"]}
    config = {"composition": '"f"', "kind": '"binary"', "folds": "{ k = 2 }"}
    with pytest.raises(DataError, match="1 of 8 rows have no target"):
        task_of(tmp_path, rows, **config)
    task = task_of(tmp_path, rows, **config, missing='"drop"')
    assert task.target.classes == ("p", "q")
    assert len(task) == 7


def test_groups_are_stripped_and_must_not_be_missing(tmp_path: Path) -> None:
    rows: dict[str, list[Any]] = {
        "id": list("abcdef"),
        "f": ["NaCl"] * 6,
        "y": list(range(6)),
        "g": ["u", "u ", *"vwxy"],
    }
    config = {"composition": '"f"', "folds": '{ k = 2, group = "column:g" }'}
    task = task_of(tmp_path, rows, **config)
    assert task.folds[0] == task.folds[1]
    with pytest.raises(DataError, match="group"):
        task_of(tmp_path, {**rows, "g": ["u", "NA", *"vwxy"]}, **config)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_a_table_with_a_column_twice_is_refused(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame([["a", "NaCl", 1, 2]], columns=["id", "f", "y", "y"])
    file = tmp_path / f"table{suffix}"
    if suffix == ".csv":
        frame.to_csv(file, index=False)
    elif suffix == ".json":
        file.write_text(json.dumps({"columns": list(frame.columns), "data": frame.to_numpy().tolist()}))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        arrays = [pa.array(frame.iloc[:, i].tolist()) for i in range(4)]
        pq.write_table(pa.Table.from_arrays(arrays, names=list(frame.columns)), file)
    (tmp_path / "mine.toml").write_text(
        f'name = "mine"\ntable = "{file.name}"\nid = "id"\ncomposition = "f"\ntarget = "y"\nkind = "regression"\n'
    )
    with pytest.raises(DataError, match=f"(?s)table{suffix}.*several columns are named 'y'"):
        TableTaskSpec.from_toml(tmp_path / "mine.toml").load(DataSources(download=False))


def test_structures_that_are_not_periodic_everywhere_are_refused() -> None:
    structure = Structure(Lattice(np.eye(3) * 4, pbc=(True, True, False)), ["S"], [[0, 0, 0]])
    with pytest.raises(DataError, match=r"mos2: is periodic in 2 of three directions \(pbc = True, True, False\)"):
        Crystals.from_pymatgen([structure], ["mos2"])
    whole = copy.deepcopy(structure.as_dict())
    whole["lattice"]["pbc"] = [True, True, True]
    assert len(Crystals.from_dicts([whole])) == 1
