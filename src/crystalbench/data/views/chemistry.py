"""Views of the elements: labels, other elements, other places, or no structure at all."""

from __future__ import annotations

import hashlib

import numpy as np

from crystalbench.data.crystals import Crystals
from crystalbench.data.elements import MAX_Z
from crystalbench.data.views.labels import anonymous_numbers
from crystalbench.data.views.rows import Numbers, OneCrystal, each, generator, listing_order, wrapped

VOLUME_PER_ATOM = 20.0
"""Å³ per atom of cells without information on density."""

_UNCOMMON = (2, 10, 18, 36, 54, *range(84, 90), *range(95, MAX_Z + 1))
"""Noble gases and elements that data sets hardly contain; tables lack some of their properties."""


def anonymous(crystals: Crystals) -> Crystals:
    """Elements become labels; see `crystalbench.data.views.labels.anonymous_numbers`."""
    return each(crystals, lambda one: one._replace(numbers=anonymous_numbers(one)))


def with_other_elements(crystals: Crystals) -> Crystals:
    """Every element becomes another one, the same everywhere."""
    return Crystals(
        crystals.lattices, crystals.frac_coords, _permutation()[crystals.numbers], crystals.offsets, crystals.ids
    )


def with_shuffled_species(crystals: Crystals) -> Crystals:
    """The atoms of every crystal distributed over its sites at random.

    The draw follows from the sites and the composition, so that it is the same wherever the elements were before.
    """
    return each(crystals, _shuffled)


def composition_only(crystals: Crystals) -> Crystals:
    """The atoms of the reduced formula in a row, in order of atomic number, with 20 Å³ each."""
    return each(crystals, _row_of_atoms)


def _permutation() -> Numbers:
    """(119,) the atomic number that replaces each atomic number; every element is replaced by another.

    Common elements are permuted among themselves, as are uncommon ones, so that properties of elements are not missing
    more often than before. The order follows from hashes, which are the same for all versions of all packages.
    """
    table = np.zeros(MAX_Z + 1, dtype=np.uint8)
    common = [z for z in range(1, MAX_Z + 1) if z not in _UNCOMMON]
    for members in (common, list(_UNCOMMON)):
        cycle = sorted(members, key=lambda z: hashlib.sha256(f"chemistry_shuffled {z}".encode()).digest())
        table[cycle] = np.roll(cycle, -1)
    return table


def _shuffled(one: OneCrystal) -> OneCrystal:
    order = listing_order(one.coords)
    elements = np.sort(one.numbers)
    numbers = np.empty_like(one.numbers)
    numbers[order] = generator(one.lattice, wrapped(one.coords)[order], elements).permutation(elements)
    return one._replace(numbers=numbers)


def _row_of_atoms(one: OneCrystal) -> OneCrystal:
    elements, counts = np.unique(one.numbers, return_counts=True)
    numbers = np.repeat(elements, counts // np.gcd.reduce(counts))
    edge = np.cbrt(VOLUME_PER_ATOM)
    coords = np.zeros((len(numbers), 3))
    coords[:, 2] = np.arange(len(numbers)) / len(numbers)
    return OneCrystal(np.diag([edge, edge, edge * len(numbers)]), coords, numbers, one.name)
