"""Task files: targets per atom, and tables that are not where the task file says."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers import ROOT, random_crystals

from crystalbench.errors import ConfigError, DataError
from crystalbench.tasks import DataSources, TableTaskSpec, Task, parse_data_options, require_data
from crystalbench.tasks.columns import crystals_of_columns
from crystalbench.tasks.task import NEVER_TESTED

N = 10
CRYSTALS = random_crystals(0, N, most_atoms=5)
FLAT = 'structure = { lattice = "lattice", frac_coords = "xyz", numbers = "z" }\n'
GONG = sorted((ROOT / "src" / "crystalbench" / "suites" / "tasks" / "gong2023").glob("*.toml"))


def write_table(path: Path) -> Path:
    """A table of crystals and formulas whose property y is five times the number of atoms."""
    atoms = [slice(a, b) for a, b in zip(CRYSTALS.offsets[:-1], CRYSTALS.offsets[1:], strict=True)]
    table = pd.DataFrame(
        {
            "name": CRYSTALS.ids,
            "lattice": [cell.ravel().tolist() for cell in CRYSTALS.lattices],
            "xyz": [CRYSTALS.frac_coords[a].ravel().tolist() for a in atoms],
            "z": [CRYSTALS.numbers[a].tolist() for a in atoms],
            "formula": ["Fe2O3", "Fe4O6", "NaCl", "Fe0.25Ni0.25", "H", "H2O", "CaTiO3", "Cu", "Cu3Au", "Mg(OH)2"],
            "y": 5.0 * CRYSTALS.atom_counts,
            "class": ["a", "b"] * 5,
        }
    )
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    return path


def spec_of(folder: Path, more: str = FLAT, target: str = "y", kind: str = "regression") -> TableTaskSpec:
    """A task file that names a table in its folder, which a test writes if it needs it."""
    file = folder / "mine.toml"
    head = f'name = "mine"\ntable = "table.parquet"\nid = "name"\ntarget = "{target}"\nkind = "{kind}"\n'
    file.write_text(head + more)
    return TableTaskSpec.from_toml(file)


def load(spec: TableTaskSpec, **files: Path) -> Task:
    return spec.load(DataSources(files=files))


# ---------------------------------------------------------------------- per atom


def test_targets_of_structures_are_divided_by_their_atoms(tmp_path: Path) -> None:
    write_table(tmp_path / "table.parquet")
    plain, each = load(spec_of(tmp_path)), load(spec_of(tmp_path, FLAT + "per_atom = true\n"))
    assert each.targets.tolist() == [5.0] * N
    np.testing.assert_array_equal(plain.targets, each.targets * CRYSTALS.atom_counts)
    assert (plain.target.name, each.target.name) == ("y", "y per atom")
    assert plain.digest != each.digest
    assert load(spec_of(tmp_path, FLAT + "per_atom = false\n")).digest == plain.digest
    assert load(spec_of(tmp_path, FLAT + "per_atom = true\n")).digest == each.digest  # from its store


def test_targets_of_compositions_are_divided_by_the_amounts_of_the_formula(tmp_path: Path) -> None:
    write_table(tmp_path / "table.parquet")
    each = load(spec_of(tmp_path, 'composition = "formula"\nper_atom = true\n'))
    amounts = [5, 10, 2, 0.5, 1, 3, 5, 1, 4, 5]
    np.testing.assert_allclose(each.targets, 5 * CRYSTALS.atom_counts / np.array(amounts), rtol=1e-15)


def test_the_name_of_the_property_says_that_it_is_per_atom(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, FLAT + 'per_atom = true\nunit = "eV"\n')
    assert (spec.target.name, spec.target.unit, spec.description) == (
        "y per atom",
        "eV",
        "y per atom of table.parquet",
    )


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_classes_are_not_divided(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)mine\.toml.*per_atom = true divides.*a {kind} task is a class"):
        spec_of(tmp_path, FLAT + "per_atom = true\n", "class", kind)
    assert not spec_of(tmp_path, FLAT + "per_atom = false\n", "class", kind).config.per_atom  # type: ignore[union-attr]


@pytest.mark.parametrize("value", ['"yes"', "1", "2.5", '"true"'])
def test_per_atom_is_true_or_false(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"per_atom: .*boolean"):
        spec_of(tmp_path, FLAT + f"per_atom = {value}\n")


# ---------------------------------------------------------------------- tables named on the command line


def test_a_table_may_be_anywhere(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    elsewhere = write_table(tmp_path / "elsewhere.parquet")
    given = {"mine": elsewhere}
    task = load(spec, **given)
    assert len(task) == N
    assert (task.source.name, task.source.task_file) == ("elsewhere.parquet", "mine.toml")
    found = spec.availability(DataSources(files=given))
    assert (found.here, found.rows, found.where) == (True, N, str(elsewhere))
    require_data([spec], DataSources(files=given))
    again = load(spec_of(tmp_path), mine=write_table(tmp_path / "table.parquet"))
    assert again.digest == task.digest


def test_a_named_table_takes_precedence_over_that_of_the_task_file(tmp_path: Path) -> None:
    (tmp_path / "table.parquet").write_bytes(b"damaged")
    assert len(load(spec_of(tmp_path), mine=write_table(tmp_path / "elsewhere.parquet"))) == N
    with pytest.raises(DataError, match=r"table\.parquet: cannot be read"):
        load(spec_of(tmp_path))


def test_mistakes_in_a_named_table_name_it(tmp_path: Path) -> None:
    table = pd.read_parquet(write_table(tmp_path / "table.parquet"))
    table["y"] = np.nan
    table.to_parquet(tmp_path / "elsewhere.parquet")
    with pytest.raises(DataError, match=r"elsewhere\.parquet: 10 of 10 rows have no target"):
        load(spec_of(tmp_path), mine=tmp_path / "elsewhere.parquet")


def test_the_error_about_a_missing_table_says_how_to_name_it(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    says = r"table\.parquet.*put it there, or name the table with --data mine=PATH"
    with pytest.raises(DataError, match=says):
        load(spec)
    with pytest.raises(DataError, match=rf"1 task is missing:\n  mine: there is no table .*{says}"):
        require_data([spec], DataSources())
    with pytest.raises(DataError, match=r"--data mine=.*gone\.parquet: there is no such file"):
        load(spec, mine=tmp_path / "gone.parquet")


def test_the_source_is_known_if_the_task_comes_from_its_store(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.parquet")
    first, again = load(spec_of(tmp_path)), load(spec_of(tmp_path))
    assert again.source == first.source
    assert again.source.task_file == "mine.toml"
    renamed = shutil.copyfile(table, tmp_path / "renamed.parquet")
    assert load(spec_of(tmp_path), mine=renamed).source.name == "renamed.parquet"


def test_options_name_tables_of_any_kind_and_may_be_patterns(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv")
    known = ["mine_one", "mine_two", "other", "matbench_phonons"]
    assert parse_data_options([f"mine_*={table}"], known) == {"mine_one": table, "mine_two": table}
    assert parse_data_options([f"other={table}"], known) == {"other": table}
    with pytest.raises(ConfigError, match="two files for mine_two"):
        parse_data_options([f"mine_*={table}", f"mine_two={table}"], known)
    with pytest.raises(ConfigError, match=r"matbench_phonons=.*must end in \.json\.gz or \.parquet"):
        parse_data_options([f"*={table}"], known)
    with pytest.raises(ConfigError, match=r"Unknown task in --data 'yours_\*'"):
        parse_data_options([f"yours_*={table}"], known)
    with pytest.raises(DataError, match="no such file"):
        parse_data_options([f"mine_one={tmp_path / 'absent.csv'}"], known)
    assert len(load(spec_of(tmp_path, 'composition = "formula"\n'), mine=table)) == N


# ---------------------------------------------------------------------- the task files of this repository


def test_the_task_files_of_gong_are_two_properties_in_two_forms(tmp_path: Path) -> None:
    assert [file.stem for file in GONG] == [
        "cv_per_atom",
        "cv_per_cell",
        "internal_energy_per_atom",
        "internal_energy_per_cell",
    ]
    table = pd.read_parquet(write_table(tmp_path / "phonon_cv_u.parquet"))
    table = table.rename(columns={"name": "id", "xyz": "frac_coords", "z": "numbers", "y": "cv"})
    table["internal_energy"] = 400 * table["cv"]
    table["split_cv"] = ["train", "test"] * 5
    table["split_internal_energy"] = ["test", "train"] * 5
    table.loc[2, ["lattice", "frac_coords", "numbers"]] = None
    table.to_parquet(tmp_path / "phonon_cv_u.parquet")
    specs = [TableTaskSpec.from_toml(file) for file in GONG]
    files = dict.fromkeys((spec.name for spec in specs), tmp_path / "phonon_cv_u.parquet")
    tasks = {file.stem: spec.load(DataSources(files=files)) for file, spec in zip(GONG, specs, strict=True)}
    for stem, task in tasks.items():
        assert task.name == f"gong_{stem}"
        assert len(task) == N - 1 and not task.is_partial
        assert task.fold_numbers == [0] and (task.folds == NEVER_TESTED).sum() == (4 if "cv" in stem else 5)
        assert task.target.unit == ("J/(mol K)" if "cv" in stem else "J/mol")
    counts = np.delete(CRYSTALS.atom_counts, 2)
    for stem in ("cv", "internal_energy"):
        np.testing.assert_allclose(tasks[f"{stem}_per_atom"].targets * counts, tasks[f"{stem}_per_cell"].targets)
    assert {"/" in spec.config.table for spec in specs if spec.config} == {False}
    assert all(spec.license and "shenggong1996" in spec.reference for spec in specs)


# ---------------------------------------------------------------------- lists of numbers


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("numbers", [True, True], "numbers is not a list of numbers.*True"),
        ("numbers", ["11", "17"], "numbers is not a list of numbers.*'11'"),
        ("numbers", [[11], [17]], "inner lists must have no numbers"),
        ("frac_coords", ["0", "0", "0", "0.5", "0.5", "0.5"], "frac_coords is not a list of numbers"),
        ("frac_coords", [[0, 0.5], [0, 0.5], [0, 0.5]], "inner lists must have 3 numbers"),  # x, y, z in columns
        ("frac_coords", [0, 0, 0, 1e10, 0.5, 0.5], "fractional coordinate beyond"),
        ("lattice", [[4, 0, 0, 0, 4, 0, 0, 0, 4]], "inner lists must have 3 numbers"),
        ("lattice", "4 0 0 0 4 0 0 0 4", "lattice is not a list of numbers"),
        ("lattice", 4, "lattice is not a list of numbers.*it is 4"),
        ("numbers", [True, 17], "numbers is not a list of numbers.*True"),
        ("numbers", [11, {"Z": 17}], "numbers is not a list of numbers.*'Z': 17"),
        ("numbers", [11, 10**400], "numbers is not a list of numbers.*too large"),
        ("numbers", [11, None], "numbers contains a number that is missing"),
        ("frac_coords", [[0, 0, 0], [0.5, None, 0.5]], "frac_coords contains a number that is missing"),
    ],
)
def test_lists_that_are_not_plain_numbers_are_refused(column: str, value: object, reason: str) -> None:
    good = {"lattice": [4, 0, 0, 0, 4, 0, 0, 0, 4], "frac_coords": [0, 0, 0, 0.5, 0.5, 0.5], "numbers": [11, 17]}
    ids = np.array(["a", "b", "c"])
    columns = {name: [entry, value if name == column else entry, entry] for name, entry in good.items()}
    with pytest.raises(DataError, match=f"^b: .*{reason}"):
        crystals_of_columns(**columns, ids=ids)
    assert len(crystals_of_columns(**{name: [entry] * 3 for name, entry in good.items()}, ids=ids)) == 3


def test_nested_lists_of_parquet_must_have_three_numbers() -> None:
    ids = np.array(["a", "b"])
    lattice = pa.chunked_array([[np.eye(3).tolist()] * 2]).cast(pa.list_(pa.list_(pa.float64())))
    numbers = pa.chunked_array([[[11, 17]] * 2])
    coords = [[[0, 0, 0], [0.5, 0.5, 0.5]], [[0, 0.5], [0, 0.5], [0, 0.5]]]
    with pytest.raises(DataError, match=r"^b: the inner lists of its frac_coords must have 3 numbers"):
        crystals_of_columns(lattice, pa.chunked_array([coords]), numbers, ids)
    assert len(crystals_of_columns(lattice, pa.chunked_array([[coords[0]] * 2]), numbers, ids)) == 2
