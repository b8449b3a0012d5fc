"""Intensities of whole batches of crystals on boxes of the reciprocal lattice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.crystals import Crystals
from crystalbench.representations.diffraction.scattering import form_factors, require_scattering

_CHUNK = 1 << 17  # complex numbers worked on at once: few enough to stay near the processor


@dataclass(frozen=True)
class Box:
    """Intensities of some crystals at the points with |h| ≤ H, |k| ≤ K and 0 ≤ l ≤ L.

    The other half follows from Friedel's law, I(−h, −k, −l) = I(h, k, l).

    Attributes:
        rows: (n,) numbers of the crystals.
        miller: (2H + 1, 2K + 1, L + 1, 3) int64.
        squares: (n, 2H + 1, 2K + 1, L + 1) squares of |g| in Å⁻².
        intensities: (n, 2H + 1, 2K + 1, L + 1).
    """

    rows: npt.NDArray[np.int64]
    miller: npt.NDArray[np.int64]
    squares: npt.NDArray[np.float64]
    intensities: npt.NDArray[np.float64]


def reciprocal_lattices(crystals: Crystals) -> npt.NDArray[np.float64]:
    """Reciprocal lattices (n, 3, 3) in Å⁻¹ without 2π; rows are a*, b*, c*, so that g = (h, k, l) B."""
    return np.asarray(np.linalg.inv(crystals.lattices).transpose(0, 2, 1))


def intensity_boxes(crystals: Crystals, bounds: npt.NDArray[np.int64], scattering: str = "xray") -> Iterator[Box]:
    """Intensities I = |F|² / V² with F = Σ_j f_j(|g| / 2) exp(2πi (h x_j + k y_j + l z_j)).

    No thermal motion, no Lorentz and polarisation factors; V is the volume of the cell. Units are those of the form
    factor squared per Å⁶.

    Args:
        crystals: n crystals, in the cells whose reciprocal lattices are meant.
        bounds: (n, 3) largest Miller indices H, K and L.
        scattering: ``xray`` or ``neutron``.

    Yields:
        Boxes of crystals with equal bounds, until all crystals have been seen once.

    Raises:
        DataError: an element has no scattering length; names the id.
    """
    require_scattering(crystals, scattering)
    kinds, kind_of = np.unique(bounds, axis=0, return_inverse=True)
    for kind, (H, K, L) in enumerate(kinds.tolist()):
        rows = np.flatnonzero(kind_of.reshape(-1) == kind)
        miller = np.stack(
            np.meshgrid(np.arange(-H, H + 1), np.arange(-K, K + 1), np.arange(L + 1), indexing="ij"), axis=-1
        )
        most = max(1, _CHUNK // (miller.size // 3))  # atoms at once
        chunk_of = np.cumsum(crystals.atom_counts[rows]) // most
        for part in np.split(rows, np.flatnonzero(np.diff(chunk_of)) + 1):
            squares, intensities = _box(crystals[part], miller, scattering, most)
            shape = (len(part), *miller.shape[:3])
            yield Box(part, miller, squares.reshape(shape), intensities.reshape(shape))


def _box(
    crystals: Crystals, miller: npt.NDArray[np.int64], scattering: str, most: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Squares of |g| and intensities, both (n, points)."""
    order = np.lexsort((crystals.numbers, crystals.owners))
    owners, numbers = crystals.owners[order], crystals.numbers[order]
    firsts = np.flatnonzero(np.r_[True, (np.diff(owners) != 0) | (np.diff(numbers.astype(int)) != 0)])
    # One row for each element of each crystal: the sum over its atoms of the phase factors.
    sums = np.zeros((len(firsts), miller.size // 3), dtype=np.complex128)
    coords = crystals.frac_coords[order]
    for start in range(0, len(coords), most):
        stop = min(start + most, len(coords))
        first, last = np.searchsorted(firsts, (start, stop - 1), side="right") - 1
        begins = np.maximum(firsts[first : last + 1], start) - start
        sums[first : last + 1] += np.add.reduceat(_phases(coords[start:stop], miller), begins, axis=0)
    flat = miller.reshape(-1, 3).astype(np.float64)
    reciprocal = reciprocal_lattices(crystals)
    metrics = reciprocal @ reciprocal.transpose(0, 2, 1)
    squares = np.maximum(((flat @ metrics) * flat).sum(-1), 0.0)
    sums *= form_factors(numbers[firsts], squares[owners[firsts]] / 4, scattering)
    starts_of_crystals = np.searchsorted(owners[firsts], np.arange(len(crystals)))
    factors = np.add.reduceat(sums, starts_of_crystals, axis=0)
    return squares, (factors.real**2 + factors.imag**2) / (crystals.volumes**2)[:, None]


def _phases(coords: npt.NDArray[np.float64], miller: npt.NDArray[np.int64]) -> npt.NDArray[np.complex128]:
    """exp(2πi (h x + k y + l z)), (atoms, points): a product of three tables, one for each axis."""
    axes = miller[:, 0, 0, 0], miller[0, :, 0, 1], miller[0, 0, :, 2]
    h, k, l = (np.exp(2j * np.pi * coords[:, i, None] * indices) for i, indices in enumerate(axes))  # noqa: E741
    plane = (h[:, :, None] * k[:, None, :]).reshape(len(coords), -1, 1)
    phases: npt.NDArray[np.complex128] = (plane * l[:, None, :]).reshape(len(coords), -1)
    return phases


def mirrored(half: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The whole box (n, 2H + 1, 2K + 1, 2L + 1) of values that are equal at g and −g, from its half with l ≥ 0."""
    return np.concatenate([half[:, ::-1, ::-1, :0:-1], half], axis=3)
