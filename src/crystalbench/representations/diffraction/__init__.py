"""Diffraction: the points of the reciprocal lattice with their intensities, and rotation-invariant spectra of them."""

from __future__ import annotations

from crystalbench.representations.diffraction.pattern import DiffractionPattern
from crystalbench.representations.diffraction.power_spectrum import DiffractionPowerSpectrum

__all__ = ["DiffractionPattern", "DiffractionPowerSpectrum"]
