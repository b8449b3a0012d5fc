"""Representations: stateless functions from crystals or compositions to arrays.

A `Representation` computes each crystal's arrays from that crystal alone, so nothing leaks from one part of a fold into
another, and the arrays of a task can be computed once and cached (`represent`).
"""

from __future__ import annotations

from crystalbench.representations.arrays import CRYSTAL, Arrays, Layout
from crystalbench.representations.atom_sites import AtomSites
from crystalbench.representations.cache import represent
from crystalbench.representations.composition import MagpieFeatures
from crystalbench.representations.descriptors import DescriptorBank
from crystalbench.representations.diffraction import DiffractionPattern, DiffractionPowerSpectrum
from crystalbench.representations.element_contents import ElementContents
from crystalbench.representations.element_pairs import ElementPairs
from crystalbench.representations.graph import CrystalGraph
from crystalbench.representations.nested_graph import NestedGraph
from crystalbench.representations.orbit_graph import OrbitGraph
from crystalbench.representations.periodic_graph import PeriodicGraph
from crystalbench.representations.quotient import QuotientGraph
from crystalbench.representations.representation import Representation
from crystalbench.representations.space_groups import SpaceGroupNumbers
from crystalbench.representations.sphere_graph import SphereGraph
from crystalbench.representations.weighted_graph import WeightedGraph

__all__ = [
    "CRYSTAL",
    "Arrays",
    "AtomSites",
    "CrystalGraph",
    "DescriptorBank",
    "DiffractionPattern",
    "DiffractionPowerSpectrum",
    "ElementContents",
    "ElementPairs",
    "Layout",
    "MagpieFeatures",
    "NestedGraph",
    "OrbitGraph",
    "PeriodicGraph",
    "QuotientGraph",
    "Representation",
    "SpaceGroupNumbers",
    "SphereGraph",
    "WeightedGraph",
    "represent",
]
