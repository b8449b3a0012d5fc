"""Diffraction patterns compared with a plain reference and with pymatgen's powder patterns; their symmetry."""

from __future__ import annotations

import cmath
import itertools
import logging
import math
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import (
    CRYSTAL_SYSTEMS,
    atom_order,
    cell_from_parameters,
    changed,
    moved_by_lattice_vectors,
    one_crystal,
    random_crystals,
    read_only,
    reordered,
    repeatable,
    rotated,
    supercells,
    translated,
)
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.analysis.diffraction.neutron import ATOMIC_SCATTERING_LEN
from pymatgen.analysis.diffraction.xrd import ATOMIC_SCATTERING_PARAMS, XRDCalculator
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals
from crystalbench.data.elements import SYMBOLS
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.diffraction import DiffractionPattern, cells, intensities
from crystalbench.representations.diffraction.cells import standard_cells
from crystalbench.representations.diffraction.intensities import reciprocal_lattices
from crystalbench.representations.diffraction.pattern import cube_intensities, miller_indices, sphere_intensities

seeds = st.integers(0, 10_000)

KNOWN = {
    "NaCl": Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "Si": Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]]),
    "CsCl": Structure.from_spacegroup("Pm-3m", Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "Mg": Structure.from_spacegroup("P6_3/mmc", Lattice.hexagonal(3.21, 5.21), ["Mg"], [[1 / 3, 2 / 3, 0.25]]),
    "triclinic": Structure(
        Lattice(cell_from_parameters(4.1, 5.3, 6.2, 81, 97, 106)),
        ["Cu", "S", "O"],
        [[0.02, 0.1, 0.2], [0.4, 0.55, 0.7], [0.81, 0.3, 0.43]],
    ),
}


def of(*names: str) -> Crystals:
    return Crystals.from_pymatgen([KNOWN[name] for name in names], names)


def plain_intensity(
    crystals: Crystals, i: int, hkl: tuple[int, ...], scattering: str, normalised: bool = False
) -> float:
    """One reflection of one crystal, atom by atom in plain Python."""
    atoms = slice(crystals.offsets[i], crystals.offsets[i + 1])
    b = np.linalg.inv(crystals.lattices[i]).T
    s_squared = sum(x * x for x in np.array(hkl) @ b) / 4
    total, strength = 0j, 0.0
    for coords, z in zip(crystals.frac_coords[atoms].tolist(), crystals.numbers[atoms].tolist(), strict=True):
        symbol = SYMBOLS[z]
        if scattering == "neutron":
            f = ATOMIC_SCATTERING_LEN[symbol]
        elif scattering == "equal":
            f = 10.0
        else:
            terms = sum(a * math.exp(-b * s_squared) for a, b in ATOMIC_SCATTERING_PARAMS[symbol])
            f = z - 41.78214 * s_squared * terms
        strength += f**2
        total += f * cmath.exp(2j * math.pi * sum(n * x for n, x in zip(hkl, coords, strict=True)))
    return abs(total) ** 2 / (strength if normalised else abs(np.linalg.det(crystals.lattices[i])) ** 2)


def sets_of(crystals: Crystals, representation: DiffractionPattern) -> list[list[np.ndarray]]:
    """Sorted |g|, intensities and pairs of both of each crystal, independent of orientation and order of points."""
    arrays = representation(crystals)
    centers = np.linspace(0, 1.5, 60)
    sets = []
    for i in range(len(crystals)):
        one = arrays[[i]]
        miller = one.values["miller"] if "miller" in one.values else miller_indices(representation.max_index)
        lengths = np.linalg.norm(miller @ one.values["reciprocal"][0].astype(float), axis=1)
        scaled = np.log(one.values["intensities"].ravel() + 1e-6)
        profile = np.exp(-(((centers[:, None] - lengths) / 0.03) ** 2)) @ scaled
        sets.append([np.sort(lengths), np.sort(scaled), profile / len(miller)])
    return sets


