"""Force constants, frequencies and elastic moduli against closed forms and against direct calculations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import constants as physics
from toys import STIFFNESS, SmoothSprings, Springs

from crystalbench.data.crystals import Crystals
from crystalbench.data.equivalent import atom_order, other_cells, reordered, rotated, supercells, translated
from crystalbench.data.views.rows import OneCrystal
from crystalbench.data.views.symmetry import primitive_cell
from crystalbench.representations.potentials import ASEPotential, PotentialDescriptors, elasticity, phonons, symmetry
from crystalbench.representations.potentials.force_constants import cells_of, force_constants
from crystalbench.representations.potentials.parts import CELL_LABELS, cell_columns, harmonic_columns, zone_columns
from crystalbench.representations.potentials.potential import GPA
from crystalbench.testing.crystals import known_structures

EDGE = 2 * Springs.length / np.sqrt(3)
"""Edge in Å of a cube whose springs to the centre are relaxed."""
CAESIUM_CHLORIDE = OneCrystal(
    np.eye(3) * EDGE, np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.array([55, 17], dtype=np.uint8)
)


def known(name: str) -> OneCrystal:
    crystals = known_structures()
    row = crystals.ids.tolist().index(name)
    atoms = slice(crystals.offsets[row], crystals.offsets[row + 1])
    return OneCrystal(crystals.lattices[row], crystals.frac_coords[atoms], crystals.numbers[atoms])


def wave_number(eigenvalue: float) -> float:
    """1/cm of an eigenvalue in eV/Å²/u."""
    angular = np.sqrt(eigenvalue * physics.eV / physics.angstrom**2 / physics.atomic_mass)
    return float(angular / (2 * np.pi * physics.c) / 100)


def test_springs_vibrate_as_their_dynamical_matrix_says() -> None:
    """Eight springs along the diagonals: 8 k / 3 in every direction."""
    constants = force_constants(Springs(), CAESIUM_CHLORIDE)
    masses = phonons.masses_of(CAESIUM_CHLORIDE.numbers)
    onsite = 8 / 3 * STIFFNESS
    expected = onsite * np.kron([[1, -1], [-1, 1]], np.eye(3))
    np.testing.assert_allclose(constants, expected, atol=2e-3 * onsite)
    frequencies, vectors = phonons.modes(constants, masses)
    np.testing.assert_allclose(frequencies, wave_number(onsite * (1 / masses).sum()), rtol=1e-3)
    # The lighter atom moves more.
    shares = (vectors**2).reshape(2, 3, 3).sum((1, 2)) / 3
    np.testing.assert_allclose(shares, masses[::-1] / masses.sum(), rtol=1e-6)


def test_springs_have_the_moduli_of_cauchy() -> None:
    """At rest, C = Σ k r² n n n n / V: C11 = C12 = C44 for diagonals."""
    constants = force_constants(Springs(), CAESIUM_CHLORIDE)
    fixed, relaxed = elasticity.elastic_tensors(Springs(), CAESIUM_CHLORIDE, constants)
    modulus = GPA * 8 * STIFFNESS * Springs.length**2 / (9 * EDGE**3)
    bulk, _, _, shear, *_ = elasticity.moduli(fixed)
    assert bulk == pytest.approx(modulus, rel=1e-3)
    assert shear == pytest.approx(0.6 * modulus, rel=1e-3)  # (C11 - C12 + 3 C44) / 5
    values = np.linalg.eigvalsh(fixed)
    np.testing.assert_allclose(values, [0, 0, 2 * modulus, 2 * modulus, 2 * modulus, 3 * modulus], atol=1e-3 * modulus)
    np.testing.assert_allclose(relaxed, fixed, atol=1e-6 * modulus)  # each atom is a centre of inversion


def test_isotropic_moduli_are_their_own_averages() -> None:
    bulk, shear = 100.0, 40.0
    tensor = 2 * shear * np.eye(6)
    tensor[:3, :3] += bulk - 2 * shear / 3
    np.testing.assert_allclose(elasticity.moduli(tensor)[:6], [bulk] * 3 + [shear] * 3)


def test_reuss_averages_of_an_unstable_crystal_are_those_of_a_soft_one() -> None:
    tensor = np.diag([100.0, 100, 100, -20, 50, 50])
    soft = np.diag([100.0, 100, 100, elasticity.LEAST_STIFFNESS, 50, 50])
    assert elasticity.moduli(tensor)[4] == pytest.approx(elasticity.moduli(soft)[4])
    assert elasticity.moduli(tensor)[6] == -20


@pytest.mark.parametrize("name", ["zinc", "wurtzite", "rutile", "quartz", "zirconia"])
def test_symmetry_saves_evaluations_and_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remaining difference is of third order in displacement and strain."""
    potential, cell = SmoothSprings(), primitive_cell(known(name))
    SmoothSprings.calls.clear()
    constants = force_constants(potential, cell)
    tensors = elasticity.elastic_tensors(potential, cell, constants)
    evaluated = sum(SmoothSprings.calls)
    identity = symmetry.Operations(np.eye(3)[None], np.arange(len(cell.numbers))[None])
    for module in ("force_constants", "elasticity"):
        monkeypatch.setattr(f"crystalbench.representations.potentials.{module}.operations_of", lambda cell: identity)
    SmoothSprings.calls.clear()
    plain = force_constants(potential, cell)
    plain_tensors = elasticity.elastic_tensors(potential, cell, plain)
    assert sum(SmoothSprings.calls) == 6 * len(cell.numbers) + 12 > evaluated
    np.testing.assert_allclose(constants, plain, atol=2e-3 * np.abs(plain).max())
    for tensor, other in zip(tensors, plain_tensors, strict=True):
        np.testing.assert_allclose(tensor, other, atol=2e-3 * np.abs(other).max())


