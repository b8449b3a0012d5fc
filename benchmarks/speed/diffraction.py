"""Diffraction patterns of complete batches, compared with loops over crystals; with and without the cell search."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
from pymatgen.analysis.diffraction.xrd import ATOMIC_SCATTERING_PARAMS
from pymatgen.core import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from benchmarks.speed.graphs import evenly
from benchmarks.speed.phonons import NAME, phonons
from benchmarks.speed.rows import Measurement, Row, Settings
from crystalbench.data.crystals import Crystals
from crystalbench.representations.diffraction import DiffractionPattern
from crystalbench.representations.diffraction.cells import standard_cells
from crystalbench.representations.diffraction.intensities import reciprocal_lattices
from crystalbench.representations.diffraction.pattern import cube_intensities, miller_indices

MAX_INDEX = 3
SYMPREC = 0.1
SAMPLE = 200
TOLERANCE = 1e-9
"""Largest difference between intensities in the same cell, relative to the strongest."""
LENGTH_TOLERANCE = 1e-3
"""Largest difference in Å⁻¹ between |g| in cells that were found by different searches."""
CELL_TOLERANCE, CELL_SHARE = 1e-3, 0.95
"""Tolerance relative to the strongest intensity, and the share of crystals that must be within it. Not all can be:
moyopy and spglib may move atoms to different positions within ``SYMPREC``."""

Pattern = Callable[[Structure], np.ndarray]


def plain_pattern(structure: Structure) -> np.ndarray:
    """Intensities (343,) at `miller_indices`, with a loop over points as in pymatgen's `XRDCalculator`.

    What is the same for all points is computed outside the loop, so this is faster than pymatgen.
    """
    numbers, parameters = _scattering(structure)
    heights, decays = 41.78214 * parameters[:, :, 0], -parameters[:, :, 1]
    turns = 2j * np.pi * structure.frac_coords
    miller = miller_indices(MAX_INDEX)
    intensities = np.empty(len(miller))
    for place, (hkl, s_squared) in enumerate(zip(miller, _s_squared(structure, miller), strict=True)):
        factors = numbers - s_squared * (heights * np.exp(decays * s_squared)).sum(1)
        total = factors @ np.exp(turns @ hkl)
        intensities[place] = total.real**2 + total.imag**2
    return np.asarray(intensities / structure.volume**2)


def vectorised_pattern(structure: Structure) -> np.ndarray:
    """Intensities (343,) at `miller_indices`, with NumPy over all points and atoms of a crystal."""
    numbers, parameters = _scattering(structure)
    miller = miller_indices(MAX_INDEX)
    s_squared = _s_squared(structure, miller)[:, None]
    terms = (parameters[:, :, 0] * np.exp(-parameters[:, :, 1] * s_squared[:, :, None])).sum(-1)
    factors = numbers - 41.78214 * s_squared * terms
    totals = (factors * np.exp(2j * np.pi * (miller @ structure.frac_coords.T))).sum(1)
    return (totals.real**2 + totals.imag**2) / structure.volume**2


def _s_squared(structure: Structure, miller: np.ndarray) -> np.ndarray:
    """Squares (points,) of s = |g| / 2, in Å⁻²."""
    return ((miller @ structure.lattice.reciprocal_lattice_crystallographic.matrix) ** 2).sum(1) / 4


def _scattering(structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Atomic numbers (atoms,) and parameters of the form factors (atoms, 4, 2)."""
    elements = [site.specie for site in structure]
    parameters = [ATOMIC_SCATTERING_PARAMS[element.symbol] for element in elements]
    return np.array([element.Z for element in elements]), np.array(parameters)


def check_same_cells(ours: np.ndarray, peer: np.ndarray) -> None:
    """Compare intensities in the same cells.

    Args:
        ours: (n, 343) intensities.
        peer: (n, 343) intensities of the peer.

    Raises:
        RuntimeError: a difference exceeds `TOLERANCE`, relative to the strongest intensity of the crystal.
    """
    difference = (np.abs(ours - peer) / peer.max(axis=1, keepdims=True)).max()
    if difference > TOLERANCE:
        raise RuntimeError(f"intensities differ from the peer's by up to {difference:.2g} of the strongest")


