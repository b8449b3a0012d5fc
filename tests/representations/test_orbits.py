"""The symmetry of single atoms: operations take the neighbours of an atom to those of its image."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import known_structures, one_crystal, random_crystals, rotated, supercells

from crystalbench.data.crystals import Crystals
from crystalbench.representations import CrystalGraph
from crystalbench.representations.orbits import AtomSymmetry, Orbits

CRYSTALS = {
    "known": known_structures(),
    "supercells": supercells(known_structures(), (1, 2, 1)),
    "rotated": rotated(known_structures()),
    "random": random_crystals(4, 10),
}


@pytest.mark.parametrize("crystals", CRYSTALS.values(), ids=CRYSTALS)
def test_operations_take_neighbours_to_neighbours(crystals: Crystals) -> None:
    found = AtomSymmetry.of(crystals, 1e-4)
    np.testing.assert_array_equal(found.first, Orbits.of(crystals, 1e-4).first)
    graph = CrystalGraph(neighbors=60, vectors=True)(crystals).values
    every = np.arange(len(crystals.numbers))
    pairs = (found.first, every, found.turns), (found.atoms, found.atoms, found.operations)
    for atoms, images, operations in pairs:
        for atom, image, operation in zip(atoms, images, operations, strict=True):
            np.testing.assert_allclose(operation @ operation.T, np.eye(3), atol=1e-5)
            inner = graph["distances"][atom] < graph["distances"][atom][-1] - 1e-3  # complete shells
            turned = graph["vectors"][atom][inner] @ operation.T
            apart = np.linalg.norm(turned[:, None] - graph["vectors"][image], axis=-1)
            assert apart.min(1).max() < 2e-3
            before = crystals.numbers[graph["neighbors"][atom][inner] + _start(crystals, atom)]
            after = crystals.numbers[graph["neighbors"][image][apart.argmin(1)] + _start(crystals, image)]
            np.testing.assert_array_equal(before, after)


def _start(crystals: Crystals, atom: int) -> int:
    return int(crystals.offsets[np.searchsorted(crystals.offsets, atom, side="right") - 1])


def test_sites_have_the_groups_of_their_wyckoff_positions() -> None:
    """Fluorite: Ca at m-3m, of order 48, F at -43m, of order 24; in a supercell as well."""
    corner = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    inner = [[x, y, z] for x in (0.25, 0.75) for y in (0.25, 0.75) for z in (0.25, 0.75)]
    fluorite = one_crystal(5.46 * np.eye(3), corner + inner, [20] * 4 + [9] * 8)
    for crystal in (fluorite, supercells(fluorite, (2, 1, 1)), rotated(fluorite)):
        found = AtomSymmetry.of(crystal, 1e-4)
        atoms, orders = np.unique(found.atoms, return_counts=True)
        assert dict(zip(crystal.numbers[atoms].tolist(), orders.tolist(), strict=True)) == {20: 48, 9: 24}


def test_a_crystal_without_a_result_has_no_symmetry(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("no primitive cell")

    monkeypatch.setattr("moyopy.MoyoDataset", fails)
    crystals = known_structures()
    found, single = AtomSymmetry.of(crystals, 1e-4), AtomSymmetry.single(crystals)
    for name in ("first", "turns", "atoms", "operations"):
        np.testing.assert_array_equal(getattr(found, name), getattr(single, name))
    none = AtomSymmetry.of(crystals[[]], 1e-4)
    assert none.turns.shape == none.operations.shape == (0, 3, 3)


def test_dividing_a_crystal_leaves_the_others() -> None:
    crystals = known_structures()
    found = AtomSymmetry.of(crystals, 1e-4)
    which = np.arange(len(crystals)) == 1
    divided, single = found.divided(which, crystals), AtomSymmetry.single(crystals)
    for i, (start, stop) in enumerate(zip(crystals.offsets[:-1], crystals.offsets[1:], strict=True)):
        source = single if which[i] else found
        np.testing.assert_array_equal(divided.first[start:stop], source.first[start:stop])
        np.testing.assert_array_equal(divided.turns[start:stop], source.turns[start:stop])
        mine, theirs = (np.flatnonzero((s.atoms >= start) & (s.atoms < stop)) for s in (divided, source))
        np.testing.assert_array_equal(divided.operations[mine], source.operations[theirs])
    assert (np.diff(divided.atoms) >= 0).all()
