"""The second symmetry search is skipped if, and only if, it cannot find anything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import spglib
from helpers import one_crystal, supercells

from crystalbench.data.crystals import Crystals
from crystalbench.errors import DataError
from crystalbench.representations.descriptors import DescriptorBank
from crystalbench.representations.descriptors import one_crystal as module
from crystalbench.representations.descriptors.one_crystal import each_crystal
from crystalbench.representations.descriptors.space_group import find_symmetry, point_group
from crystalbench.representations.descriptors.symmetry import COARSE, FINE, complexity, group
from crystalbench.tasks import DataSources, get_task_spec

CORNERS = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
SALT = np.concatenate([CORNERS, CORNERS + np.array([0.5, 0, 0])])


def rock_salt(shift: float = 0.0, numbers: tuple[int, ...] = (11,) * 4 + (17,) * 4) -> Crystals:
    """Rock salt with one cation moved by ``shift`` Å."""
    coords = SALT.copy()
    coords[0, 0] += shift / 5.64
    return one_crystal(np.eye(3) * 5.64, coords, numbers)


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Tolerances of the symmetry searches, in order."""
    made: list[float] = []
    plain = module.find_symmetry

    def counted(*cell: Any) -> Any:
        made.append(cell[3])
        return plain(*cell)

    monkeypatch.setattr(module, "find_symmetry", counted)
    return made


@pytest.mark.parametrize(
    ("crystals", "expected", "tolerances"),
    [
        (rock_salt(), 1.0, [FINE]),
        (rock_salt(0.05), 1.0, [FINE, COARSE]),  # several sites of sodium to 0.01 Å, one to 0.1 Å
        (rock_salt(0.5), 2.5, [FINE, COARSE]),
        (rock_salt(numbers=(11,) * 8), 0.0, [FINE]),
    ],
)
def test_the_second_search_runs_only_if_it_may_find_more(
    crystals: Crystals, expected: float, tolerances: list[float], searches: list[float]
) -> None:
    [crystal] = each_crystal(crystals, FINE)
    assert complexity(crystal) == pytest.approx([expected, 8 * expected])
    assert searches == tolerances


def test_a_coarse_space_group_needs_one_search(searches: list[float]) -> None:
    [crystal] = each_crystal(rock_salt(0.05), COARSE)
    assert [*group(crystal), *complexity(crystal)] == pytest.approx([225, 1, 1, 8])
    assert searches == [COARSE]


def test_a_failed_first_search_is_followed_by_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = module.find_symmetry

    def fails_when_fine(*cell: Any) -> Any:
        if cell[3] == FINE:
            raise DataError("no symmetry")
        return plain(*cell)

    monkeypatch.setattr(module, "find_symmetry", fails_when_fine)
    [crystal] = each_crystal(rock_salt(), FINE)
    assert complexity(crystal)[0] == pytest.approx(1)


def test_space_group_and_volume_do_not_depend_on_the_cell_or_the_elements() -> None:
    bank = DescriptorBank("space_group_volume")
    salt = rock_salt()
    for crystals in (salt, supercells(salt, (2, 1, 1)), rock_salt(numbers=(19,) * 4 + (35,) * 4), rock_salt(0.02)):
        number, system, volume = bank(crystals).values["descriptors"][0]
        assert (number, system) == (225, 1)  # cubic, within 0.1 Å
        assert volume == pytest.approx(salt.volumes[0] / 4)
    assert bank.labels == ["spacegroup_num", "crystal_system_int", "volume of the primitive cell"]


def test_sites_equal_those_of_a_separate_search() -> None:
    task = get_task_spec("demo_crystal_system").load(DataSources())
    chosen = task.inputs[np.flatnonzero(task.inputs.atom_counts <= 12)[::4]]
    spared = 0
    for crystal in each_crystal(chosen, FINE):
        _, counts = np.unique(crystal.symmetry(COARSE).orbits, return_counts=True)
        entropy = -(counts / len(crystal) * np.log2(counts / len(crystal))).sum()
        assert complexity(crystal)[0] == pytest.approx(entropy, abs=1e-12)
        spared += len(np.unique(crystal.symmetry(FINE).orbits)) == len(np.unique(crystal.numbers))
    assert 10 < spared < len(chosen) - 10


def test_point_groups_are_those_of_spglibs_database() -> None:
    """Order and inversion of all 230 space groups, counted from their operations, and pymatgen's crystal systems."""
    last = {"triclinic": 2, "monoclinic": 15, "orthorhombic": 74, "tetragonal": 142, "trigonal": 167, "hexagonal": 194}
    seen = set()
    for hall in range(1, 531):
        kind = spglib.get_spacegroup_type(hall)
        found = point_group(kind.pointgroup_international)
        rotations = {tuple(r.ravel().tolist()) for r in spglib.get_symmetry_from_database(hall)["rotations"]}
        assert found.order == len(rotations)
        assert found.centrosymmetric == (tuple((-np.eye(3, dtype=int)).ravel().tolist()) in rotations)
        assert found.system == next((name for name, end in last.items() if kind.number <= end), "cubic")
        seen.add(kind.number)
    assert len(seen) == 230


def test_an_attempt_of_spglib_that_fails_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    # spglib prints two lines about this crystal, then finds its symmetry with a smaller tolerance
    lattice = np.array([[2.044, -0.122, -0.174], [0.104, 1.982, 0.037], [-0.062, 0.113, 2.076]])
    coords = np.array(
        [
            [-0.014, 0.008, -0.008],
            [0.49, 0.497, 0.51],
            [0.505, 0.516, -0.004],
            [0.496, -0.012, 0.488],
            [-0.006, 0.505, 0.512],
        ]
    )
    found = find_symmetry(lattice, coords, np.array([56, 22, 8, 8, 8]), COARSE)
    assert found.number >= 1
    assert capfd.readouterr() == ("", "")
