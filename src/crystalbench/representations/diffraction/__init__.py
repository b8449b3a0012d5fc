"""Diffraction: the reciprocal lattice of a crystal with an intensity at every point, and what follows from it."""

from __future__ import annotations

from crystalbench.representations.diffraction.pattern import DiffractionPattern
from crystalbench.representations.diffraction.power_spectrum import DiffractionPowerSpectrum

__all__ = ["DiffractionPattern", "DiffractionPowerSpectrum"]
