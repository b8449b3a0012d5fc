"""CIFs of which the parser skips a part in silence, or takes one thing for another."""

from __future__ import annotations

import pytest
from test_hostile_input import SALT, cif

from crystalbench.errors import DataError
from crystalbench.tasks.cif import structure_of_cif

GROUP = "_symmetry_space_group_name_H-M"
HALL = "_space_group_name_Hall"
OPERATIONS = "loop_\n_symmetry_equiv_pos_as_xyz\n"
GENERAL = ["Na1 Na 0.1 0.2 0.3"]
TYPED = "label type_symbol fract_x fract_y fract_z"
HEXAGONAL = {"a": "4", "b": "4", "c": "6", "gamma": "120"}
SILICON = {"a": "5.43", "b": "5.43", "c": "5.43"}


@pytest.mark.parametrize(
    "operation",
    [
        "\u2013x,\u2013y,\u2013z",  # dashes, which the parser deletes
        "-x,-y,z+\u00bd",
        "-xx,-y,-z",
        "-x,-y,-z+O",
        "-x,-y,z1/2",
        "-x,-y,z+1/4+1/4",
        "x/2,2*y,z",
        "-x,-y,-z,-1",
        "-x-y,-z",
        "(-x,-y,-z)",
    ],
)
def test_operations_of_which_the_parser_skips_a_part_are_refused(operation: str) -> None:
    shown = operation.encode("ascii", errors="replace").decode()
    with pytest.raises(DataError) as caught:
        structure_of_cif(cif(GENERAL, group=f"{OPERATIONS}x,y,z\n'{operation}'"))
    assert f"{shown!r}, which is not a symmetry operation" in str(caught.value)


@pytest.mark.parametrize(
    ("operation", "place"),
    [
        ("-X, -Y, -Z", [0.9, 0.8, 0.7]),
        ("1/2+x,y,z", [0.6, 0.2, 0.3]),
        ("x+.5,+y,z", [0.6, 0.2, 0.3]),
        ("-x,-y,z+3/6", [0.9, 0.8, 0.8]),
        ("\u2212x,\u2212y,\u2212z", [0.9, 0.8, 0.7]),
    ],
)
def test_operations_in_all_clear_spellings_are_read(operation: str, place: list[float]) -> None:
    structure = structure_of_cif(cif(GENERAL, group=f"{OPERATIONS}x,y,z\n'{operation}'"))
    places = [(site.frac_coords % 1).round(6).tolist() for site in structure]
    assert sorted(places) == sorted([[0.1, 0.2, 0.3], place])


