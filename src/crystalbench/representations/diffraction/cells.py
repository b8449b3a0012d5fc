"""Standard cells: the same cell and orientation for every description of a crystal."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import moyopy
import numpy as np
import numpy.typing as npt

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


def _standard_cells(crystals: Crystals, cell: str, symprec: float) -> Crystals:
    lattices, coords, numbers = [], [], []
    for i in range(len(crystals)):
        rows = slice(crystals.offsets[i], crystals.offsets[i + 1])
        own = crystals.lattices[i], crystals.frac_coords[rows], crystals.numbers[rows]
        try:
            found = _standard(*own, cell, symprec)
        except ValueError as error:
            log.warning(
                "%s: no symmetry found (%s); its diffraction pattern uses the given cell", crystals.ids[i], error
            )
            found = own
        lattices.append(found[0])
        coords.append(found[1])
        numbers.append(found[2])
    stacked = np.array(lattices).reshape(-1, 3, 3)
    return Crystals.from_flat(
        np.linalg.cholesky(stacked @ stacked.transpose(0, 2, 1)),
        np.concatenate(coords) if coords else np.zeros((0, 3)),
        np.concatenate(numbers) if numbers else np.zeros(0, np.uint8),
        [len(z) for z in numbers],
        crystals.ids,
    )


def _standard(
    lattice: npt.NDArray[np.float64],
    coords: npt.NDArray[np.float64],
    numbers: npt.NDArray[np.uint8],
    cell: str,
    symprec: float,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Lattice, coordinates and atomic numbers in the standard cell.

    Raises:
        ValueError: no symmetry is found, or the standard cell has another composition.
    """
    wrapped = coords - np.floor(coords)
    dataset = moyopy.MoyoDataset(moyopy.Cell(lattice.tolist(), wrapped.tolist(), numbers.tolist()), symprec=symprec)
    found = dataset.prim_std_cell if cell == "primitive" else dataset.std_cell
    new_numbers = np.array(found.numbers, dtype=np.uint8)
    before, after = np.bincount(numbers, minlength=256), np.bincount(new_numbers, minlength=256)
    if not np.array_equal(before * len(new_numbers), after * len(numbers)):
        raise ValueError("atoms of different elements would be merged")
    return np.array(found.basis), np.array(found.positions).reshape(-1, 3), new_numbers
