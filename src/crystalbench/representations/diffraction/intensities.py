"""Intensities of batches of crystals on boxes of the reciprocal lattice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals
from crystalbench.data.flat import segment_rows
from crystalbench.representations.diffraction.scattering import form_factors, require_scattering

_CHUNK = 1 << 18  # atoms times points computed at once: few enough for the processor's cache


@dataclass(frozen=True)
class Box:
    """Intensities of some crystals at the points with |h| ≤ H, |k| ≤ K and 0 ≤ l ≤ L.

    The other half follows from Friedel's law, I(−h, −k, −l) = I(h, k, l).

    Attributes:
        rows: (n,) indices of the crystals.
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


def intensity_boxes(
    crystals: Crystals, bounds: npt.NDArray[np.int64], scattering: str = "xray", normalised: bool = False
) -> Iterator[Box]:
    """Intensities I = |F|² / V² with F = Σ_j f_j(|g| / 2) exp(2πi (h x_j + k y_j + l z_j)), or normalised ones.

    V is the volume of the cell. Thermal motion, Lorentz and polarisation factors are not included. The unit is that of
    the squared form factor per Å⁶.

    Normalised structure factors |E|² = |F|² / Σ_j f_j(|g| / 2)² (Hauptman and Karle, 1953) have no unit: neither the
    strength of the scatterers nor the decay of form factors with the angle matters, nor a displacement factor that is
    the same for all atoms. Their mean over many reflections is 1 for atoms at random in a primitive cell, and n if a
    centred cell of n lattice points is given. Symmetry factors ε of special reflections are not divided out.

    Args:
        crystals: n crystals; the reciprocal lattices are those of their given cells.
        bounds: (n, 3) largest Miller indices H, K and L.
        scattering: ``xray``, ``neutron`` or ``equal``.
        normalised: whether to compute |E|² instead of I.

    Yields:
        Boxes of crystals with equal bounds; each crystal is in one of them.

    Raises:
        DataError: an element has no neutron scattering length; names the id.
    """
    require_scattering(crystals, scattering)
    kinds, kind_of = np.unique(bounds, axis=0, return_inverse=True)
    for kind, (H, K, L) in enumerate(kinds.tolist()):
        rows = np.flatnonzero(kind_of.reshape(-1) == kind)
        miller = np.stack(
            np.meshgrid(np.arange(-H, H + 1), np.arange(-K, K + 1), np.arange(L + 1), indexing="ij"), axis=-1
        )
        chunk_of = np.cumsum(crystals.atom_counts[rows] * (miller.size // 3)) // _CHUNK
        for part in np.split(rows, np.flatnonzero(np.diff(chunk_of)) + 1):
            with _one_thread():
                box = _box(crystals, part, miller, scattering, normalised)
            yield box


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread: the arrays are so small that threads would wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _box(
    crystals: Crystals, rows: npt.NDArray[np.int64], miller: npt.NDArray[np.int64], scattering: str, normalised: bool
) -> Box:
    import torch

    crystals = crystals[rows]
    order = np.lexsort((crystals.numbers, crystals.owners))
    owners, numbers = crystals.owners[order], crystals.numbers[order]
    # One group of atoms per element and crystal; groups of equal size are adjacent.
    firsts = np.flatnonzero(np.r_[True, (np.diff(owners) != 0) | (np.diff(numbers.astype(int)) != 0)])
    offsets = np.append(firsts, len(order))
    counts = np.diff(offsets)
    by_count = np.argsort(counts, kind="stable")
    elements, element_owners = numbers[firsts[by_count]], owners[firsts[by_count]]
    coords = crystals.frac_coords[order[segment_rows(offsets, by_count)]]
    k, l = miller[0, :, :, 1].ravel(), miller[0, :, :, 2].ravel()  # noqa: E741
    kept = (l > 0) | (k >= 0)  # the others follow from Friedel's law
    sums = _phase_sums(coords, counts[by_count], miller[:, 0, 0, 0], k[kept], l[kept])
    squares = _squares(crystals, miller)
    few = squares.reshape(len(crystals), -1, len(kept))[:, :, kept].reshape(len(crystals), -1)
    factors = form_factors(elements, few[element_owners] / 4, scattering)
    sums *= factors.reshape(len(elements), sums.shape[1], 1, -1)
    parts = np.zeros((len(crystals), *sums.shape[1:]))
    # Much faster than adding rows in NumPy.
    torch.from_numpy(parts).index_add_(0, torch.from_numpy(element_owners), torch.from_numpy(sums))
    parts *= parts
    intensities = np.empty((len(crystals), len(miller), len(kept)))
    if normalised:
        strengths = torch.zeros(len(crystals), few.shape[1], dtype=torch.float64)
        strengths.index_add_(
            0, torch.from_numpy(element_owners), torch.from_numpy(counts[by_count, None] * np.square(factors))
        )
        # The smallest positive number stands for 0, where no atom scatters and no wave remains.
        units = strengths.clamp_min_(np.finfo(np.float64).tiny).numpy().reshape(parts.shape[0], len(miller), -1)
    else:
        units = (crystals.volumes**2)[:, None, None]
    intensities[:, :, kept] = (parts[:, :, 0] + parts[:, :, 1]) / units
    shape = (len(crystals), *miller.shape[:3])
    intensities = intensities.reshape(shape)
    half = miller.shape[1] // 2
    intensities[:, :, :half, 0] = intensities[:, ::-1, :half:-1, 0]
    return Box(rows, miller, squares.reshape(shape), intensities)


def _squares(crystals: Crystals, miller: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Squares of |g| in Å⁻², (n, points): a quadratic form of the Miller indices."""
    reciprocal = reciprocal_lattices(crystals)
    i, j = np.triu_indices(3)
    metrics = (reciprocal @ reciprocal.transpose(0, 2, 1))[:, i, j] * np.where(i == j, 1.0, 2.0)
    flat = miller.reshape(-1, 3).astype(np.float64)
    return np.maximum(metrics @ (flat[:, i] * flat[:, j]).T, 0.0)


def _phase_sums(
    coords: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
    h: npt.NDArray[np.int64],
    k: npt.NDArray[np.int64],
    l: npt.NDArray[np.int64],  # noqa: E741
) -> npt.NDArray[np.float64]:
    """Σ_j exp(2πi (h x_j + k y_j + l z_j)) over groups of atoms.

    A phase is the product of a factor for h and one for k and l, so a sum over atoms is a matrix product. Real and
    imaginary parts are separate.

    Args:
        coords: (atoms, 3) fractional coordinates, group by group.
        counts: (groups,) atoms of each group, ascending.
        h: (p,) first Miller indices.
        k: (q,) second Miller indices.
        l: (q,) third Miller indices, paired with the second.

    Returns:
        (groups, p, 2, q).
    """
    # Atoms are the last axis, so that operations run over long rows.
    first, (y, y_sin), (z, z_sin) = (
        _cos_sin(np.multiply.outer(2 * np.pi * np.arange(n.min(), n.max() + 1), coords[:, i]))
        for i, n in enumerate((h, k, l))
    )
    y, y_sin, z, z_sin = y[k - k.min()], y_sin[k - k.min()], z[l - l.min()], z_sin[l - l.min()]
    both = np.empty((2, 2, len(k), len(coords)))
    both[0, 0] = both[1, 1] = y * z - y_sin * z_sin
    both[0, 1] = y * z_sin + y_sin * z
    np.negative(both[0, 1], out=both[1, 0])
    left = np.ascontiguousarray(first.reshape(-1, len(coords)).T).reshape(len(coords), 2, -1)
    right = np.ascontiguousarray(both.reshape(-1, len(coords)).T).reshape(len(coords), 2, -1)
    sums = np.empty((len(counts), left.shape[2], right.shape[2]))
    atom, group = 0, 0
    for count, groups in zip(*np.unique(counts, return_counts=True), strict=True):
        atoms = slice(atom, atom := atom + groups * count)
        a, b = (table[atoms].reshape(groups, 2 * count, -1) for table in (left, right))
        np.matmul(a.transpose(0, 2, 1), b, out=sums[group : (group := group + groups)])
    return sums.reshape(len(counts), left.shape[2], 2, -1)


def _cos_sin(angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Cosines and sines, (2, ...)."""
    import torch  # several times faster than NumPy

    turned = torch.from_numpy(angles)
    return torch.stack([turned.cos(), turned.sin()]).numpy()


def mirrored(half: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The full box (n, 2H + 1, 2K + 1, 2L + 1) of values that are equal at g and −g, from the half with l ≥ 0."""
    return np.concatenate([half[:, ::-1, ::-1, :0:-1], half], axis=3)
