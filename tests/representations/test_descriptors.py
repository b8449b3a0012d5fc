from __future__ import annotations

import logging
import re

import numpy as np
import pytest
from helpers import (
    atom_order,
    changed,
    known_structures,
    moved_by_lattice_vectors,
    one_crystal,
    random_crystals,
    read_only,
    reordered,
    rotated,
    supercells,
    translated,
)

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError, DataError, UnknownNameError
from crystalbench.representations.composition import MagpieFeatures
from crystalbench.representations.descriptors import BANKS, DescriptorBank, bank
from crystalbench.representations.descriptors.voronoi import FACE_TOLERANCE, tessellate
from crystalbench.representations.processes import PROCESSES

# Descriptors that depend on the choice of the cell, and on nothing else of the description.
OF_THE_CELL = {"a", "b", "c", "alpha", "beta", "gamma", "natoms", "structural complexity per cell"}
OF_THE_CELL_RICH = (
    OF_THE_CELL
    | {"n_symmetry_ops"}
    | {f"{name} sine coulomb matrix eig" for name in ("mean", "std_dev", "minimum", "maximum")}
)

SQUARE = np.eye(3)
FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
BCC = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
HEXAGONAL = np.array([[1, 0, 0], [-0.5, np.sqrt(3) / 2, 0], [0, 0, np.sqrt(8 / 3)]])
HALF, QUARTER = [[0, 0, 0], [0.5, 0.5, 0.5]], [[0, 0, 0], [0.25, 0.25, 0.25]]
COORDINATION = {
    "simple cubic": (one_crystal(SQUARE * 3.3, [[0, 0, 0]], [84]), 6, 221),
    "bcc": (one_crystal(BCC * 2.87, [[0.1, 0.2, 0.3]], [26]), 14, 229),
    "fcc": (one_crystal(FCC * 3.61, [[0, 0, 0]], [29]), 12, 225),
    "hcp": (one_crystal(HEXAGONAL * 3.2, [[0, 0, 0], [1 / 3, 2 / 3, 0.5]], [12, 12]), 12, 194),
    "diamond": (one_crystal(FCC * 3.57, QUARTER, [6, 6]), 16, 227),  # 4 near and 12 far
    "rock salt": (one_crystal(FCC * 5.64, HALF, [11, 17]), 6, 225),
    "caesium chloride": (one_crystal(SQUARE * 4.12, HALF, [55, 17]), 14, 221),
}


def described(crystals: Crystals, name: str = "gong28") -> dict[str, np.ndarray]:
    """Descriptors by label."""
    made = DescriptorBank(name)
    return dict(zip(made.labels, made(crystals).values["descriptors"].T, strict=True))


