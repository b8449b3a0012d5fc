"""The power spectrum of diffraction: its harmonics, its invariance, its limits."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import atom_order, one_crystal, random_crystals, reordered, repeatable, rotated, supercells, translated
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import eval_legendre

from crystalbench.data.compositions import Compositions
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations.diffraction import DiffractionPowerSpectrum, power_spectrum
from crystalbench.representations.diffraction.harmonics import degrees, even_harmonics
from crystalbench.representations.diffraction.intensities import reciprocal_lattices
from crystalbench.representations.diffraction.pattern import sphere_intensities

seeds = st.integers(0, 10_000)
KINDS = ["linear", "log", "absences", "none"]


def test_harmonics_obey_the_addition_theorem() -> None:
    directions = np.random.default_rng(0).normal(size=(40, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    harmonics = even_harmonics(directions, 12)
    for degree in range(0, 13, 2):
        part = harmonics[:, degrees(12) == degree]
        assert part.shape[1] == degree + 1
        np.testing.assert_allclose(
            (part @ part.conj().T).real, eval_legendre(degree, directions @ directions.T), atol=1e-12
        )


@pytest.mark.parametrize("kind", KINDS)
def test_spectra_equal_a_double_sum_over_points(kind: str) -> None:
    crystals = random_crystals(1, n=3, most_atoms=3)
    representation = DiffractionPowerSpectrum(q_max=0.6, shells=5, l_max=6, intensities=kind)
    spectrum, origin = representation.of_cells(crystals)
    miller, values, counts = sphere_intensities(crystals, 0.6)
    owners = np.repeat(np.arange(3), counts)
    for i in range(3):
        g = miller[owners == i] @ reciprocal_lattices(crystals)[i]
        lengths = np.linalg.norm(g, axis=1)
        at_origin = lengths < 1e-9
        assert origin[i, 0] == pytest.approx(np.sqrt(values[owners == i][at_origin][0]))
        g, lengths, intensity = g[~at_origin], lengths[~at_origin], values[owners == i][~at_origin]
        u = power_spectrum.INTENSITIES[kind](intensity) * 0.5 * (1 + np.cos(np.pi * lengths / 0.6))
        cosines = (g / lengths[:, None]) @ (g / lengths[:, None]).T
        for k in range(5):
            w = u * np.exp(-0.5 * ((lengths - (k + 0.5) * 0.12) / 0.12) ** 2)
            for half, degree in enumerate((0, 2, 4, 6)):
                expected = np.sqrt(max(0, w @ eval_legendre(degree, np.clip(cosines, -1, 1)) @ w))
                assert spectrum[i, k, half] == pytest.approx(expected, rel=1e-6, abs=1e-6)


@repeatable(5)
@given(seed=seeds)
def test_spectra_do_not_depend_on_the_orientation(seed: int) -> None:
    crystals = random_crystals(seed, n=7, most_atoms=4)
    one, other = (DiffractionPowerSpectrum(q_max=0.7).of_cells(c) for c in (crystals, rotated(crystals, seed)))
    for a, b in zip(one, other, strict=True):  # without the standard orientation
        np.testing.assert_allclose(a, b, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_description_of_a_crystal_does_not_matter(kind: str) -> None:
    crystals = random_crystals(6, n=7, most_atoms=3)
    representation = DiffractionPowerSpectrum(q_max=0.7, intensities=kind)
    before = representation(crystals).values
    for other in (
        rotated(crystals),
        translated(crystals),
        reordered(crystals, atom_order(crystals)),
        supercells(crystals, (1, 2, 1)),
    ):
        after = representation(other).values
        for name in before:
            np.testing.assert_allclose(after[name], before[name], atol=2e-3, rtol=1e-3)


def test_linear_spectra_are_per_volume() -> None:
    crystals = random_crystals(7, n=4, most_atoms=3)
    representation = DiffractionPowerSpectrum(q_max=0.6)
    small, _ = representation.of_cells(crystals)
    large, _ = representation.of_cells(supercells(crystals, (2, 1, 2)))  # not reduced to the primitive cell
    np.testing.assert_allclose(large, small, atol=1e-9, rtol=1e-7)


def test_cubic_crystals_have_no_second_degree() -> None:
    spectrum = DiffractionPowerSpectrum()(one_crystal(np.eye(3) * 3, [[0, 0, 0]], 84)).values["spectrum"]
    assert spectrum[..., 1].max() < 1e-6 * spectrum[..., 0].max()
    assert spectrum[..., 2].max() > 1e-2 * spectrum[..., 0].max()


def test_the_size_of_batches_does_not_change_spectra(monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = random_crystals(9, n=5)
    whole, _ = DiffractionPowerSpectrum(q_max=0.6).of_cells(crystals)
    monkeypatch.setattr(power_spectrum, "_POINTS", 37)
    pieces, _ = DiffractionPowerSpectrum(q_max=0.6).of_cells(crystals)
    np.testing.assert_allclose(pieces, whole, rtol=1e-9, atol=1e-9)


def test_empty_spectra_and_invalid_options() -> None:
    assert len(DiffractionPowerSpectrum()(random_crystals(0, 3)[[]])) == 0
    tiny = DiffractionPowerSpectrum(q_max=0.1)(one_crystal(np.eye(3) * 2, [[0, 0, 0]], 1))
    assert not tiny.values["spectrum"].any()  # the sphere contains the origin only
    with pytest.raises(ConfigError, match="l_max = 3; it must be even"):
        DiffractionPowerSpectrum(l_max=3)
    with pytest.raises(ConfigError, match="intensities = 'full'; it must be one of linear"):
        DiffractionPowerSpectrum(intensities="full")
    with pytest.raises(ConfigError, match="shells = 0; it must be positive"):
        DiffractionPowerSpectrum(shells=0)
    with pytest.raises(DataError, match="needs crystal structures"):
        DiffractionPowerSpectrum()(Compositions.from_formulas(["NaCl"]))
