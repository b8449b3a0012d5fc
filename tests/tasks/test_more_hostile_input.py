"""JSON structures, tables and labels whose values have another type, unit or spelling than it seems."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure
from test_doubtful_input import csv_task
from test_hostile_input import SALT, cif, structures, task_of

from crystalbench.data.crystals import Crystals
from crystalbench.errors import DataError
from crystalbench.tasks import DataSources, TableTaskSpec
from crystalbench.tasks.inputs import as_inputs

Entry = dict[str, Any]


def boolean_coordinate(entry: Entry) -> Entry:
    entry["sites"][1] |= {"abc": [True, 0.5, 0.5], "xyz": None}
    return entry


def boolean_lattice(entry: Entry) -> Entry:
    entry["lattice"]["matrix"][0][1] = False
    return entry


def two_coordinates(entry: Entry) -> Entry:
    entry["sites"][1]["abc"] = [0.5, 0.5]
    return entry


def text_length(entry: Entry) -> Entry:
    entry["lattice"]["a"] = "5.0"
    return entry


def missing_angle(entry: Entry) -> Entry:
    entry["lattice"]["alpha"] = float("nan")
    return entry


def outer_pbc(entry: Entry) -> Entry:
    return entry | {"pbc": [True, True, False]}


def symbols_as_species(entry: Entry) -> Entry:
    entry["sites"][1]["species"] = ["Cl"]
    return entry


def picometres(entry: Entry) -> Entry:
    numbers = np.array(entry["lattice"]["matrix"]) * 100
    return Structure(Lattice(numbers), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]).as_dict()


def key_twice(entry: Entry) -> str:
    return json.dumps(entry).replace('"abc":', '"abc": [0.1, 0.1, 0.1], "abc":')


def text_in_text(entry: Entry) -> str:
    return json.dumps(json.dumps(entry))


BROKEN: dict[Callable[[Entry], Any], str] = {
    boolean_coordinate: "its abc must contain numbers only",
    boolean_lattice: "its lattice matrix must contain numbers only",
    two_coordinates: "the lists of its abc must have 3 numbers each",
    text_length: "the a of the lattice is '5.0', not a number",
    missing_angle: "the alpha of the lattice is nan, not a number",
    outer_pbc: "is periodic in 2 of three directions",
    symbols_as_species: "its lattice, sites or species are of another type",
    picometres: r"volume of 3\.98e\+07 Å³ per atom; lengths must be in Å",
    key_twice: "several keys are named 'abc'",
    text_in_text: "in JSON form, but a string",
}


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: change.__name__)
def test_json_structures_of_another_kind_are_refused_by_id(tmp_path: Path, change: Callable[[Entry], Any]) -> None:
    entries: list[Any] = structures()
    entries[3] = change(copy.deepcopy(entries[3]))
    rows = {"id": [f"r{i}" for i in range(6)], "s": entries, "y": list(range(6))}
    with pytest.raises(DataError, match=f"1 of 6 rows are invalid:\n  r3: .*{BROKEN[change]}"):
        task_of(tmp_path, rows, structure='{ json = "s" }')


def test_lengths_in_picometres_are_refused_in_every_form(tmp_path: Path) -> None:
    rows = {"id": ["a", "b"], "cif": [cif(SALT), cif(SALT, a="400", b="400", c="400")], "y": [1, 2]}
    with pytest.raises(DataError, match=r"b: has a volume of 3\.2e\+07 Å³ per atom"):
        task_of(tmp_path, rows, structure='{ cif = "cif" }')
    with pytest.raises(DataError, match="structure 0: has a volume of"):
        as_inputs(Structure(Lattice.cubic(400), ["Na"], [[0, 0, 0]]))
    assert len(as_inputs(Structure(Lattice.cubic(99), ["Na"], [[0, 0, 0]]))) == 1


@pytest.mark.parametrize("numbers", [[11, 17.5], [11, np.nan], [True, True], ["11", "17"]])
def test_atomic_numbers_are_integers(numbers: list[Any]) -> None:
    with pytest.raises(DataError, match="integer"):
        Crystals.from_flat([np.eye(3) * 4], [[0, 0, 0], [0.5, 0.5, 0.5]], numbers, [2])


# ---------------------------------------------------------------------- tables


def labelled(folder: Path, labels: list[str]) -> tuple[str, ...]:
    rows = "".join(f"r{i},NaCl,{label}\n" for i, label in enumerate(labels))
    return csv_task(folder, f"id,f,y\n{rows}", "multiclass").target.classes


@pytest.mark.parametrize(
    ("labels", "one", "other"),
    [
        (["true", "0", "1", "false"], "'true' of r0", "'1' of r2"),
        (["yes", "no", "TRUE", "no"], "'TRUE' of r2", "'yes' of r0"),
        (["T", "F", "true", "F"], "'true' of r2", "'T' of r0"),
        (["n", "no", "y", "y"], "'no' of r1", "'n' of r0"),
        (["1", "1.0", "metal", "metal"], "'1' of r0", "'1.0' of r1"),
        (["10", "1e1", "metal", "metal"], "'10' of r0", "'1e1' of r1"),
    ],
)
def test_one_class_in_two_words_is_refused(tmp_path: Path, labels: list[str], one: str, other: str) -> None:
    with pytest.raises(DataError, match=f"the labels {one} and {other} may be one"):
        labelled(tmp_path, labels)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["T", "F", "T", "F"], ("F", "T")),
        (["F", "N", "Y", "N"], ("F", "N", "Y")),  # elements
        (["no", "weak", "no", "weak"], ("no", "weak")),
        (["1_2", "12", "metal", "12"], ("12", "1_2", "metal")),
    ],
)
def test_words_and_elements_are_classes(tmp_path: Path, labels: list[str], classes: tuple[str, ...]) -> None:
    assert labelled(tmp_path, labels) == classes


def test_rare_classes_are_remarked_without_a_warning_of_a_library(tmp_path: Path) -> None:
    rows = "".join(f"r{i},NaCl,{'q' if i == 3 else 'p'}\n" for i in range(6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = csv_task(tmp_path, f"id,f,y\n{rows}", "binary")
    assert task.remarks == ("class q has 1 row, fewer than there are folds (2): some test parts have none of it",)


def test_one_number_in_two_spellings_is_no_group_even_among_words(tmp_path: Path) -> None:
    groups: list[Any] = ["1", "1.0", "x", "y", "z", "w"]
    rows = {"id": list("abcdef"), "f": ["NaCl"] * 6, "y": list(range(6)), "g": groups}
    with pytest.raises(DataError, match=r"the groups '1' of a and '1\.0' of b may be one"):
        task_of(tmp_path, rows, composition='"f"', folds='{ k = 2, group = "column:g" }')


def load(folder: Path, table: str) -> list[str]:
    """The ids of a table with the columns id, f and y."""
    (folder / "t.toml").write_text(
        f'name = "t"\ntable = "{table}"\nid = "id"\ncomposition = "f"\ntarget = "y"\nkind = "regression"\n'
        "folds = { k = 2 }\n"
    )
    return TableTaskSpec.from_toml(folder / "t.toml").load(DataSources(download=False)).inputs.ids.tolist()


@pytest.mark.parametrize("missing", ["NA", "null", " ", None, float("nan")])
def test_missing_lists_are_missing_structures(tmp_path: Path, missing: Any) -> None:
    rows: dict[str, list[Any]] = {
        "id": list("abcd"),
        "l": [np.diag([4, 4, 4]).tolist()] * 4,
        "c": [[[0, 0, 0], [0.5, 0.5, 0.5]]] * 2 + [missing] + [[[0, 0, 0], [0.5, 0.5, 0.5]]],
        "n": [[11, 17]] * 4,
        "y": [1, 2, 3, 4],
    }
    config = {"structure": '{ lattice = "l", frac_coords = "c", numbers = "n" }', "folds": "{ k = 2 }"}
    with pytest.raises(DataError, match="1 of 4 rows have no structure or composition: c"):
        task_of(tmp_path, rows, **config)
    assert task_of(tmp_path, rows, **config, missing='"drop"').inputs.ids.tolist() == ["a", "b", "d"]


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("form", ["json", "columns"])
def test_a_column_of_periodicities_is_read(tmp_path: Path, form: str, as_text: bool) -> None:
    layers: list[Any] = [[True] * 3, [1, 1, 0], None, [True] * 3]
    rows: dict[str, list[Any]] = {
        "id": list("abcd"),
        "s": structures(4),
        "l": [np.diag([4, 4, 4]).tolist()] * 4,
        "c": [[[0, 0, 0], [0.5, 0.5, 0.5]]] * 4,
        "n": [[11, 17]] * 4,
        "y": [1, 2, 3, 4],
        "pbc": [None if layer is None else json.dumps(layer) if as_text else layer for layer in layers],
    }
    structure = '{ json = "s" }' if form == "json" else '{ lattice = "l", frac_coords = "c", numbers = "n" }'
    config = {"structure": structure, "folds": "{ k = 2 }"}
    with pytest.raises(DataError, match=r"1 of 4 rows are invalid:\n  b: is periodic in 2 of three directions"):
        task_of(tmp_path, rows, **config)
    dropped = task_of(tmp_path, rows, **config, invalid='"drop"')
    assert dropped.inputs.ids.tolist() == ["a", "c", "d"]
    assert any("b: is periodic in 2" in remark for remark in dropped.remarks)
    rows["pbc"][0] = "T T F"
    with pytest.raises(DataError, match="a: pbc = 'T T F' must be a list of three booleans"):
        task_of(tmp_path, rows, **config)


def test_a_byte_order_mark_of_a_task_file_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,f,y\na,NaCl,1\nb,KCl,2\n")
    assert load(tmp_path, "t.csv") == ["a", "b"]
    file = tmp_path / "t.toml"
    file.write_text(file.read_text(), encoding="utf-8-sig")
    assert len(TableTaskSpec.from_toml(file).load(DataSources(download=False))) == 2


def test_bytes_in_parquet_are_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [b"a", "ä".encode()], "f": [b"NaCl", b"KCl"], "y": [1.0, 2.0]})
    frame.to_parquet(tmp_path / "t.parquet")
    assert load(tmp_path, "t.parquet") == ["a", "ä"]
    frame["id"] = [b"a", b"\xe4"]
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet: cannot be read .*UTF8"):
        load(tmp_path, "t.parquet")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.json", b'{"id": "a", "f": "NaCl", "y": 1}\n{"id": "b", "f": "KCl", "y": 2}\n', "one object per line"),
        ("t.json", '[{"id": "ä"}]'.encode("latin-1"), "save it as text in UTF-8"),
        ("t.csv", "id,f,y\nä,NaCl,1\n".encode("latin-1"), "save it as text in UTF-8"),
    ],
)
def test_unreadable_tables_come_with_a_remedy(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: cannot be read .*{reason}"):
        load(tmp_path, name)
