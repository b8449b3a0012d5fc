"""Descriptors of radial order, from all pairs of atoms within a distance."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from crystalbench.representations.composition import MAGPIE_PROPERTIES, magpie_table
from crystalbench.representations.descriptors.statistics import statistics_labels, statistics_of

if TYPE_CHECKING:
    from crystalbench.representations.descriptors.one_crystal import OneCrystal

FloatArray = npt.NDArray[np.float64]

CUTOFF = 10.0
"""Cutoff in Å of the generalised radial distribution functions."""
_CENTERS = np.arange(0.0, CUTOFF)
_FINGERPRINT_CUTOFF = 8.0
_ETAS = np.logspace(np.log10(0.8), np.log10(16), 8)
_TWO = ("mean", "std_dev")

DISTRIBUTION_LABELS = statistics_labels((f"Gaussian center={c} width=1.0" for c in _CENTERS), _TWO)
FINGERPRINT_LABELS = statistics_labels((f"AGNI eta={eta:.2e}" for eta in _ETAS), _TWO)
CONTACT_LABELS = statistics_labels(("nearest distance over covalent radii",), ("mean", "std_dev", "minimum", "maximum"))


def distribution(crystal: OneCrystal) -> FloatArray:
    """Generalised radial distribution functions: Gaussians of width 1 Å at 0 to 9 Å, over their volumes, in 1/Å³.

    A. Seko et al., Phys. Rev. B 95, 144110 (2017), as matminer's `GeneralizedRadialDistributionFunction` with its
    preset ``gaussian``; mean and standard deviation over the atoms.
    """
    pairs = crystal.pairs(CUTOFF)
    weights = np.exp(-((pairs.distances[:, None] - _CENTERS) ** 2))
    return statistics_of(_sums(len(crystal), pairs.centers, weights) / _gaussian_volumes(), _TWO)


def fingerprints(crystal: OneCrystal) -> FloatArray:
    """Sums of exp(-(r/η)²) over neighbours up to 8 Å, with a cosine cutoff; mean and standard deviation over the atoms.

    V. Botu and R. Ramprasad, Int. J. Quantum Chem. 115, 1074 (2015), as matminer's `AGNIFingerprints` without
    directions, which would depend on the orientation of the crystal.
    """
    pairs = crystal.pairs(CUTOFF)
    near = pairs.distances <= _FINGERPRINT_CUTOFF
    distances = pairs.distances[near]
    fading = 0.5 * (np.cos(np.pi * distances / _FINGERPRINT_CUTOFF) + 1)
    weights = np.exp(-((distances[:, None] / _ETAS) ** 2)) * fading[:, None]
    return statistics_of(_sums(len(crystal), pairs.centers[near], weights), _TWO)


def contacts(crystal: OneCrystal) -> FloatArray:
    """Statistics over the atoms of the smallest ratio of distance to sum of covalent radii (Magpie's).

    Over neighbours that share a face of the Voronoi cells.
    """
    faces = crystal.faces()
    radii = magpie_table()[crystal.numbers, MAGPIE_PROPERTIES.index("CovalentRadius")] / 100  # pm
    ratios = faces.distances / (radii[faces.centers] + radii[faces.others])
    least = np.full(len(crystal), np.inf)
    np.minimum.at(least, faces.centers, ratios)
    return statistics_of(least[:, None], ("mean", "std_dev", "minimum", "maximum"))


def _sums(atoms: int, centers: npt.NDArray[np.int64], weights: FloatArray) -> FloatArray:
    columns = [np.bincount(centers, column, minlength=atoms) for column in weights.T]
    return np.stack(columns, axis=1)


@lru_cache(maxsize=1)
def _gaussian_volumes() -> FloatArray:
    """∫ 4π r² exp(-(r - c)²) dr from 0 to the cutoff, for each centre c."""
    c, R = _CENTERS, CUTOFF
    areas = np.sqrt(np.pi) * (2 * c**2 + 1) * (erf(R - c) + erf(c))
    ends = 2 * (c * np.exp(-(c**2)) - (c + R) * np.exp(-((R - c) ** 2)))
    return np.asarray(np.pi * (areas + ends))