def differing(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> set[str]:
    """Labels of the descriptors that differ."""
    return {k for k in one if not np.allclose(one[k], other[k], rtol=1e-6, atol=1e-6, equal_nan=True)}


def every_system(seed: int = 3) -> Crystals:
    """Random crystals whose elements all have a radius."""
    crystals = random_crystals(seed, 14, most_atoms=5)
    return changed(crystals, numbers=np.array([1, 6, 8, 26, 29, 79], dtype=np.uint8)[crystals.numbers % 6])


def test_labels_are_those_of_the_28() -> None:
    labels = DescriptorBank().labels
    assert len(labels) == len(set(labels)) == 28
    assert labels[:4] == [
        "spacegroup_num",
        "crystal_system_int",
        "structural complexity per atom",
        "structural complexity per cell",
    ]
    assert labels[-10:] == ["density", "vpa", "packing fraction", "a", "b", "c", "alpha", "beta", "gamma", "natoms"]


def test_the_rich_bank_begins_with_the_28_and_ends_with_the_composition() -> None:
    crystals = every_system()
    small, rich = DescriptorBank(symprec=0.01), DescriptorBank("rich")
    labels, values = rich.labels, rich(crystals).values["descriptors"]
    assert values.shape == (len(crystals), len(labels))
    assert len(set(labels)) == len(labels) > 350
    assert labels[:28] == small.labels
    assert labels[-146:] == MagpieFeatures().labels
    assert np.array_equal(values[:, :28], small(crystals).values["descriptors"])
    assert np.array_equal(values[:, -146:], MagpieFeatures()(crystals).values["features"])
    assert np.isfinite(values).all()


def test_the_tolerance_of_the_space_group_is_0_1_in_gong28_and_an_option() -> None:
    """Perovskite whose titanium is 0.05 Å off the centre: cubic within 0.1 Å, tetragonal within 0.01 Å."""
    coords = [[0, 0, 0], [0.5, 0.5, 0.5 + 0.05 / 3.9], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    crystal = one_crystal(np.eye(3) * 3.9, coords, [38, 22, 8, 8, 8])
    for default, numbers in ((DescriptorBank(), [221, 1]), (DescriptorBank("rich"), [99, 4])):
        assert default(crystal).values["descriptors"][0, :2].tolist() == numbers
        assert default.key == DescriptorBank(default.bank, symprec=default.tolerance).key
    for symprec, numbers in ((0.01, [99, 4]), (0.1, [221, 1])):
        for name in ("gong28", "rich"):
            found = DescriptorBank(name, symprec=symprec)(crystal).values["descriptors"]
            assert found[0, :2].tolist() == numbers
    assert DescriptorBank(symprec=0.01).key != DescriptorBank().key
    with pytest.raises(ConfigError, match="symprec = 0; it must be a positive distance"):
        DescriptorBank(symprec=0)


@pytest.mark.parametrize("name", COORDINATION)
def test_known_structures_have_known_neighbours_in_every_orientation(name: str) -> None:
    crystal, neighbors, group = COORDINATION[name]
    for seed in range(3):
        values = described(rotated(translated(crystal, seed), seed), "rich")
        assert values["spacegroup_num"] == group
        assert values["mean CN_VoronoiNN"] == neighbors
        assert values["std_dev CN_VoronoiNN"] == 0
        assert differing(values, described(crystal, "rich")) == set()


def test_values_of_rock_salt() -> None:
    """By hand, for a = 5.64 Å: a primitive cell with two sites, and cubes as Voronoi cells."""
    values = {k: v[0] for k, v in described(COORDINATION["rock salt"][0], "rich").items()}
    expected = {
        "crystal_system_int": 1,
        "structural complexity per atom": 1,
        "structural complexity per cell": 2,
        "mean Average bond length": 2.82,
        "mean Average bond angle": np.pi / 2,
        "max relative bond length": 1,
        "mean absolute deviation in relative cell size": 0,
        "density": 4 * (22.98976928 + 35.453) * 1.66053906660 / 5.64**3,
        "vpa": 5.64**3 / 8,
        "packing fraction": 4 * np.pi * (1.8**3 + 1.0**3) / (3 * 5.64**3 / 4),
        "a": 5.64 / np.sqrt(2),
        "alpha": 60,
        "natoms": 2,
        "point group order": 48,
        "n_symmetry_ops": 48,
        "is_centrosymmetric": 1,
        "lattice points of the conventional cell": 4,
        "distinct sites": 2,
        "mean order of site symmetry": 48,
        "mean effective CN_VoronoiNN": 6,
        "mean Voronoi cell sphericity": np.pi / 6,
        "mean nearest distance": 2.82,
        "max packing efficiency": np.pi / 6,
        "mean ordering parameter shell 1": 1,
        "mean BOOP Q l=1": 0,
        "mean BOOP Q l=4": np.sqrt(7 / 12),
        "electrons per volume": 4 * 28 / 5.64**3,
    }
    for label, value in expected.items():
        assert values[label] == pytest.approx(value, abs=1e-6), label


@pytest.mark.parametrize("name", BANKS)
@pytest.mark.parametrize("change", [rotated, translated, moved_by_lattice_vectors])
def test_descriptors_do_not_depend_on_orientation_or_position(name: str, change: object) -> None:
    crystals = every_system()
    assert differing(described(crystals, name), described(change(crystals, 5), name)) == set()  # type: ignore[operator]


@pytest.mark.parametrize("name", BANKS)
def test_descriptors_do_not_depend_on_the_order_of_the_atoms(name: str) -> None:
    crystals = every_system()
    assert differing(described(crystals, name), described(reordered(crystals, atom_order(crystals)), name)) == set()


@pytest.mark.parametrize(("name", "changing"), [("gong28", OF_THE_CELL), ("rich", OF_THE_CELL_RICH)])
def test_only_descriptors_of_the_cell_depend_on_its_choice(name: str, changing: set[str]) -> None:
    crystals = every_system()
    turned = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]])
    other = changed(
        crystals,
        lattices=np.einsum("ij,njk->nik", turned, crystals.lattices),
        frac_coords=crystals.frac_coords @ np.linalg.inv(turned),
    )
    values = described(crystals, name)
    sheared, doubled = (differing(values, described(c, name)) for c in (other, supercells(crystals, (1, 1, 2))))
    assert {"a", "c", "alpha"} <= sheared <= changing - {"natoms", "structural complexity per cell"}
    assert {"c", "natoms", "structural complexity per cell"} <= doubled <= changing


