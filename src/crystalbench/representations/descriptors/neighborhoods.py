"""Descriptors of the neighbourhoods of atoms, from the faces of their Voronoi cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crystalbench.errors import DataError
from crystalbench.representations.composition import MAGPIE_PROPERTIES, magpie_table
from crystalbench.representations.descriptors.statistics import statistics_labels, statistics_of

if TYPE_CHECKING:
    from crystalbench.representations.descriptors.one_crystal import OneCrystal
    from crystalbench.representations.descriptors.voronoi import Faces

FloatArray = npt.NDArray[np.float64]

HETEROGENEITY_LABELS = (
    "mean absolute deviation in relative bond length",
    "max relative bond length",
    "min relative bond length",
    *(f"{name} neighbor distance variation" for name in ("maximum", "range", "mean", "avg_dev")),
    "mean absolute deviation in relative cell size",
)
SITES = ("Average bond length", "Average bond angle", "CN_VoronoiNN")
SITE_LABELS = statistics_labels(SITES, ("mean", "std_dev"))

EXTREMES = ("minimum", "maximum")
ALL = ("mean", "std_dev", *EXTREMES)
ORDER = range(1, 11)
WARD = ("minimum", "maximum", "range", "mean", "avg_dev")
SITE_EXTREME_LABELS = (*statistics_labels(SITES, EXTREMES), "minimum neighbor distance variation")
CELL_LABELS = (
    *statistics_labels(
        ("effective CN_VoronoiNN", "Voronoi cell volume per atom", "Voronoi cell sphericity", "nearest distance"), ALL
    ),
    "max packing efficiency",
)
ORIENTATION_LABELS = statistics_labels((f"BOOP Q l={degree}" for degree in ORDER), ("mean", "std_dev"))
DIFFERENCE_LABELS = statistics_labels((f"local difference in {name}" for name in MAGPIE_PROPERTIES), WARD)
ORDERING_LABELS = ("mean ordering parameter shell 1",)


def heterogeneity(crystal: OneCrystal) -> list[float]:
    """Variation of bond lengths and of the volumes of Voronoi cells, relative to their means.

    L. Ward et al., Phys. Rev. B 96, 024104 (2017), as matminer's `StructuralHeterogeneity`. The bond length of an atom
    is the area-weighted mean distance over the faces of its cell. The neighbour distance variation is the mean absolute
    deviation from it, with the same weights, relative to it. Bond lengths are divided by their mean over the atoms. All
    faces count, since those due to round-off have no weight.
    """
    faces = crystal.faces()
    lengths, variations = _lengths_and_variations(faces)
    relative = lengths / lengths.mean()
    sizes = faces.cell_volumes / faces.cell_volumes.mean()
    return [
        float(np.abs(relative - relative.mean()).mean()),
        float(relative.max()),
        float(relative.min()),
        *statistics_of(variations[:, None], ("maximum", "range", "mean", "avg_dev")),
        float(np.abs(sizes - 1).mean()),
    ]


def sites(crystal: OneCrystal) -> FloatArray:
    """Mean and standard deviation over the atoms of bond length in Å, bond angle in rad and coordination number."""
    return statistics_of(_sites(crystal), ("mean", "std_dev"))


def site_extremes(crystal: OneCrystal) -> list[float]:
    """Minimum and maximum of the quantities of `sites`, and the minimum neighbour distance variation."""
    _, variations = _lengths_and_variations(crystal.faces())
    return [*statistics_of(_sites(crystal), EXTREMES), float(variations.min())]


def cells(crystal: OneCrystal) -> list[float]:
    """Statistics of the Voronoi cells, and the maximum packing efficiency.

    The effective coordination number is (Σ w)² / Σ w² with solid angles w (matminer's `CoordinationNumber` with
    ``use_weights="effective"``), volumes are relative to the volume per atom, sphericity is 36 π V² / A³ (1 for a
    sphere), the nearest distance is in Å. The packing efficiency is that of matminer's `MaximumPackingEfficiency`, for
    spheres around all atoms that reach the nearest face of their cells.
    """
    faces = crystal.faces()
    effective = faces.sums(faces.solid_angles) ** 2 / faces.sums(faces.solid_angles**2)
    volumes = faces.cell_volumes / faces.cell_volumes.mean()
    sphericity = 36 * np.pi * faces.cell_volumes**2 / faces.sums(faces.areas) ** 3
    nearest = np.full(faces.atoms, np.inf)
    np.minimum.at(nearest, faces.centers, faces.distances)
    return [
        *statistics_of(np.stack([effective, volumes, sphericity, nearest], axis=1), ALL),
        float(4 / 3 * np.pi * ((nearest / 2) ** 3).sum() / crystal.volume),
    ]


def orientation(crystal: OneCrystal) -> FloatArray:
    """Bond-orientational order Q_l of degrees 1 to 10: mean and standard deviation over the atoms.

    P. J. Steinhardt et al., Phys. Rev. B 28, 784 (1983), with neighbours weighted by solid angle (W. Mickel et al., J.
    Chem. Phys. 138, 044501, 2013), as matminer's `BondOrientationalParameter`. The sum over the spherical harmonics of
    a degree follows from their addition theorem: Q_l² = Σ_jk w_j w_k P_l(cos γ_jk).
    """
    faces = crystal.faces()
    cosines = np.nan_to_num(faces.cosines())
    weights = np.zeros(cosines.shape[:2])
    weights[faces.centers, faces.positions[0]] = faces.solid_angles / faces.sums(faces.solid_angles)[faces.centers]
    orders = np.empty((faces.atoms, len(ORDER)))
    before, legendre = np.ones_like(cosines), cosines
    for degree in ORDER:
        squared = np.einsum("ni,nij,nj->n", weights, legendre, weights)
        orders[:, degree - 1] = np.sqrt(np.maximum(squared, 0))
        following = ((2 * degree + 1) * cosines * legendre - degree * before) / (degree + 1)
        before, legendre = legendre, following
    return statistics_of(orders, ("mean", "std_dev"))


def differences(crystal: OneCrystal) -> FloatArray:
    """Differences of 22 elemental properties between an atom and its neighbours, weighted by face area.

    L. Ward et al., Phys. Rev. B 96, 024104 (2017), as matminer's `LocalPropertyDifference`, over Magpie's properties.
    """
    faces = crystal.faces()
    table = magpie_table()[crystal.numbers]
    steps = np.abs(table[faces.others] - table[faces.centers]) * faces.areas[:, None]
    starts = np.searchsorted(faces.centers, np.arange(faces.atoms))
    values = np.add.reduceat(steps, starts) / faces.sums(faces.areas)[:, None]
    return statistics_of(values, WARD)


def ordering(crystal: OneCrystal) -> list[float]:
    """Deviation of the elements of neighbours from random order (Warren and Cowley), weighted by face area.

    L. Ward et al., Phys. Rev. B 96, 024104 (2017), as matminer's `ChemicalOrdering` for the first shell; 0 for
    elements.
    """
    faces = crystal.faces()
    elements, kinds, counts = np.unique(crystal.numbers, return_inverse=True, return_counts=True)
    if len(elements) == 1:
        return [0.0]
    keys = faces.centers * len(elements) + kinds[faces.others]
    areas = np.bincount(keys, faces.areas, minlength=faces.atoms * len(elements)).reshape(faces.atoms, -1)
    expected = counts / len(crystal)
    return [float(np.abs(1 - areas / areas.sum(1, keepdims=True) / expected).mean())]


def _lengths_and_variations(faces: Faces) -> tuple[FloatArray, FloatArray]:
    lengths = faces.means(faces.distances, faces.areas)
    return lengths, faces.means(np.abs(faces.distances - lengths[faces.centers]), faces.areas) / lengths


def _sites(crystal: OneCrystal) -> FloatArray:
    """(atoms, 3) bond length in Å, bond angle in rad, coordination number, for `Faces.neighbors`.

    The bond length is the mean weighted by solid angle. The bond angle is the mean, over the neighbours, of the
    smallest angle to another neighbour. As matminer's `AverageBondLength`, `AverageBondAngle` and `CoordinationNumber`
    with ``VoronoiNN(tol=1e-5)``.
    """
    faces = crystal.faces().neighbors
    positions, counts = faces.positions
    if counts.min() < 2:
        raise DataError("an atom has fewer than two neighbours")
    lengths = faces.means(faces.distances, faces.solid_angles)
    cosines = faces.cosines()
    diagonal = np.arange(counts.max())
    cosines[:, diagonal, diagonal] = np.nan
    nearest = np.fmax.reduce(cosines, axis=2)[faces.centers, positions]
    angles = faces.sums(np.arccos(np.clip(nearest, -1, 1))) / counts
    return np.stack([lengths, angles, counts.astype(np.float64)], axis=1)
