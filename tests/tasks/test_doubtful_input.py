"""More kinds of doubtful input: symmetry in CIFs, adducts in formulas, broken JSON structures, labels and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from test_hostile_input import SALT, cif, structures, task_of

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals
from crystalbench.data.distances import least_distances
from crystalbench.errors import CrystalBenchError, DataError
from crystalbench.tasks import DataSources, TableTaskSpec, Task
from crystalbench.tasks.cif import structure_of_cif

GROUP = "_symmetry_space_group_name_H-M"
OPERATIONS = "loop_\n_symmetry_equiv_pos_as_xyz\n"
ARSENIC = {"a": "4.13", "b": "4.13", "c": "4.13", "alpha": "54.1", "beta": "54.1", "gamma": "54.1"}
PLACES = "label fract_x fract_y fract_z"
TYPED = "label type_symbol fract_x fract_y fract_z"

REFUSED = {
    "rhombohedral cell": (
        cif(["As1 As 0.227 0.227 0.227"], group=f"{GROUP} 'R -3 m'", **ARSENIC),
        "do not fit its cell",
    ),
    "number of a rhombohedral group": (
        cif(["As1 As 0.227 0.227 0.227"], group="_symmetry_Int_Tables_number 166", **ARSENIC),
        "'166' that do not fit its cell",
    ),
    "cubic group": (cif(SALT, group=f"{GROUP} 'F m -3 m'", c="5"), "do not fit its cell"),
    "four-fold axis": (cif(SALT, group=OPERATIONS + "'x,y,z'\n'-y,x,z'\n'-x,-y,z'\n'y,-x,z'", b="7"), "do not fit"),
    "operations missing": (cif(SALT, group=OPERATIONS + "'x,y,z'\n'-y,x,z'"), "lists 2 symmetry operations"),
    "operation unreadable": (cif(SALT, group=OPERATIONS + "'x,y,z'\n'a,b,c'"), "'a,b,c'"),
    "operation of two parts": (cif(SALT, group=OPERATIONS + "'x,y'\n'-x,-y'"), "'x,y'"),
    "operation singular": (cif(SALT, group=OPERATIONS + "'x,y,z'\n'x,x,z'"), "'x,x,z'"),
    "identity only": (cif(SALT, group=f"{GROUP} 'F m -3 m'\n{OPERATIONS}'x,y,z'"), "lists one symmetry operation"),
    "two origins": (cif(["Si1 Si 0 0 0"], group=f"{GROUP} 'F d -3 m'"), "two origin choices"),
    "two origins by number": (cif(["Si1 Si 0 0 0"], group="_space_group_IT_number 227"), "two origin choices"),
    "symbol and number": (cif(SALT, group=f"{GROUP} 'P m -3 m'\n_space_group_IT_number 225"), "but the number 225"),
    "setting in the symbol": (cif(SALT, group=f"{GROUP} 'P 21/n'\n_space_group_IT_number 14"), "list the symmetry"),
    "misspelt name": (cif(SALT, group="_symmetry_spacegroup_name_H-M 'F m -3 m'"), "not a data name of CIF"),
    "angles": (cif(SALT, alpha="200"), "200, 90, 90°, which close no cell"),
    "flat": (cif(SALT, alpha="120", beta="120", gamma="120"), "close no cell"),
    "infinite": (cif(SALT, a="inf"), "_cell_length_a 'inf'"),
    "infinite coordinate": (cif(["Na1 Na inf 0 0"]), "Na1 without coordinates"),
    "one place": (cif(["Na1 Na 0 0 0", "Na2 Na 1 0 0"]), "several atoms at one place"),
    "dummy": (cif([*(f"{s} ." for s in SALT), "X1 Na 0 0 0.5 dum"], f"{TYPED} calc_flag"), "X1, which is a dummy"),
    "alternatives": (cif([f"{SALT[0]} 1", f"{SALT[1]} 2"], f"{TYPED} disorder_group"), "disordered"),
    "multiplicity": (
        cif([f"{SALT[0]} 8", f"{SALT[1]} 4"], f"{TYPED} symmetry_multiplicity", group=f"{GROUP} 'F m -3 m'"),
        "12 atoms .*yields 8",
    ),
    "formula units": (cif(SALT, formula="Na Cl", group="_cell_formula_units_Z 4"), "4 formula units"),
    "one name": (cif(SALT) + cif(SALT), "several data blocks named data_x"),
    "cell twice": (cif(SALT) + "_cell_length_a 5\n", "_cell_length_a twice"),
    "label of a carbon": (cif(["O1 0 0 0", "CA1 0.5 0.5 0.5"], PLACES), "CA1 .*reads as Ca and as C"),
    "type of a hydroxide": (cif(["Na1 Na 0 0 0", "H1 HO 0.5 0.5 0.5"]), "reads as Ho and as H"),
    "tetrahedral site": (cif(["T1 T 0 0 0", "O1 O 0.5 0.5 0.5"]), "tetrahedral site, or tritium"),
    "digit outside ASCII": (cif(["Na1 Na 0·1 0 0"]), "Na1 without coordinates"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_cifs_are_refused_with_the_reason(name: str) -> None:
    text, reason = REFUSED[name]
    with pytest.raises(DataError, match=reason):
        structure_of_cif(text)


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        (cif(["As1 As 0 0 0.227"], group=f"{GROUP} 'R -3 m'", a="3.76", b="3.76", c="10.5", gamma="120"), "As6"),
        (
            cif(["Mg1 Mg 0.3333 0.6667 0.25"], group=f"{GROUP} 'P 63/m m c'", a="3.2", b="3.2", c="5.2", gamma="120"),
            "Mg2",
        ),
        (cif(["O1 0 0 0", "CA1 0.5 0.5 0.5"], PLACES, formula="Ca O"), "Ca1 O1"),
        (cif(["Na 0 0 0", "Cl 0.5 0.5 0.5"], "type_symbol fract_x fract_y fract_z"), "Na1 Cl1"),
        (cif(["Ne1 Ne 0 0 0"]), "Ne1"),
        (cif(["Na1 Na 0 0 0 ?", "Cl1 Cl 0.5 0.5 0.5 ."], f"{TYPED} attached_hydrogens"), "Na1 Cl1"),
        ("\ufeff" + cif(SALT).replace("data_x", "DATA_x").replace("_cell_length_a", "_Cell.Length_A"), "Na1 Cl1"),
        ("data_global\n_journal_year 2000\n" + cif(SALT), "Na1 Cl1"),
        (cif(SALT, group="_chemical_formula_structural Halite"), "Na1 Cl1"),
    ],
    ids=["hexagonal", "four digits", "capitals", "types", "neon", "hydrogens", "spelling", "empty block", "mineral"],
)
def test_clear_cifs_are_read(text: str, formula: str) -> None:
    assert structure_of_cif(text).composition.formula == formula


def test_a_typographic_minus_keeps_its_sign() -> None:
    assert structure_of_cif(cif(["Na1 Na 0 0 −0.1"]))[0].frac_coords[2] % 1 == pytest.approx(0.9)


@given(st.sampled_from(cif(SALT, formula="Na Cl").splitlines()), st.text(max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_cif_with_a_line_replaced_is_read_or_refused(line: str, other: str) -> None:
    try:
        structure = structure_of_cif(cif(SALT, formula="Na Cl").replace(line, other))
    except DataError:
        return
    assert structure.composition.formula in ("Na1 Cl1", "Na1", "Cl1")


# ---------------------------------------------------------------------- formulas


@pytest.mark.parametrize(
    "formula",
    ["MgCl2.6NH3", "MgCl2.2CH3OH", "Na2O.2SiO2", "CaO.3Al2O3", "Al2O3.2SiO2", "FeO.5", "Fe1e400O", "Fe50%Ni50%"],
)
def test_formulas_with_two_readings_are_refused(formula: str) -> None:
    with pytest.raises(DataError, match=r"r0: .*is not a chemical formula"):
        Compositions.from_formulas([formula], ["r0"])


@pytest.mark.parametrize(
    ("formula", "same"),
    [
        ("H₂O", "H2O"),
        ("CuSO₄·5H₂O", "CuSO9H10"),
        ("CuSO4.5(H2O)", "CuSO9H10"),
        ("CuSO4.5 H2O", "CuSO9H10"),
        ("MgCl2·6NH3", "MgCl2N6H18"),
        ("Fe.5Ni.5", "Fe0.5Ni0.5"),
        ("Li1.5Mn2.5O4", "Li1.5Mn2.5O4"),
        ("Pb(Zr0.52Ti0.48)O3", "PbZr0.52Ti0.48O3"),
    ],
)
def test_clear_formulas_are_read(formula: str, same: str) -> None:
    one, other = Compositions.from_formulas([formula]), Compositions.from_formulas([same])
    assert np.array_equal(one.numbers, other.numbers)
    assert one.amounts == pytest.approx(other.amounts)


def test_equal_fractions_round_to_one_formula() -> None:
    same = Compositions.from_formulas([f"Fe{12345 * k}Ni{87655 * k}" for k in range(1, 50)] + ["Fe0.12345Ni0.87655"])
    assert len(set(same.normalised_formulas())) == 1


# ---------------------------------------------------------------------- structures


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("lattice", "pbc"), ["true", "true", "false"], "pbc = .* three booleans"),
        (("lattice", "pbc"), [True, True], "pbc"),
        (("lattice", "pbc"), None, "pbc"),
        (("lattice", "pbc"), True, "pbc"),
        (("lattice", "matrix"), [[1e300, 0, 0], [0, 4, 0], [0, 0, 4]], "longer than 100000 Å"),
        (("lattice",), {"matrix": [[4, 0, 0], [4, 1e-5, 0], [0, 0, 4]]}, "1e-05 Å apart"),
        (("sites", 0, "species"), [{"element": "Na", "occu": float("nan")}], "disordered"),
    ],
)
def test_more_broken_json_structures_are_refused(
    tmp_path: Path, path: tuple[Any, ...], value: Any, reason: str
) -> None:
    entries = structures()
    for site in entries[3]["sites"]:
        del site["xyz"]  # would contradict another lattice
    place: Any = entries[3]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    rows = {"id": [f"r{i}" for i in range(6)], "s": entries, "y": list(range(6))}
    with pytest.raises(DataError, match=f"(?s)1 of 6 rows are invalid.*r3: .*{reason}"):
        task_of(tmp_path, rows, structure='{ json = "s" }')


def test_skewed_cells_have_the_distances_of_the_same_crystal() -> None:
    cube = np.eye(3) * 4.0
    skewed = np.array([[1, 0, 0], [40, 1, 0], [0, 30, 1]]) @ cube
    structure = Structure(Lattice(skewed), ["Na", "Cl"], [[0, 0, 0], [0.1, 0, 0]])
    plain = Structure(Lattice(cube), ["Na", "Cl"], structure.cart_coords, coords_are_cartesian=True)
    assert least_distances(Crystals.from_pymatgen([structure, plain])) == pytest.approx([0.4, 0.4])


# ---------------------------------------------------------------------- tables


def csv_task(folder: Path, content: str | bytes, kind: str = "regression", more: str = "") -> Task:
    """A task of a CSV table with the columns id, f and y."""
    (folder / "t.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / "t.toml").write_text(
        f'name = "t"\ntable = "t.csv"\nid = "id"\ncomposition = "f"\ntarget = "y"\nkind = "{kind}"\n'
        f"folds = {{ k = 2 }}\n{more}"
    )
    return TableTaskSpec.from_toml(folder / "t.toml").load(DataSources(download=False))


PLAIN = "id,f,y\n001,NaCl,1\n01,KCl,2\n1,LiF,3\n1.0,MgO,4\n"


def test_ids_keep_leading_zeros_and_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert csv_task(tmp_path, PLAIN.encode("utf-8-sig")).inputs.ids.tolist() == ["001", "01", "1", "1.0"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (PLAIN.encode("utf-16"), "zero bytes"),
        (PLAIN.replace("NaCl", "Na\0Cl"), "zero bytes"),
        (PLAIN.replace("001", "ä").encode("latin-1"), "utf-8"),
        (PLAIN.replace(",", ";"), "separated by commas, not by ';'"),
        (PLAIN.replace(",", "\t"), "separated by commas"),
        (PLAIN.replace("id,f,y", "id,f,y,y ").replace("\n", ",0\n")[:-3] + "\n", "several columns are named 'y'"),
        (PLAIN.replace("001", "1 "), "more than once: 1"),
        (PLAIN.replace("001", "nan"), "1 rows have no id"),
        (PLAIN.replace(",1\n", ",1_500\n"), "001: .*'1_500', which is not a number"),
        (PLAIN.replace(",1\n", ',"1,5"\n'), "001: .*'1,5', which is not a number"),
        (PLAIN.replace(",1\n", ",inf\n"), "001: its 'y' is not finite"),
    ],
)
def test_doubtful_tables_are_refused(tmp_path: Path, content: str | bytes, reason: str) -> None:
    with pytest.raises(CrystalBenchError, match=f"(?s){reason}"):
        csv_task(tmp_path, content)


def test_infinite_targets_are_dropped_if_the_task_file_says_so(tmp_path: Path) -> None:
    task = csv_task(tmp_path, PLAIN.replace(",1\n", ",-inf\n"), more='invalid = "drop"\n')
    assert task.inputs.ids.tolist() == ["01", "1", "1.0"]
    assert "dropped as invalid: 001: its 'y' is not finite" in task.remarks


@pytest.mark.parametrize("other", ["01", "1.0", "+1"])
def test_one_number_in_two_spellings_is_no_label(tmp_path: Path, other: str) -> None:
    rows = "".join(f"r{i},NaCl,{label}\n" for i, label in enumerate(["1", "0", other, "0"]))
    with pytest.raises(DataError, match=r"labels '1' and .* are one number"):
        csv_task(tmp_path, f"id,f,y\n{rows}", "binary")


@pytest.mark.parametrize("other", ["Yes", "YES", "yes\u200b", "ｙｅｓ"])
def test_one_class_in_two_spellings_is_refused(tmp_path: Path, other: str) -> None:
    labels = ["yes", "no", other, "no"]
    rows = "".join(f"r{i},NaCl,{label}\n" for i, label in enumerate(labels))
    with pytest.raises(DataError, match=r"r2: label .*looks like 'yes' of r0"):
        csv_task(tmp_path, f"id,f,y\n{rows}", "binary")


def test_json_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    text = json.dumps({"id": ["a", "b"], "f": ["NaCl", "KCl"], "y": [1, 2]})
    (tmp_path / "t.json").write_text(text[:-1] + ', "y": [3, 4]}')
    (tmp_path / "t.toml").write_text(
        'name = "t"\ntable = "t.json"\nid = "id"\ncomposition = "f"\ntarget = "y"\nkind = "regression"\n'
        "folds = { k = 2 }\n"
    )
    with pytest.raises(DataError, match="several columns are named 'y'"):
        TableTaskSpec.from_toml(tmp_path / "t.toml").load(DataSources(download=False))