def test_controls_have_the_columns_of_the_28_that_they_are_named_after() -> None:
    crystals = every_system()
    full, without = described(crystals, "gong28"), described(crystals, "gong28_without_cell")
    assert set(full) - set(without) == OF_THE_CELL
    assert list(without) == [name for name in full if name not in OF_THE_CELL]
    assert differing(without, full) == set()
    rich, without = described(crystals, "rich"), described(crystals, "rich_without_cell")
    assert list(without) == [name for name in rich if name not in OF_THE_CELL_RICH]
    # The space group and its system are found within 0.01 Å in both.
    assert differing(without, rich) == set()
    assert differing(described(crystals, "volume_per_atom"), full) == set()
    expected = {"natoms": full["natoms"], "volume": crystals.volumes}
    assert differing(described(crystals, "atom_count_volume"), expected) == set()


@pytest.mark.parametrize("name", ["gong28_without_cell", "rich_without_cell"])
def test_banks_without_the_cell_describe_a_cell_that_hides_symmetry_as_its_crystal(name: str) -> None:
    """Doubled along one axis, the lattice of a cubic crystal has no threefold axis."""
    perovskite = known_structures()[[2]]
    cells = perovskite, supercells(perovskite, (2, 1, 1))
    sites = [[described(cell, bank)["distinct sites"][0] for cell in cells] for bank in ("rich", "rich_without_cell")]
    assert sites[0][0] == 3 < sites[0][1]
    assert sites[1] == [3, 3]
    assert differing(described(cells[0], name), described(cells[1], name)) == set()


def test_crystals_are_described_independently() -> None:
    crystals = read_only(every_system())
    together = DescriptorBank("rich")(crystals).values["descriptors"]
    order = np.random.default_rng(0).permutation(len(crystals))
    assert np.array_equal(DescriptorBank("rich")(crystals[order]).values["descriptors"], together[order])
    assert np.array_equal(DescriptorBank("rich")(crystals[[3]]).values["descriptors"], together[[3]])


EDGE_CASES = {
    "alone in its cell": one_crystal(SQUARE * 3, [[0.1, 7.2, -3]], [26]),
    "isolated atom": one_crystal(SQUARE * 40, [[0, 0, 0]], [18]),
    "molecule in vacuum": one_crystal(SQUARE * 25, [[0, 0, 0], [0, 0, 0.03]], [1, 1]),
    "needle": one_crystal(np.diag([2.0, 2.0, 200.0]), [[0, 0, 0]], [8]),
    "skewed cell": one_crystal([[3, 0, 0], [30, 3, 0], [0, 60, 3]], [[0, 0, 0], [0.3, 0.7, 0.1]], [8, 9]),
    "layer in vacuum": one_crystal(
        np.diag([2.5, 4.3, 60]), np.random.default_rng(0).random((8, 3)) * [1, 1, 0.1], [6] * 8
    ),
    "left-handed cell": one_crystal(np.diag([3.0, 4.0, -5.0]), [[0, 0, 0], [0.4, 0.3, 0.2]], [8, 9]),
}


@pytest.mark.parametrize("name", EDGE_CASES)
def test_edge_cases_are_described(name: str) -> None:
    arrays = DescriptorBank("rich")(EDGE_CASES[name]).values
    assert np.isfinite(arrays["descriptors"]).all()
    assert not arrays["failed"].any()


def test_a_crystal_of_200_atoms() -> None:
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(*[np.arange(6)] * 3, indexing="ij"), -1).reshape(-1, 3)[:200] / 6
    cell = [[15, 0, 0], [2, 16, 0], [1, 3, 14]]
    crystal = one_crystal(cell, grid + rng.normal(0, 0.02, (200, 3)), rng.integers(19, 33, 200))
    arrays = DescriptorBank("rich")(crystal).values
    assert np.isfinite(arrays["descriptors"]).all()


def test_every_element_is_described_except_for_unknown_radii() -> None:
    every = Crystals.from_flat(np.tile(np.eye(3) * 4.0, (118, 1, 1)), np.zeros((118, 3)), np.arange(1, 119), [1] * 118)
    made = DescriptorBank("rich")
    arrays = made(every).values
    assert arrays["failed"].any(0).tolist() == [part == "packing fraction" for part in made.parts]
    lacking = np.flatnonzero(arrays["failed"].any(1)) + 1
    assert lacking[:7].tolist() == [2, 10, 36, 54, 85, 86, 87]
    assert lacking[7:].tolist() == list(range(96, 119))
    assert np.isnan(arrays["descriptors"]).sum() == len(lacking)