REFUSED = {
    "blanks in an operation": (cif(GENERAL, group=f"{OPERATIONS}x, y, z\n-x, -y, -z"), "quote operations with blanks"),
    "unknown operation": (cif(GENERAL, group=f"{OPERATIONS}x,y,z\n?"), "operation that is unknown"),
    "two symbols": (cif(SALT, group=f"{GROUP} 'P 1'\n_space_group_name_H-M_alt 'F m -3 m'"), "'P 1', but also 'F m"),
    "Hall symbol of another group": (
        cif(SALT, group=f"{GROUP} 'P 1'\n{HALL} '-F 4 2 3'"),
        "'P 1', but also '-F 4 2 3'",
    ),
    "two numbers": (cif(SALT, group="_space_group_IT_number 1\n_symmetry_Int_Tables_number 225"), "but the number 225"),
    "unknown Hall symbol": (cif(SALT, group=f"{HALL} 'P 9 9'"), "Hall symbol 'P 9 9', which is unknown"),
    "cubic without operations": (
        cif(SALT, group="_symmetry_cell_setting cubic"),
        "says that it is cubic, but has the symmetry operations of P1",
    ),
    "system of another group": (
        cif(SALT, group=f"_space_group_crystal_system hexagonal\n{GROUP} 'F m -3 m'"),
        "it is hexagonal, but has the symmetry operations of Fm-3m",
    ),
    "magnetic group": (cif(SALT, group="_space_group_magn.name_BNS 'F m -3 m'"), "magnetic symmetry groups only"),
    "wave vector": (cif(SALT, group="_cell_wave_vector_x 0.3"), "is modulated"),
    "exponent after the uncertainty": (cif(["Na1 Na 5(1)E-1 0 0"]), "Na1 without coordinates .*'5.1.E-1'"),
    "underscore": (cif(["Na1 Na 0.1_5 0 0"]), "Na1 without coordinates"),
    "length with a blank": (cif(SALT, a="5 .64"), "_cell_length_a with several values .5 .64."),
    "symbol without quotes": (cif(SALT, group=f"{GROUP} F m -3 m"), "H-M with several values"),
    "other name of the occupancy": (
        cif([f"{SALT[0]} 0.5", f"{SALT[1]} 1"], f"{TYPED} site_occupancy"),
        "_atom_site_site_occupancy 0.5; occupancies are named",
    ),
    "misspelled occupancy": (cif([f"{SALT[0]} 0.5", f"{SALT[1]} 1"], f"{TYPED} ocupancy"), "_atom_site_ocupancy 0.5"),
    "disorder about a mirror": (cif([f"{SALT[0]} -1", f"{SALT[1]} ."], f"{TYPED} disorder_group"), "symmetry element"),
    "orders of the site symmetry": (
        cif([f"{SALT[0]} 48", f"{SALT[1]} 24"], f"{TYPED} site_symmetry_order", group=f"{GROUP} 'F m -3 m'"),
        "sites with 12 atoms .*yields 8",
    ),
    "value missing": (cif(["Na1 Na 0 0 0", "Cl1 Cl 0.5 0.5"]), "do not fill its rows"),
    "value too many": (cif(["Na1 Na 0 0 0", "Cl1 Cl 0.5 0.5 0.5 1"]), "do not fill its rows"),
    "no sites in the loop": (cif([]), "do not fill its rows"),
    "no name of the block": (cif(SALT).partition("\n")[2], "no line data_NAME"),
    "open text field": (cif(SALT) + ";\nlost\n", "not closed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_parser_would_skip_is_refused_with_the_reason(name: str) -> None:
    text, reason = REFUSED[name]
    with pytest.raises(DataError, match=reason):
        structure_of_cif(text)


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        (cif(GENERAL, group=f"{HALL} 'P 3 2'", **HEXAGONAL), "Na6"),  # P312; the symbol P 32 is another group
        (cif(GENERAL, group=f"{HALL} 'P 6 2'", **HEXAGONAL), "Na12"),
        (cif(GENERAL, group=f"{HALL} 'P 4 2'"), "Na8"),
        (cif(GENERAL, group=f"{HALL} '-P 1'"), "Na2"),
        (cif(["Si1 Si 0 0 0"], group=f"{HALL} 'F 4d 2 3 -1d'", **SILICON), "Si8"),
        (cif(["Si1 Si 0.125 0.125 0.125"], group=f"{GROUP} 'F d -3 m'\n{HALL} '-F 4vw 2vw 3'", **SILICON), "Si8"),
        (cif([f"{SALT[0]} 0.5(1)", f"{SALT[1]} 1"], f"{TYPED} adp_occupancy_su"), "Na1 Cl1"),
        (cif(SALT, group=f"_symmetry_cell_setting Cubic\n{GROUP} 'F m -3 m'"), "Na4 Cl4"),
        (
            cif(["As1 As 0 0 0.2"], group=f"_symmetry_cell_setting hexagonal\n{GROUP} 'R -3 m'", **HEXAGONAL),
            "As6",
        ),
        (cif(SALT, group=f"{GROUP} 'P 1'").replace(" ", "\t"), "Na1 Cl1"),
        (cif(SALT) + "\x1a", "Na1 Cl1"),
        (cif(SALT, a="4.0(1) # Angstrom"), "Na1 Cl1"),
    ],
    ids=[
        *("P312", "P622", "P422", "P-1", "first origin", "second origin", "uncertainty", "system", "axes"),
        *("tabs", "end of file", "comment"),
    ],
)
def test_what_the_parser_would_misread_is_read_as_it_is_meant(text: str, formula: str) -> None:
    assert structure_of_cif(text).composition.formula == formula


def test_a_cif_that_is_no_text_is_refused() -> None:
    with pytest.raises(DataError, match="its CIF is an integer, not text"):
        structure_of_cif(5)
