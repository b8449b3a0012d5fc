"""Views by symmetry: the primitive cell, exact symmetry, the lattice alone, or the symmetry alone."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import spglib

from crystalbench.data.crystals import Crystals
from crystalbench.data.views.labels import LABELS, anonymous_numbers
from crystalbench.data.views.rows import Floats, OneCrystal, each, oriented
from crystalbench.data.views.wyckoff import built_from_symmetry

FINE = 0.01
"""Tolerance in Å for the symmetry that a view keeps."""

COARSE = 0.1
"""Tolerance in Å for the symmetry that is made exact."""

log = logging.getLogger(__name__)


def primitive(crystals: Crystals) -> Crystals:
    """Every crystal in a Niggli-reduced primitive cell, within 0.01 Å; atoms stay where they are."""
    return each(crystals, primitive_cell)


def symmetrised(crystals: Crystals) -> Crystals:
    """Every crystal in its standard primitive cell, with atoms and cell on exact symmetry, within 0.1 Å."""
    return each(crystals, _standard_cell)


def lattice_only(crystals: Crystals) -> Crystals:
    """The Niggli-reduced lattice of every crystal, within 0.01 Å, with one placeholder atom per lattice point."""
    return each(crystals, _bare_lattice)


def symmetry_only(crystals: Crystals) -> Crystals:
    """Space group and occupied Wyckoff positions, within 0.01 Å, with a cell and coordinates that follow from these.

    Every orbit of atoms becomes a label of its own. Cells have 20 Å³ per atom and a fixed shape per crystal system.
    """
    return each(crystals, _generic)


def primitive_cell(one: OneCrystal) -> OneCrystal:
    """The Niggli-reduced primitive cell with unmoved atoms; the given cell, with a warning, without symmetry."""
    dataset = _symmetry(one)
    if dataset is None:
        return one
    atoms = np.unique(np.asarray(dataset.mapping_to_primitive), return_index=True)[1]
    lattice = _reduced(np.asarray(dataset.primitive_lattice, dtype=np.float64))
    if len(atoms) == len(one.numbers) and np.allclose(lattice @ lattice.T, one.lattice @ one.lattice.T, atol=1e-6):
        return one
    coords = one.coords[atoms] @ one.lattice @ np.linalg.inv(lattice)
    coords = coords - np.floor(coords)
    return OneCrystal(lattice, coords, one.numbers[atoms], one.name)


def _symmetry(one: OneCrystal) -> Any:
    """The symmetry of a crystal from spglib, within 0.01 Å; None, with a warning, if it finds none."""
    cell: Any = (one.lattice, one.coords, one.numbers)
    try:
        found: Any = spglib.get_symmetry_dataset(cell, symprec=FINE)
        reason = "spglib finds none"
    except Exception as error:  # the class of spglib's errors differs between its versions
        found, reason = None, str(error)
    if found is None:
        _warn(one, reason)
    return found


def _standard_cell(one: OneCrystal) -> OneCrystal:
    """The standard primitive cell on exact symmetry; the given cell, with a warning, if it cannot be found."""
    cell: Any = (one.lattice, one.coords, one.numbers)
    try:
        found: Any = spglib.standardize_cell(cell, to_primitive=True, no_idealize=False, symprec=COARSE)
        reason = "spglib finds none"
    except Exception as error:  # the class of spglib's errors differs between its versions
        found, reason = None, str(error)
    if found is not None:
        lattice, coords, numbers = (np.asarray(part) for part in found)
        before, after = np.bincount(one.numbers, minlength=256), np.bincount(numbers, minlength=256)
        if np.array_equal(before * len(numbers), after * len(one.numbers)):
            return OneCrystal(lattice, coords, numbers.astype(np.uint8), one.name)
        reason = "atoms of different elements would be merged"
    _warn(one, reason)
    return one


def _warn(one: OneCrystal, reason: str) -> None:
    log.warning("%s: its symmetry cannot be determined (%s); the view uses the given cell", one.name, reason)


def _reduced(lattice: Floats) -> Floats:
    """The Niggli-reduced lattice, in the same orientation; the lattice itself if spglib cannot reduce it."""
    try:
        found = spglib.niggli_reduce(lattice)
    except Exception:  # the class of spglib's errors differs between its versions
        found = None
    return lattice if found is None else np.asarray(found, dtype=np.float64)


def _bare_lattice(one: OneCrystal) -> OneCrystal:
    lattice = oriented(primitive_cell(one).lattice)
    return OneCrystal(lattice, np.zeros((1, 3)), np.array([LABELS[0]], dtype=np.uint8), one.name)


def _generic(one: OneCrystal) -> OneCrystal:
    dataset = _symmetry(one)
    hall, places, orbits = (1, one.coords, np.arange(len(one.numbers))) if dataset is None else _standard_sites(dataset)
    built = built_from_symmetry(hall, [places[orbits == orbit] for orbit in np.unique(orbits)])
    return primitive_cell(built._replace(numbers=anonymous_numbers(built), name=one.name))


def _standard_sites(dataset: Any) -> tuple[int, Floats, Any]:
    """Hall number, positions in the standard cell, and orbits of these positions."""
    primitive = np.asarray(dataset.mapping_to_primitive)
    first = {int(p): i for i, p in reversed(list(enumerate(primitive)))}
    atoms = [first[int(p)] for p in dataset.std_mapping_to_primitive]
    orbits = np.asarray(dataset.crystallographic_orbits)[atoms]
    return int(dataset.hall_number), np.asarray(dataset.std_positions), orbits
