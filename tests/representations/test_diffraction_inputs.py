"""Inputs of the diffraction networks that show only part of a pattern: absences and permuted intensities."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import random_crystals, rotated
from pymatgen.core import Lattice, Structure

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.errors import ConfigError
from crystalbench.representations.diffraction import DiffractionPattern, DiffractionPowerSpectrum, intensities
from crystalbench.representations.diffraction.pattern import cube_intensities, miller_indices
from crystalbench.representations.diffraction.permutation import SHELL_WIDTH, permuted_pairs
from crystalbench.representations.diffraction.power_spectrum import PRESENT, scaled
from crystalbench.testing.crystals import known_structures

# ---------------------------------------------------------------------- absences

GENERAL = [[0.113, 0.217, 0.341], [0.402, 0.071, 0.163]]
H, K, L = miller_indices(3).T
ABSENT = {
    # Group, cell, and the reflections that a screw axis or a glide plane extinguishes (International Tables, Vol. A).
    "P2_1": (Lattice.monoclinic(5.1, 6.2, 5.7, 98), (H == 0) & (L == 0) & (K % 2 == 1)),
    "Pc": (Lattice.monoclinic(5.1, 6.2, 5.7, 98), (K == 0) & (L % 2 == 1)),
    "P2_1/c": (
        Lattice.monoclinic(5.1, 6.2, 5.7, 98),
        ((H == 0) & (L == 0) & (K % 2 == 1)) | ((K == 0) & (L % 2 == 1)),
    ),
    "P2_12_12_1": (
        Lattice.orthorhombic(5.1, 6.2, 7.3),
        ((K == 0) & (L == 0) & (H % 2 == 1))
        | ((H == 0) & (L == 0) & (K % 2 == 1))
        | ((H == 0) & (K == 0) & (L % 2 == 1)),
    ),
    "Pnma": (Lattice.orthorhombic(7.1, 5.2, 6.3), ((H == 0) & ((K + L) % 2 == 1)) | ((L == 0) & (H % 2 == 1))),
    "P1": (Lattice.from_parameters(4.1, 5.3, 6.2, 81, 97, 106), np.zeros(len(H), np.bool_)),
}


@pytest.mark.parametrize("group", ABSENT)
def test_screw_axes_and_glide_planes_have_their_absences(group: str) -> None:
    lattice, absent = ABSENT[group]
    crystal = Crystals.from_pymatgen([Structure.from_spacegroup(group, lattice, ["Na", "Cl"], GENERAL)])
    for scattering in ("xray", "neutron", "equal"):
        values = cube_intensities(crystal, 3, scattering)[0]
        np.testing.assert_array_equal(values < 1e-18, absent)
        assert not (scaled(values) > PRESENT)[absent].any()
        assert (scaled(values) > PRESENT)[~absent].mean() > 0.95  # some are weak by accident


# ---------------------------------------------------------------------- permuted intensities


def some_crystals() -> Crystals:
    return concatenate([known_structures(), random_crystals(11, 7, most_atoms=4, largest_z=60)])


def shells_of(reciprocal: np.ndarray, miller: np.ndarray) -> np.ndarray:
    return np.floor(np.linalg.norm(miller @ reciprocal.astype(np.float64), axis=-1) / SHELL_WIDTH + 0.318)


@pytest.mark.parametrize("points", ["cube", "sphere"])
@pytest.mark.parametrize("permutation", ["in_shells", "all"])
def test_a_permutation_keeps_the_intensities_and_moves_pairs(points: str, permutation: str) -> None:
    crystals = some_crystals()
    plain = DiffractionPattern(points, max_index=2, q_max=0.6)(crystals)
    moved = DiffractionPattern(points, max_index=2, q_max=0.6, permutation=permutation)(crystals)
    np.testing.assert_array_equal(moved.values["reciprocal"], plain.values["reciprocal"])
    changed = 0
    for row in range(len(crystals)):
        one, other = plain[[row]], moved[[row]]
        miller = one.values["miller"] if points == "sphere" else miller_indices(2)
        before, after = one.values["intensities"].ravel(), other.values["intensities"].ravel()
        middle = len(before) // 2
        assert not miller[middle].any()
        assert after[middle] == before[middle]  # 000
        np.testing.assert_array_equal(after, after[::-1])  # I(g) = I(-g)
        np.testing.assert_array_equal(np.sort(after), np.sort(before))
        shells = shells_of(one.values["reciprocal"][0], miller)
        if permutation == "in_shells":
            for shell in np.unique(shells):
                inside = shells == shell
                np.testing.assert_array_equal(np.sort(after[inside]), np.sort(before[inside]))
        elif len(before) > 20:
            assert any((np.sort(after[shells == s]) != np.sort(before[shells == s])).any() for s in np.unique(shells))
        changed += (after != before).any()
    assert changed > len(crystals) / 2


def test_a_permutation_is_that_of_the_crystal_wherever_it_is_in_the_data() -> None:
    crystals = some_crystals()
    pattern = DiffractionPattern(permutation="all")
    together = pattern(crystals).values["intensities"]
    order = np.random.default_rng(0).permutation(len(crystals))
    np.testing.assert_allclose(pattern(crystals[order]).values["intensities"], together[order], rtol=1e-6)
    np.testing.assert_allclose(pattern(crystals[[4]]).values["intensities"], together[[4]], rtol=1e-6)
    known = known_structures()
    turned = pattern(rotated(known)).values["intensities"]
    np.testing.assert_allclose(turned, pattern(known).values["intensities"], rtol=1e-3, atol=1e-6)


def test_other_crystals_have_other_permutations() -> None:
    lattice = np.eye(3)[None].repeat(2, axis=0) * np.array([4.0, 4.1])[:, None, None]
    crystals = Crystals.from_flat(lattice, np.zeros((2, 3)), [6, 6], [1, 1])
    numbers = np.tile(np.arange(50.0), 2)
    one, other = np.split(permuted_pairs(numbers, np.ones(100), np.array([50, 50]), crystals, "all"), 2)
    assert sorted(one) == sorted(other) == list(range(50))
    assert (one != other).any()
    assert (one != np.arange(50)).any()


@pytest.mark.parametrize("kind", ["permuted_in_shells", "permuted"])
def test_spectra_of_permuted_intensities(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = some_crystals()
    plain = DiffractionPowerSpectrum(q_max=0.6, shells=6)(crystals).values
    whole = DiffractionPowerSpectrum(q_max=0.6, shells=6, intensities=kind)(crystals).values
    np.testing.assert_array_equal(whole["origin"], plain["origin"])
    assert not np.allclose(whole["spectrum"], plain["spectrum"], rtol=1e-3)
    monkeypatch.setattr(intensities, "_CHUNK", 500)
    pieces = DiffractionPowerSpectrum(q_max=0.6, shells=6, intensities=kind)(crystals).values
    np.testing.assert_allclose(pieces["spectrum"], whole["spectrum"], rtol=1e-5, atol=1e-7)


def test_within_thin_shells_the_powder_pattern_remains() -> None:
    crystals = some_crystals()
    powder = {
        kind: DiffractionPowerSpectrum(q_max=1.0, shells=4, l_max=0, intensities=kind)(crystals).values["spectrum"]
        for kind in ("linear", "permuted_in_shells", "permuted")
    }
    off = {kind: np.abs(np.log(powder[kind] / powder["linear"])).mean() for kind in powder}
    assert off["permuted_in_shells"] < 0.3 * off["permuted"]


def test_patterns_without_a_permutation_keep_their_key() -> None:
    assert "permutation" not in DiffractionPattern().recipe["options"]
    assert DiffractionPattern(permutation="all").recipe["options"]["permutation"] == "all"
    keys = {DiffractionPattern(permutation=kind).key for kind in ("none", "in_shells", "all")}
    assert len(keys) == 3


def test_permutations_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="permutation = 'some'; it must be one of none, in_shells, all"):
        DiffractionPattern(permutation="some")
    with pytest.raises(ConfigError, match="needs pairs g and −g, which max_index = 0 lacks"):
        DiffractionPattern(max_index=0, permutation="all")
