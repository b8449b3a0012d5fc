"""Views: what a model may see. A view removes one kind of information from crystals."""

from crystalbench.data.views.registered import (
    anonymous,
    chemistry_shuffled,
    composition_only,
    full,
    lattice_only,
    no_periodicity,
    perturbed,
    primitive,
    species_shuffled,
    supercell,
    symmetrised,
    symmetry_only,
    unit_density,
)
from crystalbench.data.views.view import FULL, GROUP, View, compose, get_view, is_registered, view_names

__all__ = [
    "FULL",
    "GROUP",
    "View",
    "anonymous",
    "chemistry_shuffled",
    "compose",
    "composition_only",
    "full",
    "get_view",
    "is_registered",
    "lattice_only",
    "no_periodicity",
    "perturbed",
    "primitive",
    "species_shuffled",
    "supercell",
    "symmetrised",
    "symmetry_only",
    "unit_density",
    "view_names",
]
