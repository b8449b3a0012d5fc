"""Other descriptions of the same crystals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from crystalbench.data.crystals import Crystals
from crystalbench.data.equivalent import conventional_cells, niggli_cells, other_cells, supercells
from crystalbench.data.views import primitive
from crystalbench.data.views.geometry import displaced, perturbed
from crystalbench.representations.descriptors.space_group import find_symmetry
from crystalbench.testing.crystals import known_structures, random_crystals


def distances(crystals: Crystals, row: int) -> np.ndarray:
    """Sorted distances up to 4 Å of all neighbours of a crystal's atoms, per atom."""
    structure = crystals[row : row + 1].to_pymatgen()[0]
    found = structure.get_neighbor_list(4.0)[3]
    return np.sort(found) if len(found) else found


@pytest.mark.parametrize("change", [niggli_cells, conventional_cells, primitive])
def test_cells_are_of_the_same_crystals(change: Callable[[Crystals], Crystals]) -> None:
    crystals = known_structures()
    changed = change(other_cells(crystals) if change is niggli_cells else crystals)
    per_atom = [c.volumes / c.atom_counts for c in (crystals, changed)]
    assert per_atom[1] == pytest.approx(per_atom[0])
    for row in range(len(crystals)):
        times = changed.atom_counts[row] / crystals.atom_counts[row]
        one, other = distances(crystals, row), distances(changed, row)
        assert len(other) == pytest.approx(times * len(one))
        assert np.quantile(other, [0, 0.5, 1]) == pytest.approx(np.quantile(one, [0, 0.5, 1]))


def test_niggli_cells_do_not_depend_on_the_basis_but_on_the_size_of_the_cell() -> None:
    crystals = random_crystals(4, 14)
    for seed in range(3):
        lattices = [niggli_cells(c).lattices for c in (crystals, other_cells(crystals, seed))]
        lengths = [np.sort(np.linalg.norm(lattice, axis=2)) for lattice in lattices]
        assert lengths[0] == pytest.approx(lengths[1], abs=1e-4)
    doubled = supercells(crystals, (2, 1, 1))
    assert niggli_cells(doubled).volumes == pytest.approx(2 * crystals.volumes)


def test_conventional_cells_have_the_atoms_of_the_bravais_lattice() -> None:
    crystals = known_structures()
    found = conventional_cells(primitive(crystals))
    assert found.atom_counts.tolist() == crystals.atom_counts.tolist()  # which are conventional cells
    for row, name in enumerate(crystals.ids):
        atoms = slice(found.offsets[row], found.offsets[row + 1])
        numbers = [
            find_symmetry(c.lattices[row], c.frac_coords[a], c.numbers[a], 0.01).number
            for c, a in ((found, atoms), (crystals, slice(crystals.offsets[row], crystals.offsets[row + 1])))
        ]
        assert numbers[0] == numbers[1], name


def test_displacements_of_different_size_have_the_same_directions() -> None:
    crystals = random_crystals(5, 7)
    small, large = (displaced(crystals, a).cart_coords - crystals.cart_coords for a in (1e-3, 0.05))
    assert large == pytest.approx(50 * small, abs=1e-9)
    assert perturbed(crystals).frac_coords == pytest.approx(displaced(crystals, 0.05).frac_coords)