def test_relaxed_moduli_are_those_of_relaxed_cells() -> None:
    """Strain the cell, relax the atoms by Newton's method, and differentiate the stress."""
    potential, cell = SmoothSprings(), primitive_cell(known("wurtzite"))
    cell = cell._replace(coords=cell.coords + relaxing(potential, cell))
    constants = force_constants(potential, cell)
    fixed, relaxed = elasticity.elastic_tensors(potential, cell, constants)
    step = 1e-3
    direct = np.zeros((6, 6))
    for row, strain in enumerate(elasticity.BASIS):
        for sign in (1, -1):
            strained = cell._replace(lattice=cell.lattice @ (np.eye(3) + sign * step * strain))
            moved = strained._replace(coords=strained.coords + relaxing(potential, strained))
            stress = potential(cells_of(moved)).stresses[0]
            direct[row] += sign * np.einsum("ij,kij->k", stress, elasticity.BASIS) / (2 * step)
    direct = (direct + direct.T) / 2
    np.testing.assert_allclose(relaxed, direct, atol=0.01 * np.abs(direct).max())
    assert np.abs(relaxed - fixed).max() > 0.05 * np.abs(direct).max()  # so that relaxation matters


def relaxing(potential: Springs, cell: OneCrystal) -> np.ndarray:
    """Changes of the fractional coordinates that remove all forces."""
    moved = cell
    for _ in range(6):
        forces = potential(cells_of(moved)).forces
        step = np.linalg.pinv(force_constants(potential, moved), rcond=1e-6) @ forces.ravel()
        moved = moved._replace(coords=moved.coords + step.reshape(-1, 3) @ np.linalg.inv(cell.lattice))
    assert np.abs(potential(cells_of(moved)).forces).max() < 1e-6
    return moved.coords - cell.coords


def test_the_bulk_modulus_of_copper_is_that_of_ases_equation_of_state() -> None:
    from ase.build import bulk
    from ase.calculators.emt import EMT
    from ase.eos import EquationOfState

    class EffectiveMedium(ASEPotential):
        def calculator(self) -> EMT:
            return EMT()

    volumes, energies = [], []
    for edge in np.linspace(3.55, 3.63, 7):
        atoms = bulk("Cu", a=edge)
        atoms.calc = EMT()
        volumes.append(atoms.get_volume())
        energies.append(atoms.get_potential_energy())
    volume, _, modulus = EquationOfState(volumes, energies).fit()
    cell = OneCrystal(
        np.asarray(bulk("Cu", a=(4 * volume) ** (1 / 3)).cell), np.zeros((1, 3)), np.array([29], np.uint8)
    )
    columns = dict(
        zip(
            PotentialDescriptors("chgnet", "harmonic").labels,
            harmonic_columns(EffectiveMedium(), cell),
            strict=True,
        )
    )
    assert columns["chgnet harmonic: bulk modulus, Hill"] == pytest.approx(modulus * GPA, rel=0.01)
    assert np.isnan(columns["chgnet harmonic: maximum frequency"])  # a single atom has no optical modes