def check_found_cells(cells: Crystals, peer: Crystals) -> float:
    """Compare the patterns of cells found by two searches, up to orientation and order of the axes.

    Args:
        cells: n cells.
        peer: n cells found by the peer.

    Returns:
        The share of crystals with the same intensities.

    Raises:
        RuntimeError: the lengths of points differ, or the intensities of too many crystals differ.
    """
    lengths, values = zip(*(_sorted(c) for c in (cells, peer)), strict=True)
    apart = np.abs(lengths[0] - lengths[1]).max()
    if apart > LENGTH_TOLERANCE:
        raise RuntimeError(f"lengths of points differ from the peer's by up to {apart:.2g} Å⁻¹")
    differences = np.abs(values[0] - values[1]).max(axis=1) / values[1].max(axis=1)
    same = float((differences < CELL_TOLERANCE).mean())
    if same < CELL_SHARE:
        raise RuntimeError(f"only {same:.1%} of the crystals have the peer's intensities")
    return same


def _sorted(cells: Crystals) -> tuple[np.ndarray, np.ndarray]:
    """Lengths in Å⁻¹ and intensities, both (n, 342) and ascending, of all points of each cell except the origin."""
    miller = miller_indices(MAX_INDEX)
    kept = miller.any(axis=1)
    lengths = np.linalg.norm(miller[kept] @ reciprocal_lattices(cells), axis=2)
    return np.sort(lengths, axis=1), np.sort(cube_intensities(cells, MAX_INDEX)[:, kept], axis=1)


def _primitive(structure: Structure) -> Structure:
    return SpacegroupAnalyzer(structure, symprec=SYMPREC).get_primitive_standard_structure()


@contextmanager
def _prepare_intensities(settings: Settings, *, pattern: Pattern) -> Iterator[tuple[Measurement, Measurement]]:
    crystals = phonons(settings).inputs
    assert isinstance(crystals, Crystals)
    cells = standard_cells(crystals, symprec=SYMPREC)
    sample = evenly(cells, SAMPLE)
    structures: Sequence[Structure] = sample.to_pymatgen()
    check_same_cells(cube_intensities(sample, MAX_INDEX), np.stack([pattern(s) for s in structures]))
    yield (
        _per_second(lambda: cube_intensities(cells, MAX_INDEX), len(cells)),
        _per_second(lambda: [pattern(structure) for structure in structures], len(structures)),
    )


@contextmanager
def _prepare_with_cells(settings: Settings) -> Iterator[tuple[Measurement, Measurement]]:
    crystals = phonons(settings).limited(SAMPLE).inputs
    assert isinstance(crystals, Crystals)
    structures: Sequence[Structure] = crystals.to_pymatgen()
    found = Crystals.from_pymatgen([_primitive(structure) for structure in structures], crystals.ids)
    check_found_cells(standard_cells(crystals, symprec=SYMPREC), found)
    representation = DiffractionPattern(max_index=MAX_INDEX, symprec=SYMPREC)
    yield (
        _per_second(lambda: representation(crystals), len(crystals)),
        _per_second(lambda: [plain_pattern(_primitive(structure)) for structure in structures], len(crystals)),
    )


def _per_second(work: Callable[[], object], count: int) -> Measurement:
    def measurement() -> float:
        start = time.perf_counter()
        work()
        return count / (time.perf_counter() - start)

    return measurement


def _row(name: str, prepare: Callable[..., object], what: str, target: float | None = None) -> Row:
    against = f"{len(miller_indices(MAX_INDEX))}-point diffraction patterns of {what}"
    return Row(name, "patterns/s", against, prepare, more_is_better=True, target=target)  # type: ignore[arg-type]


_KNOWN_CELLS = f"all crystals of {NAME} in known cells"
_PEER = f"for {SAMPLE} of them, spread evenly over all numbers of atoms"

ROWS = (
    _row(
        "diffraction_patterns_phonons",
        partial(_prepare_intensities, pattern=plain_pattern),
        f"{_KNOWN_CELLS}; NumPy over the atoms, point after point, as in pymatgen's XRDCalculator, {_PEER}",
        target=150,
    ),
    _row(
        "diffraction_patterns_phonons_vectorised",
        partial(_prepare_intensities, pattern=vectorised_pattern),
        f"{_KNOWN_CELLS}; NumPy over points and atoms at once, crystal after crystal, {_PEER}",
    ),
    _row(
        "diffraction_patterns_phonons_with_cells",
        _prepare_with_cells,
        f"{SAMPLE} crystals of {NAME}, search of the primitive standard cell included; pymatgen's SpacegroupAnalyzer, "
        "then point after point",
    ),
)
