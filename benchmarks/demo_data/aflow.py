"""The AFLOW prototypes in pymatgen, with the crystal system of their geometry.

Source: M. J. Mehl et al., The AFLOW Library of Crystallographic Prototypes: Part 1, Comput. Mater. Sci. 136, S1 (2017).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import spglib
from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY

from benchmarks.demo_data.table import geometry_columns, rounded_geometry

if TYPE_CHECKING:
    from pymatgen.core import Structure

SYMPREC = 0.1  # Å: the library's coordinates come from experiments, rounded to two to four decimals

_LAST_SPACE_GROUP = {
    "triclinic": 2,
    "monoclinic": 15,
    "orthorhombic": 74,
    "tetragonal": 142,
    "trigonal": 167,
    "hexagonal": 194,
    "cubic": 230,
}


def crystal_system(space_group: int) -> str:
    """Return the crystal system of a space group (1 to 230); trigonal and hexagonal are different systems."""
    return next(system for system, last in _LAST_SPACE_GROUP.items() if space_group <= last)


def prototype_rows() -> tuple[list[dict[str, Any]], list[str]]:
    """Return one row per prototype, and one line for each prototype whose space group differs from its AFLOW label.

    Rows are sorted by AFLOW label, mineral, formula and Strukturbericht, so that ids do not depend on pymatgen's order.
    """
    rows, disagreements = [], []
    for position, entry in enumerate(sorted(AFLOW_PROTOTYPE_LIBRARY, key=_sort_key), start=1):
        row = _row(f"demo-prototype-{position:03d}", entry)
        rows.append(row)
        labelled = _labelled_space_group(entry["tags"]["aflow"])
        if labelled != row["spg_num"]:
            label = f"{labelled} ({crystal_system(labelled)})"
            disagreements.append(f"{row['id']} {row['name']}: {label} → {row['spg_num']} ({row['crystal_system']})")
    return rows, disagreements


def _sort_key(entry: dict[str, Any]) -> tuple[str, ...]:
    tags = entry["tags"]
    return tags["aflow"], tags["mineral"], entry["snl"].structure.composition.reduced_formula, tags["strukturbericht"]


def _labelled_space_group(label: str) -> int:
    """Return the space group in an AFLOW label: stoichiometry, Pearson symbol, space group, Wyckoff letters."""
    return int(re.split("_", label)[2])


def _row(identifier: str, entry: dict[str, Any]) -> dict[str, Any]:
    structure: Structure = entry["snl"].structure
    name = " ".join(part for part in (entry["tags"]["aflow"], entry["tags"]["mineral"]) if part)
    if not structure.is_ordered:
        raise ValueError(f"{identifier} ({name}) has partially occupied sites; the demo data must be ordered.")
    lattice, frac_coords = rounded_geometry(structure.lattice.matrix, structure.frac_coords)
    numbers = structure.atomic_numbers  # deuterium would be hydrogen (Z = 1)
    space_group = spglib.get_symmetry_dataset((lattice, frac_coords, numbers), symprec=SYMPREC).number
    return {
        "id": identifier,
        "name": name,
        "formula": structure.composition.reduced_formula,
        **geometry_columns(lattice, frac_coords, numbers),
        "crystal_system": crystal_system(space_group),
        "spg_num": space_group,
    }