# ---------------------------------------------------------------------- the formula


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("scattering", ["xray", "neutron", "equal"])
@pytest.mark.parametrize("max_index", [-1, 0, 1, 2, 3])
def test_intensities_equal_those_of_a_plain_loop(scattering: str, max_index: int, normalised: bool) -> None:
    crystals = random_crystals(max_index + 5, n=5, most_atoms=4, largest_z=83)
    found = cube_intensities(crystals, max_index, scattering, normalised)
    miller = miller_indices(max_index).tolist()
    for i in range(len(crystals)):
        expected = [plain_intensity(crystals, i, tuple(hkl), scattering, normalised) for hkl in miller]
        np.testing.assert_allclose(found[i], expected, rtol=1e-9, atol=1e-9)


def test_a_sphere_contains_the_points_that_a_plain_loop_finds() -> None:
    crystals = random_crystals(3, n=7, most_atoms=3)
    miller, values, counts = sphere_intensities(crystals, 0.6)
    rows = np.split(np.arange(len(values)), np.cumsum(counts)[:-1])
    for i, b in enumerate(reciprocal_lattices(crystals)):
        near = [h for h in itertools.product(range(-6, 7), repeat=3) if np.linalg.norm(np.array(h) @ b) <= 0.6]
        assert {tuple(h) for h in miller[rows[i]].tolist()} == set(near)
        for hkl, value in list(zip(miller[rows[i]].tolist(), values[rows[i]], strict=True))[:40]:
            assert value == pytest.approx(plain_intensity(crystals, i, tuple(hkl), "xray"), rel=1e-9, abs=1e-9)


