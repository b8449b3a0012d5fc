"""The views that CrystalBench registers."""

from __future__ import annotations

from crystalbench.data.crystals import Crystals
from crystalbench.data.views import chemistry, geometry, symmetry
from crystalbench.data.views.view import FULL, View
from crystalbench.sees import Hidden

_NEITHER: frozenset[Hidden] = frozenset()
_CHEMISTRY = frozenset({Hidden.CHEMISTRY})
_STRUCTURE = frozenset({Hidden.STRUCTURE})


def _identity(crystals: Crystals) -> Crystals:
    return crystals


full = View(FULL, "nothing", _identity, keeps="everything", hides=_NEITHER)
anonymous = View(
    "anonymous",
    "the elements: they become labels A, B, C by frequency, then by geometry",
    chemistry.anonymous,
    keeps="stoichiometry, which atoms are alike, symmetry, geometry; the volume per atom still betrays the elements",
    hides=_CHEMISTRY,
)
chemistry_shuffled = View(
    "chemistry_shuffled",
    "the meaning of the elements: each is replaced by another, the same everywhere",
    chemistry.with_other_elements,
    keeps="the identity of elements across crystals, under other names, and the geometry",
    hides=_NEITHER,
)
species_shuffled = View(
    "species_shuffled",
    "the order of the elements: atoms are distributed over the sites at random",
    chemistry.with_shuffled_species,
    keeps="the composition and the occupied sites",
    hides=_NEITHER,
)
composition_only = View(
    "composition_only",
    "the structure: the atoms of the reduced formula are in a row",
    chemistry.composition_only,
    keeps="the reduced formula",
    hides=_STRUCTURE,
)
unit_density = View(
    "unit_density",
    "the density: every cell is scaled to 20 Å³ per atom",
    geometry.unit_density,
    keeps="elements, symmetry, ratios of distances",
    hides=_NEITHER,
)
no_periodicity = View(
    "no_periodicity",
    "the lattice: the atoms of one primitive cell are a cluster in an empty box",
    geometry.clusters,
    keeps="the composition, the number of atoms, distances within the cluster",
    hides=_NEITHER,
)
lattice_only = View(
    "lattice_only",
    "everything but the lattice: one placeholder atom in each primitive cell",
    symmetry.lattice_only,
    keeps="the reduced primitive lattice and its volume",
    hides=_CHEMISTRY,
)
symmetry_only = View(
    "symmetry_only",
    "everything but the space group and the occupied Wyckoff positions",
    symmetry.symmetry_only,
    keeps="space group, multiplicities and site symmetries, number of atoms in the primitive cell",
    hides=_CHEMISTRY,
)
perturbed = View(
    "perturbed",
    "exact positions: atoms are displaced at random, 0.05 Å standard deviation per axis",
    geometry.perturbed,
    keeps="the cell, the elements, positions up to the displacement",
    hides=_NEITHER,
)
symmetrised = View(
    "symmetrised",
    "deviations from symmetry: cell and atoms are moved to the symmetry found within 0.1 Å",
    symmetry.symmetrised,
    keeps="everything else; the cell becomes the standard primitive one",
    hides=_NEITHER,
)
primitive = View(
    "primitive",
    "the choice of a larger cell: every crystal is in a primitive cell",
    symmetry.primitive,
    keeps="the crystal",
    hides=_NEITHER,
)
supercell = View(
    "supercell",
    "the primitive cell: every cell is doubled along its shortest vector",
    geometry.supercell,
    keeps="the crystal",
    hides=_NEITHER,
)