def test_failed_descriptors_are_nan_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    good = COORDINATION["rock salt"][0]
    crystals = Crystals.from_flat(
        np.array([good.lattices[0], np.eye(3) * 4]),
        np.concatenate([good.frac_coords, np.zeros((2, 3))]),
        [11, 17, 8, 8],
        [2, 2],
        ["halite", "one on another"],
    )
    made = DescriptorBank(symprec=0.01)  # so that the two symmetry searches have different tolerances
    with caplog.at_level(logging.WARNING):
        arrays = made(crystals).values
    values = dict(zip(made.labels, arrays["descriptors"][1], strict=True))
    assert np.isfinite(arrays["descriptors"][0]).all()
    assert {k for k, v in values.items() if np.isfinite(v)} == {*made.labels[-10:]}
    parts = {part for part, bad in zip(made.parts, arrays["failed"][1], strict=True) if bad}
    assert parts == {"space group", "structural complexity", "structural heterogeneity", "sites"}
    assert not arrays["failed"][0].any()
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 3
    assert all(message.startswith("one on another: descriptors are missing") for message in messages)
    assert any("structural heterogeneity, sites" in message and "same position" in message for message in messages)


def test_a_value_that_is_not_finite_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = bank.FunctionPart("broken", ("one", "two"), lambda crystal: [1.0, np.inf])
    monkeypatch.setitem(bank.BANKS, "gong28", (broken,))
    arrays = DescriptorBank()(COORDINATION["bcc"][0]).values
    assert np.isnan(arrays["descriptors"]).all()
    assert arrays["failed"].tolist() == [[True]]


def test_equal_warnings_are_combined(caplog: pytest.LogCaptureFixture) -> None:
    noble = Crystals.from_flat(np.tile(np.eye(3) * 4.0, (9, 1, 1)), np.zeros((9, 3)), [54] * 9, [1] * 9)
    DescriptorBank()(noble)
    assert [r.getMessage().partition(":")[0] for r in caplog.records] == ["0, 1, 2, 3, 4 and 4 more"]


def test_the_volume_of_a_tessellation_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    crystal = COORDINATION["fcc"][0]
    faces = tessellate(crystal.lattices[0], crystal.frac_coords)
    assert faces.cell_volumes.sum() == pytest.approx(crystal.volumes[0], rel=1e-12)
    assert faces.solid_angles.sum() == pytest.approx(4 * np.pi)
    assert (faces.neighbors.solid_angles > FACE_TOLERANCE * faces.solid_angles.max()).all()
    from crystalbench.representations.descriptors import voronoi

    monkeypatch.setattr(voronoi, "VOLUME_TOLERANCE", -1.0)  # no tessellation is accurate enough
    with pytest.raises(DataError, match="volumes add up to"):
        tessellate(crystal.lattices[0], crystal.frac_coords)


def test_a_cell_that_is_too_elongated_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """A sphere with all images that its Voronoi cells might need has a thousand million atoms."""
    lattice = np.array([[4.0, 0.3, -0.2], [0.5, 3.8, 0.4], [40_000.0, 0.2, 4.0]])
    long = one_crystal(lattice, [[0, 0, 0], [0.3, 0.4, 0.6]], [11, 17], "long")
    arrays = DescriptorBank()(long)
    known = dict(zip(DescriptorBank().parts, ~arrays.values["failed"][0], strict=True))
    assert known["density"] and known["lattice"] and not known["sites"]
    assert "long: descriptors are missing: " in caplog.text
    assert re.search(r"its reduced cell of .* Å is too elongated; is a length wrong", caplog.text)


@pytest.mark.parametrize("seed", range(3))
def test_the_number_of_images_does_not_change_the_cells(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from crystalbench.representations.descriptors import voronoi

    crystals = every_system(seed)
    few = described(crystals)
    monkeypatch.setattr(voronoi, "_FIRST_RADIUS", 4.0)
    assert differing(few, described(crystals)) == set()
    monkeypatch.setattr(voronoi, "_FIRST_RADIUS", 0.1)  # goes on to copies of the cell
    assert differing(few, described(crystals)) == set()


def test_the_number_of_processes_does_not_change_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = random_crystals(3, 5, most_atoms=3)
    alone = DescriptorBank()(crystals)
    key = DescriptorBank().key
    monkeypatch.setattr(bank, "_CHUNK", 3)
    monkeypatch.setenv(PROCESSES, "2")
    together = DescriptorBank()(crystals)
    for name, array in alone.values.items():
        np.testing.assert_array_equal(array, together.values[name])
    assert DescriptorBank().key == key


def test_compositions_and_unknown_banks_are_refused() -> None:
    with pytest.raises(DataError, match="structures"):
        DescriptorBank()(Compositions.from_formulas(["NaCl"]))
    with pytest.raises(UnknownNameError, match="gong28"):
        DescriptorBank("gong27")


def test_no_crystals_give_no_rows() -> None:
    arrays = DescriptorBank()(random_crystals(0, 7)[:0])
    assert arrays.values["descriptors"].shape == (0, 28)