def test_the_size_of_batches_does_not_change_intensities(monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = random_crystals(8, n=9, most_atoms=9)
    whole = cube_intensities(crystals, 3), sphere_intensities(crystals, 0.7)
    monkeypatch.setattr(intensities, "_CHUNK", 500)
    np.testing.assert_allclose(cube_intensities(crystals, 3), whole[0], rtol=1e-9, atol=1e-12)
    pieces = sphere_intensities(crystals, 0.7)
    for a, b in zip(pieces, whole[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", KNOWN)
def test_powder_patterns_are_those_of_pymatgen(name: str) -> None:
    calculator = XRDCalculator("CuKa")
    expected = calculator.get_pattern(KNOWN[name], scaled=True, two_theta_range=(0, 90))
    crystals = standard_cells(of(name))
    miller, values, _ = sphere_intensities(crystals, 2 * math.sin(math.radians(45)) / calculator.wavelength)
    lengths = np.linalg.norm(miller @ reciprocal_lattices(crystals)[0], axis=1)
    kept = lengths > 1e-9
    theta = np.arcsin(lengths[kept] * calculator.wavelength / 2)
    lorentz_polarisation = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    angles, family = np.unique(np.round(np.degrees(2 * theta), 4), return_inverse=True)
    peaks = np.bincount(family, values[kept] * lorentz_polarisation)  # the multiplicity is the number of points
    peaks *= 100 / peaks.max()
    strong = peaks > 1e-3
    np.testing.assert_allclose(angles[strong], expected.x, atol=1e-3)
    np.testing.assert_allclose(peaks[strong], expected.y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "electrons"), [("NaCl", 112), ("Si", 112), ("CsCl", 72), ("Mg", 24)])
def test_the_intensity_at_the_origin_is_the_squared_electron_density(name: str, electrons: int) -> None:
    values = DiffractionPattern(max_index=-1)(of(name)).values["intensities"]
    assert values[0, 0] == pytest.approx((electrons / KNOWN[name].volume) ** 2, rel=1e-6)


def test_centred_and_diamond_lattices_have_their_absences() -> None:
    h, k, l = (miller := miller_indices(4)).T  # noqa: E741
    salt, silicon = DiffractionPattern(max_index=4, cell="conventional")(of("NaCl", "Si")).values["intensities"]
    mixed = (miller % 2).min(1) != (miller % 2).max(1)
    assert salt[mixed].max() < 1e-20
    assert salt[~mixed].min() > 1e-5
    even = ~mixed & (h % 2 == 0)
    absent = mixed | (even & ((h + k + l) % 4 == 2))
    assert silicon[absent].max() < 1e-20
    assert silicon[~absent].min() > 1e-5


def test_elements_beyond_the_tables() -> None:
    heavy = cube_intensities(one_crystal(np.eye(3) * 4, [[0, 0, 0]], 118), 2)
    last = cube_intensities(one_crystal(np.eye(3) * 4, [[0, 0, 0]], 98), 2)
    np.testing.assert_allclose(heavy, last * (118 / 98) ** 2, rtol=1e-12)
    plutonium = one_crystal(np.eye(3) * 4, [[0, 0, 0], [0.5, 0.5, 0.5]], [8, 94], "mp-1")
    with pytest.raises(DataError, match="mp-1: no coherent neutron scattering length is known for Pu"):
        DiffractionPattern(scattering="neutron")(plutonium)


# ---------------------------------------------------------------------- invariance


@pytest.mark.parametrize("representation", [DiffractionPattern(), DiffractionPattern("sphere", q_max=0.5)])
@repeatable(5)
@given(seed=seeds)
def test_the_description_of_a_crystal_does_not_matter(representation: DiffractionPattern, seed: int) -> None:
    crystals = random_crystals(seed, n=7, most_atoms=3)
    if representation.points == "cube":
        # A hexagonal lattice around atoms without that symmetry has several equivalent cells, whose cubes differ.
        crystals = crystals[[i for i, system in enumerate(CRYSTAL_SYSTEMS) if system not in ("hexagonal", "trigonal")]]
    others = {
        "turned": rotated(crystals, seed),
        "origin": translated(crystals, seed),
        "images": moved_by_lattice_vectors(crystals, seed),
        "order": reordered(crystals, atom_order(crystals, seed)),
        "supercell": supercells(crystals, (2, 1, 1)),
    }
    before = sets_of(crystals, representation)
    for name, other in others.items():
        for i, (one, after) in enumerate(zip(before, sets_of(other, representation), strict=True)):
            assert len(one[0]) == len(after[0]), f"{name} {i}"
            for a, b in zip(one, after, strict=True):
                np.testing.assert_allclose(a, b, atol=2e-3, err_msg=f"{name} {i}")


def test_arrays_do_not_depend_on_the_orientation() -> None:
    crystals = of(*KNOWN)
    one, other = DiffractionPattern()(crystals), DiffractionPattern()(rotated(crystals))
    for name in one.values:
        np.testing.assert_allclose(one.values[name], other.values[name], atol=1e-5, rtol=1e-4)


def test_friedel_and_the_symmetry_of_the_crystal_hold() -> None:
    grid = cube_intensities(of("Si"), 3).reshape(7, 7, 7)  # the conventional cell, as given
    np.testing.assert_allclose(grid, grid[::-1, ::-1, ::-1], atol=1e-12)
    np.testing.assert_allclose(grid, grid.transpose(2, 0, 1), atol=1e-12)


# ---------------------------------------------------------------------- cells


@pytest.mark.parametrize("cell", ["primitive", "conventional"])
@pytest.mark.parametrize("name", KNOWN)
def test_standard_cells_are_those_of_pymatgen(name: str, cell: str) -> None:
    analyzer = SpacegroupAnalyzer(KNOWN[name], symprec=0.1)
    wanted = getattr(analyzer, f"get_{cell}_standard_structure")()
    found = standard_cells(of(name), cell)
    assert len(found.numbers) == len(wanted)
    for a, b in zip(sets_of_cells(found), sets_of_cells(Crystals.from_pymatgen([wanted])), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def sets_of_cells(crystals: Crystals) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.linalg.norm(miller_indices(3) @ reciprocal_lattices(crystals)[0], axis=1)
    return np.sort(lengths), np.sort(cube_intensities(crystals, 3)[0])


def test_a_noisy_supercell_finds_its_primitive_cell() -> None:
    large = supercells(of("NaCl"), (2, 2, 1))
    noise = np.random.default_rng(0).normal(0, 0.002, large.frac_coords.shape)
    cells = standard_cells(changed(large, frac_coords=large.frac_coords + noise))
    assert sorted(cells.numbers.tolist()) == [11, 17]
    assert cells.volumes[0] == pytest.approx(5.64**3 / 4)


def test_a_crystal_whose_symmetry_is_not_found_keeps_its_cell(caplog: pytest.LogCaptureFixture) -> None:
    two_on_one_place = one_crystal(np.eye(3) * 3, [[0, 0, 0], [1, 0, 0]], [3, 9], "mp-2")
    with caplog.at_level(logging.WARNING):
        arrays = DiffractionPattern()(two_on_one_place)
    assert "mp-2: no symmetry found" in caplog.text
    np.testing.assert_allclose(arrays.values["intensities"][0], cube_intensities(two_on_one_place, 3)[0], rtol=1e-6)


@pytest.mark.parametrize(("species", "kept"), [([11, 17], False), ([17, 17], True), ([11], True), ([11, 17, 8], True)])
def test_a_cell_of_another_composition_is_not_used(
    species: list[int], kept: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    salt = one_crystal(np.eye(3) * 4, [[0, 0, 0], [0.5, 0.5, -0.5]], [11, 17], "salt")
    other = SimpleNamespace(
        basis=[[5.0, 0, 0], [0, 5.0, 0], [0, 0, 5.0]], positions=[[0.1, 0.2, 0.3]] * len(species), numbers=species
    )
    monkeypatch.setattr(cells.moyopy, "MoyoDataset", lambda cell, symprec: SimpleNamespace(prim_std_cell=other))
    with caplog.at_level(logging.WARNING):
        found = standard_cells(salt)
    assert found.volumes[0] == pytest.approx(64 if kept else 125)
    assert found.frac_coords.tolist() == (salt.frac_coords.tolist() if kept else other.positions)
    assert ("salt: no symmetry found (atoms of different elements would be merged)" in caplog.text) == kept


# ---------------------------------------------------------------------- the arrays


def test_arrays_of_spheres_are_ragged_and_sliceable() -> None:
    crystals = read_only(random_crystals(4, n=9))
    arrays = DiffractionPattern("sphere", q_max=0.6)(crystals)
    for i in (0, 5, 8):
        alone = DiffractionPattern("sphere", q_max=0.6)(crystals[[i]])
        for name in arrays.values:
            np.testing.assert_allclose(arrays[[i]].values[name], alone.values[name], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("points", ["cube", "sphere"])
def test_patterns_of_no_crystals(points: str) -> None:
    arrays = DiffractionPattern(points)(random_crystals(0, 3)[[]])
    assert len(arrays) == 0
    assert arrays.values["reciprocal"].shape == (0, 3, 3)


def test_the_heaviest_elements_and_a_large_cell() -> None:
    rng = np.random.default_rng(0)
    large = one_crystal(np.eye(3) * 14, rng.random((200, 3)), rng.integers(1, 104, 200))
    isolated = one_crystal(np.eye(3) * 40, [[0.1, 0.2, 0.3]], 99)
    for crystals in (large, isolated):
        for points in ("cube", "sphere"):
            arrays = DiffractionPattern(points, q_max=0.4)(crystals)
            assert all(np.isfinite(array).all() for array in arrays.values.values())


def test_wrong_options_and_inputs_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"points = 'ball'; it must be one of cube, sphere"):
        DiffractionPattern("ball")
    with pytest.raises(ConfigError, match="scattering = 'electron'"):
        DiffractionPattern(scattering="electron")
    with pytest.raises(ConfigError, match="cell = 'niggli'"):
        DiffractionPattern(cell="niggli")
    with pytest.raises(ConfigError, match="max_index = 5; it must be -1 to 4"):
        DiffractionPattern(max_index=5)
    with pytest.raises(ConfigError, match="q_max = 0; it must be positive"):
        DiffractionPattern(q_max=0)
    with pytest.raises(DataError, match="needs crystal structures"):
        DiffractionPattern()(Compositions.from_formulas(["NaCl"]))
