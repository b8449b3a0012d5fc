"""Normalised structure factors and equal scatterers: known values, statistics, and what they must not depend on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from helpers import changed, one_crystal, random_crystals, rotated, supercells
from pymatgen.analysis.diffraction.neutron import ATOMIC_SCATTERING_LEN
from pymatgen.analysis.diffraction.xrd import ATOMIC_SCATTERING_PARAMS
from pymatgen.core import Element, Lattice, Structure

from crystalbench.data.crystals import Crystals
from crystalbench.errors import ConfigError
from crystalbench.representations.diffraction import DiffractionPattern, DiffractionPowerSpectrum, intensities
from crystalbench.representations.diffraction.pattern import cube_intensities, miller_indices, sphere_intensities
from crystalbench.testing.crystals import inverted, other_cells

SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
CAESIUM_CHLORIDE = Structure.from_spacegroup("Pm-3m", Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
DIAMOND = Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.567), ["C"], [[0, 0, 0]])
MAGNESIUM = Structure.from_spacegroup("P6_3/mmc", Lattice.hexagonal(3.21, 5.21), ["Mg"], [[1 / 3, 2 / 3, 0.25]])
ROUND_OFF = 1e-20

Floats = npt.NDArray[np.float64]


def normalised(structure: Structure, scattering: str) -> tuple[npt.NDArray[np.int64], Floats]:
    """Miller indices and |E|² of the cell as given."""
    found = cube_intensities(Crystals.from_pymatgen([structure]), 4, scattering, normalised=True)
    return miller_indices(4), found[0]


def lengths(symbol: str, s: Floats, scattering: str) -> Floats:
    """Form factors or scattering lengths, from pymatgen's tables."""
    if scattering == "equal":
        return np.ones_like(s)
    if scattering == "neutron":
        return np.full_like(s, ATOMIC_SCATTERING_LEN[symbol])
    decay = sum(a * np.exp(-b * s**2) for a, b in ATOMIC_SCATTERING_PARAMS[symbol])
    return np.asarray(Element(symbol).Z - 41.78214 * s**2 * decay)


# ---------------------------------------------------------------------- known values


@pytest.mark.parametrize("scattering", ["xray", "neutron", "equal"])
def test_rock_salt_has_sums_and_differences_of_its_ions(scattering: str) -> None:
    miller, found = normalised(SALT, scattering)
    odd = miller % 2
    mixed = odd.min(1) != odd.max(1)
    s = np.linalg.norm(miller, axis=1) / 5.64 / 2
    sodium, chlorine = lengths("Na", s, scattering), lengths("Cl", s, scattering)
    signed = np.where(odd.max(1) == 0, sodium + chlorine, sodium - chlorine)
    # |F|² = 16 (f ± f')², and the cell contains four atoms of each element.
    np.testing.assert_allclose(found[~mixed], (4 * signed**2 / (sodium**2 + chlorine**2))[~mixed], atol=1e-12)
    assert found[mixed].max() < ROUND_OFF


@pytest.mark.parametrize("scattering", ["xray", "neutron", "equal"])
def test_caesium_chloride_has_sums_and_differences_of_its_ions(scattering: str) -> None:
    miller, found = normalised(CAESIUM_CHLORIDE, scattering)
    s = np.linalg.norm(miller, axis=1) / 4.12 / 2
    caesium, chlorine = lengths("Cs", s, scattering), lengths("Cl", s, scattering)
    signed = np.where(miller.sum(1) % 2 == 0, caesium + chlorine, caesium - chlorine)
    np.testing.assert_allclose(found, signed**2 / (caesium**2 + chlorine**2), atol=1e-12)
    if scattering == "equal":  # a body-centred lattice
        np.testing.assert_allclose(found, np.where(miller.sum(1) % 2 == 0, 2.0, 0.0), atol=1e-12)


@pytest.mark.parametrize("scattering", ["xray", "neutron", "equal"])
def test_crystals_of_one_element_do_not_show_how_it_scatters(scattering: str) -> None:
    miller, found = normalised(DIAMOND, scattering)
    odd, total = miller % 2, miller.sum(1) % 4
    mixed = odd.min(1) != odd.max(1)
    expected = np.where(mixed | (total == 2), 0.0, np.where(total == 0, 8.0, 4.0))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    (h, k, l), packed = normalised(MAGNESIUM, scattering)[0].T, normalised(MAGNESIUM, scattering)[1]  # noqa: E741
    np.testing.assert_allclose(packed, 2 * np.cos(np.pi * ((h + 2 * k) / 3 + l / 2)) ** 2, atol=1e-12)


def test_the_primitive_cell_has_an_nth_of_the_values_of_a_centred_cell() -> None:
    crystals = Crystals.from_pymatgen([SALT, DIAMOND])
    options = {"points": "sphere", "q_max": 1.2, "normalised": True}
    primitive, centred = (DiffractionPattern(cell=cell, **options)(crystals) for cell in ("primitive", "conventional"))  # type: ignore[arg-type]
    for i in range(2):
        few, many = (arrays[[i]].values["intensities"] for arrays in (primitive, centred))
        np.testing.assert_allclose(np.sort(few[few > 1e-6]), np.sort(many[many > 1e-6]) / 4, rtol=1e-5)


