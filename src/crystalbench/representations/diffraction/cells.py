"""Standard cells: one cell and one orientation for every description of a crystal."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import moyopy
import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, joined
from crystalbench.representations.processes import by_chunks

CELLS = ("primitive", "conventional")

_CHUNK = 256  # crystals that a process is given at once
_WORTH_PROCESSES = 2_000  # crystals, a second's work

log = logging.getLogger(__name__)

# It warns of symmetry operations that do not fit a supercell, which the cells made here do not depend on.
logging.getLogger("moyo").setLevel(logging.ERROR)


def standard_cells(crystals: Crystals, cell: str = "primitive", symprec: float = 0.1) -> Crystals:
    """Every crystal in its standard cell, with atoms moved to where the symmetry found wants them.

    moyopy finds the symmetry and the cells, which follow the conventions of spglib (Togo, Shinohara and Tanaka, Sci.
    Technol. Adv. Mater. Meth. 4, 2384822, 2024). Up to orientation and order of the axes, they are those of pymatgen's
    ``SpacegroupAnalyzer`` for almost all crystals; where a symmetry is slightly broken, the two may move atoms to
    different places. The first vector is turned along x and the second into the xy plane, so that a turned crystal
    gives the same result; a left-handed cell is mirrored.

    A crystal whose symmetry is not found (two atoms on one place, for instance) keeps its own cell and coordinates; a
    warning names it. Large inputs are shared out among processes (`CRYSTALBENCH_PROCESSES`).

    Args:
        crystals: n crystals.
        cell: ``primitive`` or ``conventional``.
        symprec: largest distance in Å by which an atom may miss a symmetric place.

    Returns:
        The n crystals with the same ids; the numbers of atoms may differ.
    """
    return joined(by_chunks(partial(_standard_cells, cell=cell, symprec=symprec), crystals, _CHUNK, _WORTH_PROCESSES))


def _standard_cells(crystals: Crystals, cell: str, symprec: float) -> Crystals:
    lattices, coords, numbers = [], [], []
    for i in range(len(crystals)):
        rows = slice(crystals.offsets[i], crystals.offsets[i + 1])
        given = crystals.lattices[i], crystals.frac_coords[rows], crystals.numbers[rows]
        try:
            found = _standard(*given, cell, symprec)
        except ValueError as error:
            log.warning(
                "%s: no symmetry found (%s); its diffraction pattern is of the cell as given", crystals.ids[i], error
            )
            found = given
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
        ValueError: no symmetry is found, or the cell found has another composition.
    """
    wrapped = coords - np.floor(coords)
    dataset = moyopy.MoyoDataset(moyopy.Cell(lattice.tolist(), wrapped.tolist(), numbers.tolist()), symprec=symprec)
    found = dataset.prim_std_cell if cell == "primitive" else dataset.std_cell
    new_numbers = np.array(found.numbers, dtype=np.uint8)
    before, after = np.bincount(numbers, minlength=256), np.bincount(new_numbers, minlength=256)
    if not np.array_equal(before * len(new_numbers), after * len(numbers)):
        raise ValueError("atoms of different elements would become one")
    return np.array(found.basis), np.array(found.positions).reshape(-1, 3), new_numbers
