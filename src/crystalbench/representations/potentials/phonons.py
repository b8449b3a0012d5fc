"""Frequencies from force constants, and their statistics."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pymatgen.core.periodic_table import Element
from scipy import constants as physics

Floats = npt.NDArray[np.float64]

PER_CM = float(
    np.sqrt(physics.electron_volt / physics.angstrom**2 / physics.atomic_mass) / (200 * physics.pi * physics.c)
)
"""The wave number in 1/cm of a frequency of one √(eV/Å²/u)."""
KELVIN = physics.h * physics.c * 100 / physics.k
"""One 1/cm in K."""

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
TEMPERATURES = (100, 300, 600)
_PEAK_WIDTH = 10.0  # 1/cm

FREQUENCY_LABELS: tuple[str, ...] = (
    "maximum frequency",
    "second largest frequency",
    "minimum frequency",
    "mean frequency",
    "standard deviation of frequencies",
    *(f"quantile {q} of frequencies" for q in QUANTILES),
    "root mean square frequency",
    "geometric mean frequency",
    "share of imaginary frequencies",
    "largest gap between frequencies",
    "frequency above the largest gap",
    *(f"heat capacity at {t} K" for t in TEMPERATURES),
    "participation of the highest mode",
    "mass moved by the highest mode",
    "stiffness of the highest mode",
)
"""Names of the statistics of optical modes. Frequencies are in 1/cm, and negative if imaginary."""

PEAK_WIDTHS = (10, 30)
PEAK_LABELS: tuple[str, ...] = tuple(f"last peak of the density of states, {width}/cm wide" for width in PEAK_WIDTHS)
"""Names of the positions in 1/cm of the peak of highest frequency, of modes with a Gaussian width."""
_LEAST_PEAK = 0.1  # of the highest one

SITE_LABELS: tuple[str, ...] = (
    "maximum Einstein frequency",
    "mean Einstein frequency",
    "minimum Einstein frequency",
    "maximum stiffness of a site",
    "mean stiffness of a site",
    "minimum stiffness of a site",
    "anisotropy of the stiffness of sites",
)
"""Names of the statistics of single atoms that move while all others are fixed."""


def masses_of(numbers: npt.NDArray[np.uint8]) -> Floats:
    """(atoms,) standard atomic masses in u."""
    return np.array([float(Element.from_Z(int(z)).atomic_mass) for z in numbers])


def modes(force_constants: Floats, masses: Floats) -> tuple[Floats, Floats]:
    """Harmonic modes of a periodic cell, without the three translations.

    Args:
        force_constants: (3 atoms, 3 atoms) in eV/Å².
        masses: (atoms,) in u.

    Returns:
        Frequencies (3 atoms − 3,) in 1/cm, ascending, those of imaginary modes negative; and mass-weighted
        displacements (3 atoms, 3 atoms − 3) of unit length, one mode per column.
    """
    roots = np.repeat(np.sqrt(masses), 3)
    dynamical = force_constants / np.outer(roots, roots)
    rigid = np.tile(np.eye(3), (len(masses), 1)) * roots[:, None]
    complement = np.linalg.qr(rigid, mode="complete")[0][:, 3:]
    values, vectors = np.linalg.eigh(complement.T @ dynamical @ complement)
    return PER_CM * np.sign(values) * np.sqrt(np.abs(values)), complement @ vectors


def frequency_statistics(frequencies: Floats, vectors: Floats, masses: Floats) -> Floats:
    """The numbers of `FREQUENCY_LABELS`; NaN without modes.

    Degenerate highest modes count together, since their vectors are arbitrary.

    Args:
        frequencies: (m,) in 1/cm, ascending.
        vectors: (3 atoms, m) mass-weighted displacements of unit length.
        masses: (atoms,) in u.
    """
    if not len(frequencies):
        return np.full(len(FREQUENCY_LABELS), np.nan)
    distinct = frequencies[frequencies < frequencies[-1] - _PEAK_WIDTH]
    gaps = np.diff(frequencies)
    widest = int(gaps.argmax()) if len(gaps) else 0
    top = frequencies >= frequencies[-1] - max(1e-3 * abs(frequencies[-1]), 0.1)
    shares = (vectors[:, top] ** 2).reshape(len(masses), 3, -1).sum(axis=(1, 2)) / top.sum()  # of each atom
    moved = shares @ masses
    real = np.maximum(frequencies, 1.0)
    return np.array(
        [
            frequencies[-1],
            distinct[-1] if len(distinct) else frequencies[-1],
            frequencies[0],
            frequencies.mean(),
            frequencies.std(),
            *np.quantile(frequencies, QUANTILES),
            np.sqrt(max(0.0, float((np.sign(frequencies) * frequencies**2).mean()))),
            np.exp(np.log(real).mean()),
            (frequencies < 0).mean(),
            gaps[widest] if len(gaps) else 0.0,
            frequencies[min(widest + 1, len(frequencies) - 1)],
            *(_heat_capacity(KELVIN * real / t).mean() for t in TEMPERATURES),
            1 / (len(masses) * (shares**2).sum()),
            moved,
            np.sign(frequencies[-1]) * (frequencies[-1] / PER_CM) ** 2 * moved,
        ]
    )


def site_statistics(force_constants: Floats, masses: Floats) -> Floats:
    """The numbers of `SITE_LABELS`: frequencies in 1/cm, stiffness in eV/Å².

    Args:
        force_constants: (3 atoms, 3 atoms) in eV/Å².
        masses: (atoms,) in u.
    """
    atoms = np.arange(len(masses))
    blocks = force_constants.reshape(len(masses), 3, len(masses), 3)[atoms, :, atoms]
    stiffness = np.trace(blocks, axis1=1, axis2=2) / 3
    frequencies = PER_CM * np.sign(stiffness) * np.sqrt(np.abs(stiffness) / masses)
    spread = np.linalg.eigvalsh(blocks)
    return np.array(
        [
            *(frequencies.max(), frequencies.mean(), frequencies.min()),
            *(stiffness.max(), stiffness.mean(), stiffness.min()),
            (spread[:, 2] - spread[:, 0]).mean(),
        ]
    )


def last_peaks(frequencies: Floats) -> Floats:
    """The numbers of `PEAK_LABELS`: peaks below a tenth of the highest one do not count; NaN without modes."""
    if not len(frequencies):
        return np.full(len(PEAK_LABELS), np.nan)
    grid = np.arange(frequencies[0] - 3 * PEAK_WIDTHS[-1], frequencies[-1] + 3 * PEAK_WIDTHS[-1])
    found = []
    for width in PEAK_WIDTHS:
        density = np.exp(-(((grid[:, None] - frequencies) / width) ** 2) / 2).sum(axis=1)
        inner = density[1:-1]
        peaks = (inner >= density[:-2]) & (inner > density[2:]) & (inner > _LEAST_PEAK * inner.max())
        found.append(grid[1 + np.flatnonzero(peaks)[-1]])
    return np.array(found)


def _heat_capacity(x: Floats) -> Floats:
    """Heat capacity of oscillators in units of k, for quanta of x times the thermal energy."""
    half = np.clip(x / 2, 1e-6, 300.0)
    return np.asarray((half / np.sinh(half)) ** 2)
