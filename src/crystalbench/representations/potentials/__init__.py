"""Interatomic potentials as a representation: one interface, and columns that are computed with any of them."""

from __future__ import annotations

from crystalbench.representations.potentials.ase import ASEPotential
from crystalbench.representations.potentials.descriptors import PotentialDescriptors
from crystalbench.representations.potentials.parts import PARTS
from crystalbench.representations.potentials.potential import Evaluation, Potential, get_potential, potential_names

__all__ = [
    "PARTS",
    "ASEPotential",
    "Evaluation",
    "Potential",
    "PotentialDescriptors",
    "get_potential",
    "potential_names",
]
