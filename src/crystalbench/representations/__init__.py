"""Representations: crystals or compositions to arrays; stateless, row by row, cacheable."""

from __future__ import annotations

from crystalbench.representations.arrays import CRYSTAL, Arrays, Layout
from crystalbench.representations.composition import MagpieFeatures
from crystalbench.representations.descriptors import DescriptorBank
from crystalbench.representations.diffraction import DiffractionPattern, DiffractionPowerSpectrum
from crystalbench.representations.element_pairs import ElementPairs
from crystalbench.representations.graph import CrystalGraph
from crystalbench.representations.quotient import QuotientGraph
from crystalbench.representations.representation import Representation
from crystalbench.representations.sphere_graph import SphereGraph

__all__ = [
    "CRYSTAL",
    "Arrays",
    "CrystalGraph",
    "DescriptorBank",
    "DiffractionPattern",
    "DiffractionPowerSpectrum",
    "ElementPairs",
    "Layout",
    "MagpieFeatures",
    "QuotientGraph",
    "Representation",
    "SphereGraph",
]