@pytest.mark.parametrize(("centric", "deviation"), [(False, 0.736), (True, 0.968)])
def test_values_have_the_distributions_of_wilson(centric: bool, deviation: float) -> None:
    """Mean |E|² = 1, and mean ||E|² − 1| = 2 / e without an inversion centre and 0.968 with one (Giacovazzo)."""
    coords = np.random.default_rng(0).random((60, 3))
    if centric:
        coords = np.concatenate([coords, -coords])
    crystal = one_crystal(np.eye(3) * 14, coords, np.full(len(coords), 14))
    miller, found, _ = sphere_intensities(crystal, 0.8, normalised=True)
    squares = found[miller.any(axis=1)]
    assert squares.mean() == pytest.approx(1, abs=0.05)
    assert np.abs(squares - 1).mean() == pytest.approx(deviation, abs=0.04)


# ---------------------------------------------------------------------- what must not matter


def test_a_common_displacement_factor_does_not_change_normalised_intensities(monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = random_crystals(2, 6, most_atoms=4)
    before = [cube_intensities(crystals, 3, normalised=which) for which in (False, True)]

    def damped(numbers: npt.NDArray[np.uint8], s_squared: Floats, scattering: str) -> Floats:
        return 7.0 * original(numbers, s_squared, scattering) * np.exp(-1.5 * s_squared)

    original: Callable[..., Floats] = intensities.form_factors
    monkeypatch.setattr(intensities, "form_factors", damped)
    after = [cube_intensities(crystals, 3, normalised=which) for which in (False, True)]
    np.testing.assert_allclose(after[1], before[1], rtol=1e-9, atol=1e-12)
    assert not np.allclose(after[0], 49 * before[0], rtol=0.1)


@pytest.mark.parametrize("normalised", [False, True])
def test_equal_scatterers_do_not_show_which_atom_is_which(normalised: bool) -> None:
    crystals = random_crystals(3, 6, most_atoms=5)
    rng = np.random.default_rng(0)
    others = changed(crystals, numbers=rng.permutation(crystals.numbers))
    one, other = (cube_intensities(c, 3, "equal", normalised) for c in (crystals, others))
    np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)
    assert not np.allclose(*(cube_intensities(c, 3, "xray", normalised) for c in (crystals, others)))


def test_equal_scatterers_do_not_show_the_elements_of_a_structure_type() -> None:
    crystals = Crystals.from_pymatgen([SALT, CAESIUM_CHLORIDE])
    renamed = changed(crystals, numbers=crystals.numbers + 20)
    for representation in (
        DiffractionPattern(scattering="equal"),
        DiffractionPattern("sphere", scattering="equal", normalised=True),
        DiffractionPowerSpectrum(scattering="equal"),
        DiffractionPowerSpectrum(scattering="equal", intensities="normalised"),
    ):
        before, after = representation(crystals).values, representation(renamed).values
        for name in before:
            np.testing.assert_allclose(after[name], before[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("scattering", ["xray", "neutron", "equal"])
@pytest.mark.parametrize("change", [rotated, inverted, other_cells, lambda c: supercells(c, (2, 1, 1))])
def test_the_description_of_a_crystal_does_not_matter(scattering: str, change: Callable[[Crystals], Crystals]) -> None:
    crystals = random_crystals(6, n=7, most_atoms=3, largest_z=83)
    pattern = DiffractionPattern("sphere", q_max=0.6, scattering=scattering, normalised=True)
    one, other = pattern(crystals), pattern(change(crystals))
    for i in range(len(crystals)):
        np.testing.assert_allclose(
            np.sort(other[[i]].values["intensities"]), np.sort(one[[i]].values["intensities"]), rtol=2e-3, atol=2e-3
        )
    spectrum = DiffractionPowerSpectrum(q_max=0.6, scattering=scattering, intensities="normalised")
    before, after = spectrum(crystals).values, spectrum(change(crystals)).values
    for name in before:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("scattering", ["xray", "equal"])
def test_spectra_of_normalised_intensities_are_per_volume(scattering: str) -> None:
    crystals = random_crystals(7, n=4, most_atoms=3)
    representation = DiffractionPowerSpectrum(q_max=0.6, scattering=scattering, intensities="normalised")
    small = representation.of_cells(crystals)
    large = representation.of_cells(supercells(crystals, (2, 1, 2)))  # not reduced to the primitive cell
    for one, other in zip(small, large, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-9, rtol=1e-7)
    if scattering == "equal":
        densities = crystals.atom_counts / crystals.volumes
        np.testing.assert_allclose(small[1][:, 0], np.sqrt(densities), rtol=1e-9)


# ---------------------------------------------------------------------- options


def test_every_choice_has_a_key_of_its_own() -> None:
    patterns = {DiffractionPattern(scattering=s, normalised=n).key for s in ("xray", "equal") for n in (False, True)}
    assert len(patterns) == 4
    spectra = {
        DiffractionPowerSpectrum(scattering=s, intensities=i).key
        for s in ("xray", "equal")
        for i in ("linear", "normalised")
    }
    assert len(spectra) == 4


def test_a_kind_of_scattering_without_effect_is_refused() -> None:
    with pytest.raises(ConfigError, match="scattering = 'equal' has no effect with intensities = 'none'"):
        DiffractionPowerSpectrum(scattering="equal", intensities="none")
