"""Rows of ordered alloys of seven metals, relaxed with the effective-medium potential."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from benchmarks.demo_data.emt import EMT_METALS
from benchmarks.demo_data.phonons import heat_capacity_and_energy, is_stable, squared_frequencies
from benchmarks.demo_data.relaxation import bulk_modulus, energy_per_atom, relax
from benchmarks.demo_data.strukturbericht import BINARIES, ELEMENTS, TERNARIES, Prototype
from benchmarks.demo_data.table import PROPERTY_DECIMALS, geometry_columns, rounded_geometry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ase import Atoms

REFERENCE_PROTOTYPES = ELEMENTS[:3]
START_VOLUME = 14.0  # Å³/atom, between Ni and Ag: start of the relaxation of the elements
SAME_ENERGY = 1e-5  # eV/atom
SAME_VOLUME = 1e-4  # relative


def candidates() -> Iterator[tuple[Prototype, dict[str, str]]]:
    """Yield each prototype with each of its occupations, in the order of the ids."""
    for prototype in (*ELEMENTS, *BINARIES, *TERNARIES):
        for occupation in prototype.occupations():
            yield prototype, occupation


def element_references() -> dict[str, Atoms]:
    """Return the relaxed crystal of each metal in the most stable of the structures A1, A2 and A3."""
    references = {}
    for metal in EMT_METALS:
        relaxed = (relax(p.primitive_cell({"A": metal}, {metal: START_VOLUME})) for p in REFERENCE_PROTOTYPES)
        references[metal] = min(relaxed, key=energy_per_atom)
    return references


def relaxed_alloy(prototype: Prototype, occupation: dict[str, str], references: dict[str, Atoms]) -> Atoms:
    """Return the relaxed primitive cell."""
    volumes = {metal: crystal.cell.volume / len(crystal) for metal, crystal in references.items()}
    return relax(prototype.primitive_cell(occupation, volumes))


def properties(atoms: Atoms, references: dict[str, Atoms]) -> dict[str, float | bool | None]:
    """Return the property columns of a relaxed crystal; the thermodynamic ones of an unstable crystal are ``None``."""
    alone = sum(energy_per_atom(references[symbol]) for symbol in atoms.get_chemical_symbols()) / len(atoms)
    squared = squared_frequencies(atoms)
    stable = is_stable(squared)
    thermodynamic: dict[str, float | None] = {}
    for name, per_cell in zip(("heat_capacity", "internal_energy"), heat_capacity_and_energy(squared), strict=True):
        per_atom = round(per_cell / len(atoms), PROPERTY_DECIMALS)
        thermodynamic[f"{name}_per_atom"] = per_atom if stable else None
        thermodynamic[f"{name}_per_cell"] = round(per_atom * len(atoms), PROPERTY_DECIMALS) if stable else None
    return {
        "formation_energy": round(energy_per_atom(atoms) - alone, PROPERTY_DECIMALS) + 0.0,
        "bulk_modulus": round(bulk_modulus(atoms), PROPERTY_DECIMALS),
        **thermodynamic,
        "dynamically_stable": stable,
    }


def alloy_rows(progress: Callable[[str], None]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return one row per distinct relaxed crystal, and one line for each crystal that equals an earlier one.

    A crystal keeps the name of the prototype that it started from, even if it relaxed to another structure. It is
    dropped if it relaxed to the same structure as an earlier crystal of the same composition.
    """
    rows: list[dict[str, Any]] = []
    dropped: list[str] = []
    kept: dict[str, list[tuple[str, Atoms]]] = defaultdict(list)
    references = element_references()
    last = ""
    for prototype, occupation in candidates():
        if prototype.name != last:
            progress(f"{len(rows):5d} rows, {prototype.name} next")
            last = prototype.name
        atoms = relaxed_alloy(prototype, occupation, references)
        formula = _structure(atoms).composition.reduced_formula
        twin = next((name for name, other in kept[formula] if _same(atoms, other)), None)
        if twin is not None:
            dropped.append(f"{prototype.name} {formula} relaxed to the {twin} row")
            continue
        kept[formula].append((prototype.name, atoms))
        row = {
            "id": f"demo-alloy-{len(rows) + 1:04d}",
            "prototype": prototype.name,
            "formula": formula,
            **geometry_columns(*rounded_geometry(atoms.cell.array, atoms.get_scaled_positions()), atoms.numbers),
            **properties(atoms, references),
        }
        rows.append(row)
    return rows, dropped


def _same(one: Atoms, other: Atoms) -> bool:
    """Return whether two crystals of one composition have the same structure; the cheap checks come first."""
    if abs(energy_per_atom(one) - energy_per_atom(other)) > SAME_ENERGY:
        return False
    ratio = one.cell.volume / len(one) / (other.cell.volume / len(other))
    if abs(np.log(ratio)) > SAME_VOLUME:
        return False
    matcher = StructureMatcher(ltol=0.01, stol=0.01, angle_tol=0.5, scale=False)
    return bool(matcher.fit(_structure(one), _structure(other)))


def _structure(atoms: Atoms) -> Structure:
    return Structure(Lattice(atoms.cell.array), atoms.numbers.tolist(), atoms.get_scaled_positions())
