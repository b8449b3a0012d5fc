"""CIFs that say one thing twice and differently, and CIFs whose cell is not all that they describe."""

from __future__ import annotations

import pytest
from test_hostile_input import SALT, WITH_OCCUPANCY, cif

from crystalbench.errors import DataError
from crystalbench.tasks.cif import structure_of_cif

GROUP = "_symmetry_space_group_name_H-M"
OPERATIONS = "loop_\n_symmetry_equiv_pos_as_xyz\n"
GENERAL = ["Na1 Na 0.1 0.2 0.3"]
LIME = ["Ca1 Ca 0 0 0", "O1 O 0.5 0.5 0.5"]
TYPED = "label type_symbol fract_x fract_y fract_z"
MAGNETIC = (
    "loop_\n_space_group_symop_magn_operation.id\n_space_group_symop_magn_operation.xyz\n1 x,y,z,+1\n2 -x,-y,-z,-1"
)

REFUSED = {
    "triclinic operations of P 1": (
        cif(GENERAL, group=f"{GROUP} 'P 1'\n{OPERATIONS}x,y,z\n-x,-y,-z"),
        "'P 1', but lists the symmetry operations of P-1",
    ),
    "fewer operations than the group": (
        cif(GENERAL, group=f"{GROUP} 'F m -3 m'\n{OPERATIONS}x,y,z\n-x,-y,-z"),
        "'F m -3 m', but lists the symmetry operations of P-1",
    ),
    "operations of another group": (
        cif(GENERAL, group=f"{GROUP} 'P -1'\n{OPERATIONS}x,y,z\n-x,y,-z"),
        "'P -1', but lists the symmetry operations of P2",
    ),
    "operations of another group by a symbol of spglib": (
        cif(GENERAL, group=f"{GROUP} 'P 21/c'\n{OPERATIONS}x,y,z\n-x,y,-z"),
        "'P 21/c', but lists the symmetry operations of P2",
    ),
    "another setting than that of the number": (
        cif(GENERAL, group=f"{GROUP} 'P 21/n'\n_symmetry_Int_Tables_number 14"),
        "'P 21/n', which is unknown; its number does not say the setting",
    ),
    "number of another group": (
        cif(GENERAL, group=f"_space_group_IT_number 3\n{OPERATIONS}x,y,z\n-x,-y,-z"),
        "'3', but lists the symmetry operations of P-1",
    ),
    "a third of a translation": (cif(GENERAL, group=f"{OPERATIONS}x,y,z\nx+1/3,y,z"), "not a group"),
    "two of three centrings": (
        cif(GENERAL, group=f"{OPERATIONS}x,y,z\nx+1/2,y+1/2,z\nx+1/2,y,z+1/2"),
        "lists 3 symmetry operations, which are not a group",
    ),
    "volume": (cif(SALT, group="_cell_volume 100"), "_cell_volume 100, but its cell has 64"),
    "weight without formula": (cif(LIME, group="_chemical_formula_weight 74.1"), "formula weight of 74.1"),
    "hydrogen of the moiety": (cif(LIME, group="_chemical_formula_moiety 'Ca O, H2 O'"), "without H"),
    "hydrogen of the IUPAC formula": (cif(LIME, group="_chemical_formula_iupac 'Ca (O H)2'"), "without H"),
    "deuterium of the structural formula": (cif(LIME, group="_chemical_formula_structural 'Ca (O D)2'"), "without H"),
    "multiplicities by their newer name": (
        cif(
            [f"{SALT[0]} 8", f"{SALT[1]} 4"],
            f"{TYPED} site_symmetry_multiplicity",
            group=f"{GROUP} 'F m -3 m'",
        ),
        "12 atoms .*yields 8",
    ),
    "group in another block": (
        f"data_global\n{GROUP} 'F m -3 m'\n" + cif(SALT, group=""),
        "in the data block global, but the atoms in x",
    ),
    "occupancy above one by round-off": (
        cif(["Mg1 Mg 0 0 0 1.00000001", "O1 O 0.5 0.5 0.5 1"], WITH_OCCUPANCY),
        "Mg1 with occupancy 1.00000001",
    ),
    "modulated": (cif(SALT, group="_cell_modulation_dimension 1"), "is modulated"),
    "superspace group": (cif(SALT, group="_space_group_ssg_name 'Fmmm(00g)'"), "is modulated"),
    "magnetic": (cif(GENERAL, group=MAGNETIC), "magnetic symmetry operations only"),
    "water as a label": (cif(["Ca1 0 0 0", "H2O 0.5 0 0"], "label fract_x fract_y fract_z"), "several elements"),
    "two elements in a label": (cif(["Al1/Si1 0 0 0"], "label fract_x fract_y fract_z"), "several elements"),
    "rounded formula": (cif(SALT, formula="Na0.99 Cl"), "doubtful: Incorrect stoichiometry: CIF=.*'Na': 0.99"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_contradictions_are_refused_with_the_reason(name: str) -> None:
    text, reason = REFUSED[name]
    with pytest.raises(DataError, match=reason):
        structure_of_cif(text)


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        (cif(GENERAL, group=f"{GROUP} 'P -1'\n{OPERATIONS}x,y,z\n-x,-y,-z"), "Na2"),
        (
            cif(
                GENERAL, group=f"{GROUP} 'P 21/n'\n{OPERATIONS}x,y,z\n-x+1/2,y+1/2,-z+1/2\n-x,-y,-z\nx+1/2,-y+1/2,z+1/2"
            ),
            "Na4",
        ),
        (cif(GENERAL, group=f"{GROUP} 'P 2/m'\n{OPERATIONS}x,y,z\n-x,-y,z\n-x,-y,-z\nx,y,-z"), "Na4"),
        (
            cif(
                GENERAL,
                group=f"{OPERATIONS}x,y,z\nx+0.333,y+0.667,z+0.667\nx+0.667,y+0.333,z+0.333",
                c="10",
                gamma="120",
            ),
            "Na3",
        ),
        (cif(GENERAL, group=f"{GROUP} 'P 21/c'\n_symmetry_Int_Tables_number 14"), "Na4"),
        (cif(SALT, group="_cell_volume 64.0(2)"), "Na1 Cl1"),
        (cif(SALT, group="_cell_volume ?"), "Na1 Cl1"),
        (cif(SALT, group="_chemical_formula_weight 58.44\n_chemical_formula_moiety 'Na 1+, Cl 1-'"), "Na1 Cl1"),
        (cif(SALT, group="_chemical_formula_weight 116.9\n_chemical_formula_structural 'Halite, Utah'"), "Na1 Cl1"),
        (
            cif([f"{SALT[0]} 4", f"{SALT[1]} 4"], f"{TYPED} site_symmetry_multiplicity", group=f"{GROUP} 'F m -3 m'"),
            "Na4 Cl4",
        ),
        (
            cif([f"{SALT[0]} 48", f"{SALT[1]} 48"], f"{TYPED} symmetry_multiplicity", group=f"{GROUP} 'F m -3 m'"),
            "Na4 Cl4",  # the order of the site symmetry, as some programs write
        ),
        (cif(SALT).replace("data_x", "data_x\n_publ_comment\n;\nloop_\n_atom_site_fract_x\ndata_y\n;"), "Na1 Cl1"),
        (cif(SALT).replace("\n", "\r"), "Na1 Cl1"),
    ],
    ids=[
        "group",
        "setting",
        "unique axis c",
        "decimals",
        "short symbol",
        "volume",
        "no volume",
        "weight",
        "name",
        "multiplicities",
        "orders",
        "text field",
        "carriage returns",
    ],
)
def test_what_agrees_is_read(text: str, formula: str) -> None:
    assert structure_of_cif(text).composition.formula == formula
