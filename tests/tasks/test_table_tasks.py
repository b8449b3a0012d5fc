from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.core import Lattice, Structure

from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError, CrystalBenchError, DataError, UnknownNameError
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources, TableTaskSpec, Task
from crystalbench.tasks.store import store_dir

ELEMENTS = ["Li", "Na", "K", "Rb", "Cs", "Cu", "Ag", "Au"]
N = len(ELEMENTS)
STRUCTURES = [
    Structure(Lattice.from_parameters(3 + i, 4, 5, 90, 100, 110), [e, "Cl"], [[0, 0, 0], [0.5, 0.25, 0.125]])
    for i, e in enumerate(ELEMENTS)
]
Make = Callable[..., TableTaskSpec]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a table and a task file; the last argument is the end of the task file."""

    def make(
        table: dict[str, Any], toml: str = "", kind: str = "regression", suffix: str = ".parquet"
    ) -> TableTaskSpec:
        file = tmp_path / f"table{suffix}"
        if suffix == ".parquet":
            pq.write_table(pa.table(table), file)
        elif suffix == ".csv":
            pd.DataFrame(table).to_csv(file, index=False)
        else:
            file.write_text(json.dumps(table))
        head = f'name = "mine"\ntable = "{file.name}"\ntarget = "y"\nkind = "{kind}"\n'
        (tmp_path / "mine.toml").write_text(head + toml)
        return TableTaskSpec.from_toml(tmp_path / "mine.toml")

    return make


def load(spec: TableTaskSpec, **more: Any) -> Task:
    return spec.load(DataSources(**more))


def flat(**more: Any) -> dict[str, Any]:
    return {
        "name": [f"m-{i}" for i in range(N)],
        "lattice": [s.lattice.matrix.ravel().tolist() for s in STRUCTURES],
        "xyz": [s.frac_coords.ravel().tolist() for s in STRUCTURES],
        "z": [list(s.atomic_numbers) for s in STRUCTURES],
        "y": [0.5 * i for i in range(N)],
        **more,
    }


FLAT = 'id = "name"\nstructure = {lattice = "lattice", frac_coords = "xyz", numbers = "z"}\n'
FORMULAS = 'composition = "f"\n'


def formulas(**more: Any) -> dict[str, Any]:
    return {"f": [f"{e}Cl" for e in ELEMENTS], "y": [0.5 * i for i in range(N)], **more}


# ---------------------------------------------------------------------- forms of structures and tables


def test_columns_of_numbers(make: Make) -> None:
    task = load(make(flat(), FLAT + 'unit = "eV"\nmetric = "rmse"\n'))
    assert isinstance(task.inputs, Crystals)
    assert task.inputs.digest == Crystals.from_pymatgen(STRUCTURES).digest
    assert task.inputs.ids.tolist() == [f"m-{i}" for i in range(N)]
    assert (task.name, task.target.unit, task.metric, task.source.verified) == ("mine", "eV", "rmse", "user")
    assert task.source.name == "table.parquet"
    assert task.fold_numbers == [0, 1, 2, 3, 4]
    assert task.rows_total == N


def test_lists_of_lists_and_text_are_columns_of_numbers_too(make: Make) -> None:
    nested = flat(
        lattice=[s.lattice.matrix.tolist() for s in STRUCTURES], xyz=[s.frac_coords.tolist() for s in STRUCTURES]
    )
    expected = Crystals.from_pymatgen(STRUCTURES).digest
    assert load(make(nested, FLAT)).inputs.digest == expected
    assert load(make(nested, FLAT, suffix=".json")).inputs.digest == expected
    text = {name: [json.dumps(v) if isinstance(v, list) else v for v in column] for name, column in nested.items()}
    assert load(make(text, FLAT, suffix=".csv")).inputs.digest == expected
    assert load(make(text, FLAT)).inputs.digest == expected


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json"])
def test_cif_text(make: Make, suffix: str) -> None:
    table = {"cif": [s.to(fmt="cif") for s in STRUCTURES], "y": [0.5 * i for i in range(N)]}
    task = load(make(table, 'structure = {cif = "cif"}\n', suffix=suffix))
    assert isinstance(task.inputs, Crystals)
    assert task.inputs.ids.tolist() == [str(i) for i in range(N)]
    assert task.inputs.formulas() == [s.composition.formula for s in STRUCTURES]
    np.testing.assert_allclose(task.inputs.volumes, [s.volume for s in STRUCTURES], rtol=1e-6)


@pytest.mark.parametrize(("suffix", "as_text"), [(".parquet", True), (".csv", True), (".json", True), (".json", False)])
def test_pymatgens_json(make: Make, suffix: str, as_text: bool) -> None:
    entries = [json.dumps(s.as_dict()) if as_text else s.as_dict() for s in STRUCTURES]
    task = load(make({"s": entries, "y": [0.5 * i for i in range(N)]}, 'structure = {json = "s"}\n', suffix=suffix))
    assert task.inputs.digest == Crystals.from_pymatgen(STRUCTURES).digest


@pytest.mark.parametrize("form", ["columns", "rows", "split", "by row"])
def test_forms_of_json(make: Make, form: str) -> None:
    table = formulas()
    content: Any = {
        "columns": table,
        "rows": [{"f": f, "y": y} for f, y in zip(table["f"], table["y"], strict=True)],
        "split": {"columns": ["f", "y"], "data": [list(row) for row in zip(table["f"], table["y"], strict=True)]},
        "by row": {name: {str(i): v for i, v in enumerate(column)} for name, column in table.items()},
    }[form]
    task = load(make(content, FORMULAS, suffix=".json"))
    assert task.targets.tolist() == table["y"]
    assert not task.has_structures


def test_a_formula_that_reads_like_nan_is_a_formula(make: Make) -> None:
    table = formulas()
    table["f"][2] = "NaN"
    task = load(make(table, FORMULAS, suffix=".csv"))
    assert task.inputs.chemical_systems()[2] == "N-Na"  # type: ignore[union-attr]


def test_the_second_load_comes_from_the_store(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYSTALBENCH_CACHE", str(tmp_path / "cache"))
    first = load(make(formulas(), FORMULAS))
    assert load(make(formulas(), FORMULAS)).digest == first.digest
    assert len(list(store_dir().iterdir())) == 1
    other = load(make(formulas(), FORMULAS + "[folds]\nseed = 1\n"))
    assert other.digest != first.digest
    assert len(list(store_dir().iterdir())) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "mine.toml", "table.parquet"]
    assert len(load(make(formulas(), FORMULAS), limit=3)) == 3


# ---------------------------------------------------------------------- targets


def test_labels(make: Make) -> None:
    cases: list[tuple[list[Any], tuple[str, ...], list[float]]] = [
        (["b", "a"] * 4, ("a", "b"), [1, 0] * 4),
        ([True, False] * 4, ("false", "true"), [1, 0] * 4),
        ([10, 2] * 4, ("2", "10"), [1, 0] * 4),
        ([1.0, 0.0] * 4, ("0", "1"), [1, 0] * 4),
    ]
    for values, classes, targets in cases:
        for suffix in (".parquet", ".csv", ".json"):
            task = load(make(formulas(y=values), FORMULAS + "folds = {k = 2}\n", "binary", suffix))
            assert task.target.classes == classes
            assert task.targets.tolist() == targets
            assert task.metric == "rocauc_true"
            assert np.bincount(task.folds, task.targets).tolist() == [2, 2]  # stratified
    task = load(make(formulas(y=list("abcabcab")), FORMULAS + "folds = {k = 2}\n", "multiclass"))
    assert (task.target.kind, task.target.classes, task.target.outputs) == (Kind.MULTICLASS, ("a", "b", "c"), 3)


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (list("abcabcab"), "binary", "two classes, but 'y' has a, b, c.*multiclass"),
        (["a"] * 8, "binary", "two classes"),
        (["a"] * 8, "multiclass", "nothing to predict"),
        ([0.5] * 8, "binary", "0: label 0.5"),
        ([True] * 8, "regression", "0: its 'y' is True, which is not a number"),
        (
            ["1", "2", "x", "4", "5", "6", "7", "8"],
            "regression",
            "1 of 8 rows are invalid:\n  2: its 'y' is 'x', which is not a number\n",
        ),
        (
            [0.0, float("inf")] * 4,
            "regression",
            "(?s)4 of 8 rows are invalid:.* 1: its 'y' is not finite.* 7: its 'y' is not finite",
        ),
    ],
)
def test_targets_that_do_not_fit_are_refused(make: Make, values: list[Any], kind: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(make(formulas(y=values), FORMULAS, kind))


def test_labels_of_different_types_are_refused(make: Make) -> None:
    with pytest.raises(DataError, match="1: label 'a' has another type than True of 0"):
        load(make(formulas(y=[True, "a"] * 4), FORMULAS, "binary", ".json"))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json"])
def test_missing_rows_are_an_error_or_are_dropped(make: Make, suffix: str) -> None:
    table = flat()
    table["y"][3] = None if suffix != ".parquet" else float("nan")
    table["lattice"][5] = None
    if suffix == ".csv":
        for name in ("lattice", "xyz", "z"):
            table[name] = [v if v is None else json.dumps(v) for v in table[name]]
    with pytest.raises(DataError) as caught:
        load(make(table, FLAT, suffix=suffix))
    message = str(caught.value)
    assert f"table{suffix}" in message and "(y): m-3" in message and "structure or composition: m-5" in message
    assert 'missing = "drop"' in message
    task = load(make(table, FLAT + 'missing = "drop"\n', suffix=suffix))
    assert task.inputs.ids.tolist() == [f"m-{i}" for i in (0, 1, 2, 4, 6, 7)]
    assert task.rows_total == 6 and not task.is_partial
    assert "1 of 8 rows have no target (y): m-3" in " ".join(task.remarks)


# ---------------------------------------------------------------------- folds


def test_folds_of_a_column(make: Make) -> None:
    given = [0, 1, 2, 0, 1, 2, 0, 1]
    for suffix in (".parquet", ".csv", ".json"):
        task = load(make(formulas(part=given), FORMULAS + '[folds]\ncolumn = "part"\n', suffix=suffix))
        assert task.folds.tolist() == given
    words = ["train", "test"] * 4
    task = load(make(formulas(part=words), FORMULAS + '[folds]\ncolumn = "part"\n'))
    assert task.fold_numbers == [0]
    assert [len(part) for part in task.split(0)] == [4, 4]


@pytest.mark.parametrize(
    "values",
    [
        ["train"] * 8,
        ["test"] * 8,
        ["train", "valid"] * 4,
        [0, 2] * 4,
        [0.5, 1] * 4,
        [-1, 0] * 4,
        [0] * 8,
        [0, None] * 4,
    ],
)
def test_folds_of_a_column_with_mistakes_are_refused(make: Make, values: list[Any]) -> None:
    with pytest.raises(DataError, match=r"table\.parquet: column 'part'.*train and test"):
        load(make(formulas(part=values), FORMULAS + '[folds]\ncolumn = "part"\n'))


def test_groups_stay_together(make: Make) -> None:
    names = ["NaCl", "Na2Cl2", "KCl", "K3Cl", "LiCl", "LiCl", "RbCl", "AgCl"]
    expected = {
        "formula": names[:1] * 2 + names[2:],
        "chemical_system": ["Na", "Na", "K", "K", "Li", "Li", "Rb", "Ag"],
        "column:lab": ["a", "a", "b", "b", "b", "c", "d", "e"],
    }
    for group, groups in expected.items():
        table = formulas(f=names, lab=["a", "a", "b", "b", "b", "c", "d", "e"])
        task = load(make(table, FORMULAS + f'[folds]\ngroup = "{group}"\nk = 3\nseed = 4\n'))
        assert len(task.fold_numbers) == 3
        for one in set(groups):
            assert len({int(f) for f, g in zip(task.folds, groups, strict=True) if g == one}) == 1


def test_more_folds_than_rows_are_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"mine\.toml.*9 folds"):
        load(make(formulas(), FORMULAS + "[folds]\nk = 9\n"))


# ---------------------------------------------------------------------- mistakes in tables


def test_structures_with_mistakes_are_refused_with_their_id(make: Make) -> None:
    cif = [s.to(fmt="cif") for s in STRUCTURES]
    ids = [f"m-{i}" for i in range(N)]
    table: dict[str, Any] = {"name": ids, "y": [0.0] * N}
    disordered = Structure(Lattice.cubic(4), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])
    cases = [
        ("cif", "not a CIF", r"[^:]*:\s+m-2: its CIF has no atom sites"),
        ("cif", cif[2][: len(cif[2]) // 2], r"[^:]*:\s+m-2: its CIF has no atom sites"),
        ("cif", disordered.to(fmt="cif"), r"[^:]*:\s+m-2: site 0 is disordered"),
    ]
    for form, bad, message in cases:
        column = [*cif[:2], bad, *cif[3:]]
        with pytest.raises(DataError, match=r"table\.parquet: " + message):
            load(make({**table, "c": column}, f'id = "name"\nstructure = {{{form} = "c"}}\n'))
    dicts = [json.dumps(s.as_dict()) for s in STRUCTURES]
    for bad, message in (("{", "not valid JSON"), ('{"a": 1}', "not a pymatgen structure"), ("5", "not a pymatgen")):
        with pytest.raises(DataError, match=rf"table\.parquet: [^:]*:\s+m-2: .*{message}"):
            column = [*dicts[:2], bad, *dicts[3:]]
            load(make({**table, "c": column}, 'id = "name"\nstructure = {json = "c"}\n'))


def test_formulas_with_mistakes_are_refused_with_their_id(make: Make) -> None:
    table = formulas()
    table["f"][4] = "Na(Cl"
    with pytest.raises(DataError, match=r"4: 'Na\(Cl' is not a chemical formula"):
        load(make(table, FORMULAS))


def test_ids_must_be_present_and_unique(make: Make) -> None:
    with pytest.raises(DataError, match=r"unique.*m-1"):
        load(make(flat(name=["m-1", "m-1", *(f"m-{i}" for i in range(2, N))]), FLAT))
    with pytest.raises(DataError, match=r"1 rows have no id in column 'name': rows 3"):
        load(make(flat(name=["a", "b", "c", None, "e", "f", "g", "h"]), FLAT))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json"])
def test_an_empty_table_is_refused(make: Make, suffix: str) -> None:
    empty = (
        {"f": pa.array([], pa.string()), "y": pa.array([], pa.float64())}
        if suffix == ".parquet"
        else {"f": [], "y": []}
    )
    with pytest.raises(DataError, match="has no rows"):
        load(make(empty, FORMULAS, suffix=suffix))


def test_an_unknown_column_suggests_the_closest(make: Make) -> None:
    for suffix in (".parquet", ".csv", ".json"):
        with pytest.raises(UnknownNameError, match=rf"column of table\{suffix} 'ff'. Did you mean 'f'|Known: f, y"):
            load(make(formulas(), 'composition = "ff"\n', suffix=suffix))


def test_tables_that_cannot_be_read_are_named(make: Make, tmp_path: Path) -> None:
    for suffix, content in ((".parquet", b"x"), (".json", b"{"), (".json", b"5"), (".csv", b"f,y\n1,2,3,4\n5,6,7,8\n")):
        spec = make(formulas(), FORMULAS, suffix=suffix)
        spec.table.write_bytes(content)
        with pytest.raises(DataError, match=rf"table\{suffix}: cannot be read"):
            load(spec)
    spec.table.unlink()
    assert not spec.availability(DataSources()).here
    with pytest.raises(DataError, match=r"no table .*table\.csv.*--data mine=PATH"):
        load(spec)
    spec = make(formulas(), FORMULAS)
    assert spec.availability(DataSources()).rows == spec.rows_total == N
    other = tmp_path / "table.xlsx"
    other.touch()
    spec.file.write_text(spec.file.read_text().replace("table.parquet", "table.xlsx"))
    with pytest.raises(ConfigError, match="must end in"):
        load(TableTaskSpec.from_toml(spec.file))


# ---------------------------------------------------------------------- mistakes in task files

GOOD = 'name = "mine"\ntable = "t.csv"\ncomposition = "f"\ntarget = "y"\nkind = "regression"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + 'targett = "x"\n', "targett: .*Did you mean 'target'"),
        (GOOD + 'zzz = "x"\n', "zzz: Unknown key 'zzz'. Known: composition"),
        (GOOD + "[folds]\nsed = 1\n", "folds.sed: .*Did you mean 'seed'"),
        (GOOD.replace('composition = "f"', 'structure = {jsn = "x"}'), "structure.jsn: .*Did you mean 'json'"),
        (GOOD.replace('composition = "f"', 'structure = {cif = "x", json = "y"}'), "structure: write"),
        (GOOD.replace('composition = "f"', 'structure = {lattice = "x"}'), "structure: write"),
        (GOOD.replace('composition = "f"\n', ""), "either structure or composition"),
        (GOOD + 'structure = {cif = "x"}\n', "either structure or composition"),
        (GOOD.replace('target = "y"\n', ""), "target: is missing"),
        (GOOD.replace("regression", "regresion"), r"kind: .*'regression'.*given: 'regresion'"),
        (GOOD.replace("mine", "matbench_phonons"), "official task"),
        (GOOD.replace("mine", "a/b"), "name: "),
        (GOOD + 'metric = "accuracy"\n', "'accuracy' does not apply to a regression task; choose one of mae"),
        (GOOD + 'missing = "skip"\n', "missing: "),
        (GOOD + '[folds]\ncolumn = "c"\nk = 5\n', "folds: the folds come from a column"),
        (GOOD + "[folds]\nk = 1\n", "folds.k: "),
        (GOOD + '[folds]\ngroup = "spacegroup"\n', "folds.group: "),
        (GOOD + "name = 3", "not valid TOML"),
        ("= 3", "not valid TOML"),
    ],
)
def test_task_files_with_mistakes_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=rf"(?s)mine\.toml.*{message}"):
        TableTaskSpec.from_toml(file)


def test_all_mistakes_are_listed_at_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\ntabel = "t.csv"\nkind = "regression"\n')
    with pytest.raises(ConfigError, match=r"(?s)table: is missing.*target: is missing.*tabel: Unknown key"):
        TableTaskSpec.from_toml(file)
    with pytest.raises(CrystalBenchError, match="there is no such task file"):
        TableTaskSpec.from_toml(tmp_path / "absent.toml")