def test_a_supercell_has_the_frequencies_of_a_chain() -> None:
    """One atom with springs along x: ω² = 4 k / m at the boundary of the zone, 0 across."""
    cell = OneCrystal(np.diag([Springs.length, 9.0, 9.0]), np.zeros((1, 3)), np.array([29], dtype=np.uint8))
    columns = zone_columns(Springs(), cell)
    boundary = wave_number(4 * STIFFNESS / float(phonons.masses_of(cell.numbers)[0]))
    assert columns[0] == pytest.approx(boundary, rel=1e-3)
    np.testing.assert_allclose(columns[-2:], boundary, atol=1.0)  # the last peak of the density of states
    assert columns[phonons.FREQUENCY_LABELS.index("share of imaginary frequencies")] < 0.9


def test_imaginary_frequencies_are_negative() -> None:
    frequencies, vectors = phonons.modes(-force_constants(Springs(), CAESIUM_CHLORIDE), np.array([133.0, 35.0]))
    assert (frequencies < 0).all()
    statistics = phonons.frequency_statistics(frequencies, vectors, np.array([133.0, 35.0]))
    assert statistics[phonons.FREQUENCY_LABELS.index("share of imaginary frequencies")] == 1


def test_heat_capacities_approach_the_classical_limit() -> None:
    masses = np.ones(2)
    vectors = np.eye(6)[:, :3]
    soft = phonons.frequency_statistics(np.full(3, 2.0), vectors, masses)
    stiff = phonons.frequency_statistics(np.full(3, 3000.0), vectors, masses)
    row = phonons.FREQUENCY_LABELS.index("heat capacity at 300 K")
    assert soft[row] == pytest.approx(1, abs=1e-4)
    x = phonons.KELVIN * 3000 / 300
    assert stiff[row] == pytest.approx(x**2 * np.exp(x) / (np.exp(x) - 1) ** 2)


def test_stress_and_forces_of_the_given_cell() -> None:
    stretched = CAESIUM_CHLORIDE._replace(lattice=1.02 * CAESIUM_CHLORIDE.lattice)
    energy, pressure, largest, smallest, von_mises, force, _ = cell_columns(Springs(), stretched)
    assert energy == pytest.approx(8 * STIFFNESS / 2 * (0.02 * Springs.length) ** 2 / 2)
    assert pressure < 0 < smallest == pytest.approx(largest)
    assert von_mises == pytest.approx(0, abs=1e-9)
    assert force == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", ["rutile", "quartz", "boride"])
def test_columns_do_not_depend_on_the_description(name: str) -> None:
    """On orientation, origin, order of the atoms, or choice of the cell.

    Atoms are displaced along other vectors if the cell is another, so soft modes, which are anharmonic, may differ by
    0.5/cm; everything else agrees within 0.2 %.
    """
    cell = known(name)
    crystal = cells_of(cell._replace(name=name))
    others: list[Crystals] = [
        rotated(crystal, 1),
        translated(crystal, 1),
        reordered(crystal, atom_order(crystal, 1)),
        other_cells(crystal, 1),
        supercells(crystal, (2, 1, 1)),
    ]
    expected = columns_of(crystal)
    tolerance = 2e-3 * np.abs(expected) + np.where(["frequenc" in label for label in LABELS], 0.5, 2e-3)
    for other in others:
        assert (np.abs(columns_of(other) - expected) <= tolerance).all()


LABELS = (*CELL_LABELS, *phonons.FREQUENCY_LABELS, *phonons.SITE_LABELS, *elasticity.ELASTIC_LABELS)


def columns_of(crystal: Crystals) -> np.ndarray:
    cell = primitive_cell(OneCrystal(crystal.lattices[0], crystal.frac_coords, crystal.numbers))
    return np.concatenate([cell_columns(SmoothSprings(), cell), harmonic_columns(SmoothSprings(), cell)])
