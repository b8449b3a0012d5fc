"""Small crystals to test with: every crystal system, known structures and edge cases.

`crystalbench.data.equivalent` has other descriptions of the same crystals.

Coordinates and cells of known structures are rounded literature values; they are meant for tests, not as references.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pymatgen.core import Lattice, Structure
from scipy.spatial.transform import Rotation

from crystalbench.data.crystals import Crystals
from crystalbench.data.equivalent import (  # noqa: F401  (they were defined here)
    atom_order,
    changed,
    inverted,
    moved_by_lattice_vectors,
    other_cells,
    reordered,
    rotated,
    supercells,
    translated,
)

CRYSTAL_SYSTEMS = ("cubic", "tetragonal", "orthorhombic", "hexagonal", "trigonal", "monoclinic", "triclinic")

_Floats = npt.NDArray[np.float64]

_KNOWN: tuple[tuple[str, str, tuple[float, ...], tuple[str, ...], tuple[tuple[float, ...], ...]], ...] = (
    ("copper", "Fm-3m", (3.61, 3.61, 3.61, 90, 90, 90), ("Cu",), ((0, 0, 0),)),
    ("halite", "Fm-3m", (5.64, 5.64, 5.64, 90, 90, 90), ("Na", "Cl"), ((0, 0, 0), (0.5, 0.5, 0.5))),
    ("perovskite", "Pm-3m", (3.9, 3.9, 3.9, 90, 90, 90), ("Sr", "Ti", "O"), ((0, 0, 0), (0.5,) * 3, (0.5, 0.5, 0))),
    ("zinc", "P6_3/mmc", (2.66, 2.66, 4.95, 90, 90, 120), ("Zn",), ((1 / 3, 2 / 3, 0.25),)),
    ("wurtzite", "P6_3mc", (3.25, 3.25, 5.21, 90, 90, 120), ("Zn", "O"), ((1 / 3, 2 / 3, 0), (1 / 3, 2 / 3, 0.382))),
    ("rutile", "P4_2/mnm", (4.59, 4.59, 2.96, 90, 90, 90), ("Ti", "O"), ((0, 0, 0), (0.305, 0.305, 0))),
    ("quartz", "P3_121", (4.91, 4.91, 5.4, 90, 90, 120), ("Si", "O"), ((0.4697, 0, 1 / 3), (0.413, 0.266, 0.2144))),
    ("boride", "Pnma", (5.5, 2.95, 4.06, 90, 90, 90), ("Fe", "B"), ((0.18, 0.25, 0.125), (0.036, 0.25, 0.61))),
    (
        "zirconia",
        "P2_1/c",
        (5.15, 5.21, 5.32, 90, 99.2, 90),
        ("Zr", "O", "O"),
        ((0.275, 0.04, 0.208), (0.07, 0.332, 0.345), (0.45, 0.757, 0.479)),
    ),
)
"""Names, space groups, cells in Å and degrees, elements and sites of known structures."""


# ---------------------------------------------------------------------- crystals


def cell_of(system: str, rng: np.random.Generator) -> _Floats:
    """A random cell of a crystal system: rows are lattice vectors in Å."""
    a, b, c = rng.uniform(2.5, 7.0, 3)
    alpha, beta, gamma = 90.0, 90.0, 90.0
    if system in ("cubic", "trigonal"):
        b = c = a
    if system in ("tetragonal", "hexagonal"):
        b = a
    if system == "hexagonal":
        gamma = 120.0
    if system == "trigonal":
        alpha = beta = gamma = rng.uniform(50, 110)
    if system == "monoclinic":
        beta = rng.uniform(95, 130)
    if system == "triclinic":
        alpha, beta, gamma = rng.uniform(60, 115, 3)
    return cell_from_parameters(a, b, c, alpha, beta, gamma)


def cell_from_parameters(a: float, b: float, c: float, alpha: float, beta: float, gamma: float) -> _Floats:
    """The cell (3, 3) with these lengths in Å and angles in degrees; rows are the lattice vectors."""
    cos_a, cos_b, cos_g = np.cos(np.radians([alpha, beta, gamma]))
    sin_g = np.sin(np.radians(gamma))
    y = (cos_a - cos_b * cos_g) / sin_g
    z = np.sqrt(1 - cos_b**2 - y**2)
    return np.array([[a, 0, 0], [b * cos_g, b * sin_g, 0], [c * cos_b, c * y, c * z]])


def random_crystals(seed: int, n: int = 7, most_atoms: int = 6, largest_z: int = 94) -> Crystals:
    """Random crystals in cells of all crystal systems in turn, rotated at random, with atoms also outside the cell.

    Args:
        seed: random seed.
        n: number of crystals.
        most_atoms: largest number of atoms in a cell.
        largest_z: largest atomic number.
    """
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, most_atoms + 1, n)
    cells = [cell_of(CRYSTAL_SYSTEMS[i % 7], rng) @ Rotation.random(rng=rng).as_matrix() for i in range(n)]
    return Crystals.from_flat(
        np.array(cells),
        rng.uniform(-2, 2, (counts.sum(), 3)),
        rng.integers(1, largest_z + 1, counts.sum()),
        counts,
        [f"crystal-{i}" for i in range(n)],
    )


@lru_cache(maxsize=1)
def known_structures() -> Crystals:
    """Known structures in their conventional cells, with the symmetry of real crystals; one of them is chiral."""
    structures = [
        Structure.from_spacegroup(group, Lattice.from_parameters(*cell), elements, sites)
        for _, group, cell, elements, sites in _KNOWN
    ]
    return Crystals.from_pymatgen(structures, [entry[0] for entry in _KNOWN])


def single_atoms(largest_z: int = 103) -> Crystals:
    """One atom of every element up to an atomic number, in a cube of 4 Å, up to three cells outside of it."""
    return Crystals.from_flat(
        np.tile(np.eye(3) * 4.0, (largest_z, 1, 1)),
        np.random.default_rng(0).uniform(-3, 3, (largest_z, 3)),
        np.arange(1, largest_z + 1),
        np.ones(largest_z, int),
        [f"atom-{z:03d}" for z in range(1, largest_z + 1)],
    )


def isolated_atom(edge: float = 100.0, number: int = 99) -> Crystals:
    """One atom in a large cube with this edge in Å."""
    return one_crystal(np.eye(3) * edge, [[0.1, 0.2, 0.3]], [number], "isolated-atom")


def large_cell(atoms: int = 200, largest_z: int = 103) -> Crystals:
    """Atoms at random in one cube, at the density of ordinary crystals."""
    rng = np.random.default_rng(0)
    edge = 2.4 * np.cbrt(atoms)
    return one_crystal(
        np.eye(3) * edge, rng.random((atoms, 3)), rng.integers(1, largest_z + 1, atoms), f"{atoms}-atoms"
    )


def one_crystal(cell: Any, coords: Any, numbers: Any, name: str = "one") -> Crystals:
    """A single crystal.

    Args:
        cell: (3, 3) rows are the lattice vectors in Å.
        coords: (atoms, 3) fractional coordinates.
        numbers: (atoms,) atomic numbers, or one number for a single atom.
        name: the id.
    """
    numbers = np.atleast_1d(numbers)
    return Crystals.from_flat(np.asarray(cell, float)[None], coords, numbers, [len(numbers)], [name])


def read_only(crystals: Crystals) -> Crystals:
    """A copy with read-only arrays, as memory-mapped ones are."""
    arrays = {name: array.copy() for name, array in crystals.to_arrays().items()}
    for array in arrays.values():
        array.flags.writeable = False
    return Crystals.from_arrays(arrays)
