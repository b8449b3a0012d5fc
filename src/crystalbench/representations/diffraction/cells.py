"""Standard cells: the same cell and orientation for every description of a crystal."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from functools import partial

import moyopy
import numpy as np

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.representations.processes import by_chunks

CELLS = ("primitive", "conventional")

_CHUNK = 256  # crystals per chunk of work
_WORTH_PROCESSES = 2_000  # fewer crystals take less than a second, the time that workers need to start

log = logging.getLogger(__name__)

# moyo warns about symmetry operations that do not fit a supercell, which do not affect the standard cell.
logging.getLogger("moyo").setLevel(logging.ERROR)


def standard_cells(crystals: Crystals, cell: str = "primitive", symprec: float = 0.1) -> Crystals:
    """Every crystal in its standard cell, with atoms on the positions required by the symmetry.

    Symmetry and cells come from moyopy and follow the conventions of spglib (Togo, Shinohara and Tanaka, Sci. Technol.
    Adv. Mater. Meth. 4, 2384822, 2024). Up to the orientation and the order of the axes, they equal those of pymatgen's
    ``SpacegroupAnalyzer`` for almost all crystals; if a symmetry is slightly broken, the two may move atoms to
    different positions. The first vector is rotated onto x and the second into the xy plane, so that the result does
    not depend on the orientation of the crystal; a left-handed cell is mirrored.

    A crystal without a result (because two atoms coincide, for instance) keeps its own cell and coordinates, and a
    warning names it. Large inputs are computed in several processes (`CRYSTALBENCH_PROCESSES`).

    Args:
        crystals: n crystals.
        cell: ``primitive`` or ``conventional``.
        symprec: largest distance in Å of an atom from its symmetric position.

    Returns:
        The n crystals with the same ids; their numbers of atoms may differ from the input.
    """
    return concatenate(
        by_chunks(partial(_standard_cells, cell=cell, symprec=symprec), crystals, _CHUNK, _WORTH_PROCESSES)
    )


_Cell = tuple[list[list[float]], list[list[float]], list[int]]  # lattice, fractional coordinates, atomic numbers


def _standard_cells(crystals: Crystals, cell: str, symprec: float) -> Crystals:
    # moyo takes and gives lists, so conversions and checks are done for all crystals at once or with lists.
    lattices, numbers = crystals.lattices.tolist(), crystals.numbers.tolist()
    wrapped = (crystals.frac_coords - np.floor(crystals.frac_coords)).tolist()
    cells: list[_Cell] = []
    for i, (start, stop) in enumerate(itertools.pairwise(crystals.offsets.tolist())):
        try:
            cells.append(_standard((lattices[i], wrapped[start:stop], numbers[start:stop]), cell, symprec))
        except ValueError as error:
            log.warning(
                "%s: no symmetry found (%s); its diffraction pattern uses the given cell", crystals.ids[i], error
            )
            cells.append((lattices[i], crystals.frac_coords[start:stop].tolist(), numbers[start:stop]))
    stacked = np.array([basis for basis, _, _ in cells], np.float64).reshape(-1, 3, 3)
    return Crystals.from_flat(
        np.linalg.cholesky(stacked @ stacked.transpose(0, 2, 1)),
        np.array([place for _, places, _ in cells for place in places], np.float64).reshape(-1, 3),
        np.array([z for _, _, species in cells for z in species], np.uint8),
        [len(species) for _, _, species in cells],
        crystals.ids,
    )


def _standard(given: _Cell, cell: str, symprec: float) -> _Cell:
    """The standard cell.

    Raises:
        ValueError: no symmetry is found, or the standard cell has another composition.
    """
    dataset = moyopy.MoyoDataset(moyopy.Cell(*given), symprec=symprec)
    found = dataset.prim_std_cell if cell == "primitive" else dataset.std_cell
    species = found.numbers
    before, after = Counter(given[2]), Counter(species)
    if any(before[z] * len(species) != after[z] * len(given[2]) for z in before | after):
        raise ValueError("atoms of different elements would be merged")
    return found.basis, found.positions, species
