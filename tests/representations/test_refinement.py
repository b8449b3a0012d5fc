"""Colour refinement: which crystals distances to nearest neighbours tell apart, by known examples."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import atom_order, cell_from_parameters, random_crystals, reordered, rotated, supercells

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.errors import ConfigError
from crystalbench.representations.refinement import indistinguishable, stable_colors

IDEAL = np.sqrt(8 / 3)


def crystal(lattice: np.ndarray, coords: list[list[float]], numbers: list[int], name: str) -> Crystals:
    return Crystals.from_flat(np.array(lattice)[None], coords, numbers, [len(numbers)], [name])


def close_packed(layers: str, name: str, c_over_a: float = IDEAL) -> Crystals:
    """Magnesium in close-packed layers 1 Å times c/a / 2 apart, in units of a = 3.2 Å."""
    places = {"A": (0.0, 0.0), "B": (1 / 3, 2 / 3), "C": (2 / 3, 1 / 3)}
    height = 3.2 * c_over_a / 2 * len(layers)
    coords = [[*places[layer], number / len(layers)] for number, layer in enumerate(layers)]
    return crystal(cell_from_parameters(3.2, 3.2, height, 90, 90, 120), coords, [12] * len(layers), name)


FCC, HCP, DHCP = close_packed("ABC", "fcc"), close_packed("AB", "hcp"), close_packed("ABAC", "dhcp")


def apart(*crystals: Crystals, neighbors: int = 12) -> bool:
    return not indistinguishable(concatenate(list(crystals)), neighbors)


def test_close_packings_are_the_same_in_their_first_shell() -> None:
    (group,) = indistinguishable(concatenate([FCC, HCP, DHCP]), 12)
    assert group.tolist() == [0, 1, 2]
    assert len(np.unique(stable_colors(DHCP, 12))) == 1  # though it has two kinds of sites


def test_more_neighbours_tell_close_packings_apart() -> None:
    assert apart(FCC, HCP, neighbors=19)  # hcp has two neighbours at a distance of its own, c
    assert apart(HCP, DHCP, neighbors=19)
    assert len(np.unique(stable_colors(DHCP, 19))) == 2


def test_distances_and_elements_tell_apart() -> None:
    assert apart(HCP, close_packed("AB", "stretched", 1.7))
    nickel = Crystals(HCP.lattices, HCP.frac_coords, np.full(2, 28, np.uint8), HCP.offsets, np.array(["Ni"]))
    assert apart(HCP, nickel)


def test_environments_at_a_distance_are_found_by_messages() -> None:
    """Two chains with the same neighbours of each atom, in another order: Li Li Na Na, and Li Na."""
    cell = np.diag([2.0, 30.0, 31.0])
    pairs = crystal(cell * [[4], [1], [1]], [[i / 4, 0, 0] for i in range(4)], [3, 3, 11, 11], "pairs")
    single = crystal(cell * [[2], [1], [1]], [[i / 2, 0, 0] for i in range(2)], [3, 11], "single")
    assert apart(pairs, single, neighbors=2)
    longer = crystal(cell * [[8], [1], [1]], [[i / 8, 0, 0] for i in range(8)], [3, 3, 3, 3, 11, 11, 11, 11], "four")
    assert len(np.unique(stable_colors(longer, 2))) == 4  # next to the other element, or not
    six = crystal(cell * [[12], [1], [1]], [[i / 12, 0, 0] for i in range(12)], [3] * 6 + [11] * 6, "six")
    assert len(np.unique(stable_colors(six, 2))) == 6  # the third atom knows it by a message of a message


def test_the_description_of_a_crystal_does_not_matter() -> None:
    crystals = random_crystals(3, 6, most_atoms=4)
    renamed = [f"again {i}" for i in range(6)]
    other = rotated(supercells(reordered(crystals, atom_order(crystals)), (1, 2, 1)), 4)
    other = Crystals(other.lattices, other.frac_coords, other.numbers, other.offsets, np.array(renamed))
    groups = indistinguishable(concatenate([crystals, other]), 12, 1e-2)
    assert sorted(map(tuple, groups)) == [(i, i + 6) for i in range(6)]


def test_numbers_that_make_no_graph_are_refused() -> None:
    with pytest.raises(ConfigError, match="neighbors = 0"):
        stable_colors(FCC, 0)
    with pytest.raises(ConfigError, match="tolerance = 0"):
        stable_colors(FCC, 12, 0.0)
