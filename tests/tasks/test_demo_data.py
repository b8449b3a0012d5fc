"""The content of the shipped demo data, and that the generator in benchmarks/ reproduces them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import spglib

import crystalbench

DATA = Path(crystalbench.__file__).parent / "tasks" / "data"
REPOSITORY = Path(__file__).resolve().parents[2]
THERMODYNAMIC = [
    f"{quantity}_per_{extent}" for quantity in ("heat_capacity", "internal_energy") for extent in ("atom", "cell")
]
DULONG_PETIT = 3 * 8.314462618  # J/(mol K) per mole of atoms
CRYSTAL_SYSTEMS = {"cubic", "hexagonal", "trigonal", "tetragonal", "orthorhombic", "monoclinic", "triclinic"}


@pytest.fixture(scope="module")
def prototypes() -> pd.DataFrame:
    return pd.read_parquet(DATA / "demo_prototypes.parquet")


@pytest.fixture(scope="module")
def alloys() -> pd.DataFrame:
    return pd.read_parquet(DATA / "demo_alloys.parquet")


@pytest.fixture(autouse=True)
def _generator_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY))


def atoms_of(row):
    """Return an ASE crystal of one row."""
    from ase import Atoms

    return Atoms(
        numbers=row["numbers"],
        cell=np.reshape(row["lattice"], (3, 3)),
        scaled_positions=np.reshape(row["frac_coords"], (-1, 3)),
        pbc=True,
    )


def row_of(table, prototype, formula):
    """Return the only row of a prototype and a formula."""
    (row,) = table[(table["prototype"] == prototype) & (table["formula"] == formula)].to_dict("records")
    return row


@pytest.mark.parametrize("name", ["demo_prototypes", "demo_alloys"])
def test_geometry_columns_fit_together(name):
    table = pd.read_parquet(DATA / f"{name}.parquet")
    assert table["id"].is_unique
    for row in table.to_dict("records"):
        assert row["lattice"].shape == (9,)
        assert row["frac_coords"].shape == (3 * len(row["numbers"]),)
        assert row["numbers"].dtype == np.int32
        assert row["numbers"].min() >= 1
        assert row["frac_coords"].min() >= 0
        assert row["frac_coords"].max() < 1
        assert np.linalg.det(row["lattice"].reshape(3, 3)) > 0


@pytest.mark.parametrize("name", ["demo_prototypes", "demo_alloys"])
def test_formulas_are_the_reduced_composition(name):
    from pymatgen.core import Composition, Element

    for row in pd.read_parquet(DATA / f"{name}.parquet").iloc[::7].to_dict("records"):
        symbols, counts = np.unique([Element.from_Z(z).symbol for z in row["numbers"]], return_counts=True)
        expected = Composition(dict(zip(symbols, counts, strict=True))).reduced_composition
        assert Composition(row["formula"]).reduced_composition == expected


def test_both_files_are_small():
    assert sum(path.stat().st_size for path in DATA.glob("demo_*.parquet")) < 900_000


def test_every_prototype_of_pymatgen_is_included(prototypes):
    assert len(prototypes) == 288
    assert not prototypes.isna().any().any()
    assert set(prototypes["crystal_system"]) == CRYSTAL_SYSTEMS


def test_space_groups_are_those_of_the_geometry(prototypes):
    for row in prototypes.iloc[::3].to_dict("records"):
        cell = (row["lattice"].reshape(3, 3), row["frac_coords"].reshape(-1, 3), row["numbers"])
        assert spglib.get_symmetry_dataset(cell, symprec=0.1).number == row["spg_num"], row["id"]


def test_crystal_systems_are_those_of_the_geometry(prototypes):
    from pymatgen.core import Lattice, Structure
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    for row in prototypes.iloc[::12].to_dict("records"):
        structure = Structure(Lattice(row["lattice"]), row["numbers"], row["frac_coords"].reshape(-1, 3))
        assert SpacegroupAnalyzer(structure, symprec=0.1).get_crystal_system() == row["crystal_system"], row["id"]


def test_only_thermodynamics_of_unstable_alloys_is_missing(alloys):
    assert 500 <= len(alloys) <= 1200
    assert not alloys.drop(columns=THERMODYNAMIC).isna().any().any()
    for column in THERMODYNAMIC:
        assert (alloys[column].isna() == ~alloys["dynamically_stable"]).all()


def test_alloys_have_from_1_to_16_atoms(alloys):
    n_atoms = alloys["numbers"].map(len)
    assert n_atoms.min() == 1
    assert n_atoms.max() == 16


@pytest.mark.parametrize("quantity", ["heat_capacity", "internal_energy"])
def test_per_cell_is_per_atom_times_atoms(alloys, quantity):
    stable = alloys[alloys["dynamically_stable"]]
    per_cell = stable[f"{quantity}_per_atom"] * stable["numbers"].map(len)
    np.testing.assert_allclose(stable[f"{quantity}_per_cell"], per_cell, atol=2e-6, rtol=0)


def test_heat_capacity_and_energy_are_near_the_classical_limit(alloys):
    stable = alloys[alloys["dynamically_stable"]]
    assert (stable["heat_capacity_per_atom"] < DULONG_PETIT).all()
    assert (stable["heat_capacity_per_atom"] > 0.75 * DULONG_PETIT).all()
    # Zero-point energy makes the quantum oscillator's energy exceed kT.
    assert (stable["internal_energy_per_atom"] > DULONG_PETIT * 0.3).all()
    assert (stable["internal_energy_per_atom"] < 1.25 * DULONG_PETIT * 0.3).all()


def test_bulk_moduli_are_those_of_metals(alloys):
    assert alloys["bulk_modulus"].between(5, 400).all()


@pytest.mark.parametrize(
    ("metal", "lattice_constant", "bulk_modulus"),
    # Å and GPa: Birch-Murnaghan fits over ±1 % in length with ASE's own EMT; ASE's tutorial has 100.14 GPa for Ag.
    [("Cu", 3.5898, 134.46), ("Ag", 4.0636, 100.14), ("Ni", 3.4871, 175.62), ("Pt", 3.9218, 278.19)],
)
def test_elements_have_the_known_values(alloys, metal, lattice_constant, bulk_modulus):
    row = row_of(alloys, "A1", metal)
    volume = np.linalg.det(row["lattice"].reshape(3, 3))
    assert (4 * volume) ** (1 / 3) == pytest.approx(lattice_constant, abs=5e-4)
    assert row["bulk_modulus"] == pytest.approx(bulk_modulus, rel=5e-3)


def test_geometries_in_the_files_are_relaxed_under_the_emt_of_ase(alloys):
    from ase.calculators.emt import EMT

    for row in alloys.iloc[50::250].to_dict("records"):
        atoms = atoms_of(row)
        atoms.calc = EMT()
        assert np.abs(atoms.get_forces()).max() < 1e-3, row["id"]
        assert np.abs(atoms.get_stress()).max() * atoms.cell.volume / len(atoms) < 1e-3, row["id"]


def test_formation_energies_follow_from_the_emt_of_ase(alloys):
    from ase.calculators.emt import EMT

    def energy(row) -> float:
        atoms = atoms_of(row)
        atoms.calc = EMT()
        return atoms.get_potential_energy() / len(atoms)

    row = row_of(alloys, "L1_2", "Cu3Au")
    copper, gold = (min(energy(row_of(alloys, p, metal)) for p in ("A1", "A2", "A3")) for metal in ("Cu", "Au"))
    assert row["formation_energy"] == pytest.approx(energy(row) - (3 * copper + gold) / 4, abs=2e-6)


def test_fast_potential_equals_the_emt_of_ase():
    from ase.build import bulk
    from ase.calculators.emt import EMT

    from benchmarks.demo_data.emt import energy_forces_stress

    atoms = bulk("Cu", cubic=True)
    atoms.numbers[:] = [29, 79, 13, 46]
    atoms.rattle(0.1, seed=1)
    atoms.set_cell(atoms.cell @ [[1.02, 0.03, 0], [0, 0.97, 0], [0.01, 0, 1]], scale_atoms=True)
    atoms.calc = EMT()
    energy, forces, stress = energy_forces_stress(atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
    np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-10)
    np.testing.assert_allclose(stress, atoms.get_stress(voigt=False), atol=1e-12)


def test_phonons_have_the_spectrum_of_the_complete_supercell(alloys, monkeypatch):
    """The commensurate modes together are the modes of the supercell, whose Hessian needs no Fourier transform."""
    from benchmarks.demo_data import phonons
    from benchmarks.demo_data.emt import energy_forces_stress

    monkeypatch.setattr(phonons, "SUPERCELL_HEIGHT", 0.0)  # twice along each axis, the minimum
    primitive = atoms_of(row_of(alloys, "L1_0", "CuAu"))
    atoms, h = primitive.repeat(2), phonons.DISPLACEMENT

    def forces(coordinate: int, length: float) -> np.ndarray:
        positions = atoms.positions.copy()
        positions.flat[coordinate] += length
        frac_coords = positions @ np.linalg.inv(atoms.cell.array)
        return energy_forces_stress(atoms.cell.array, frac_coords, atoms.numbers)[1].ravel()

    hessian = np.array([(forces(i, -h) - forces(i, h)) / (2 * h) for i in range(3 * len(atoms))])
    masses = np.repeat(atoms.get_masses(), 3)
    expected = np.linalg.eigvalsh((hessian + hessian.T) / 2 / np.sqrt(np.outer(masses, masses)))
    found = np.sort(phonons.squared_frequencies(primitive).ravel())
    radians_per_second = 1.602176634e-19 / 1e-20 / 1.66053906660e-27
    np.testing.assert_allclose(found, expected * radians_per_second, atol=1e-5 * found.max())


def test_thermodynamics_of_one_oscillator():
    from benchmarks.demo_data.phonons import heat_capacity_and_energy

    capacity, energy = heat_capacity_and_energy(np.array([[0.0]]))
    assert capacity == pytest.approx(8.314462618)
    assert energy == pytest.approx(8.314462618 * 0.3)
    frequency = 1e15  # rad/s: kT is far below, so that only the zero point is left
    capacity, energy = heat_capacity_and_energy(np.array([[frequency**2]]))
    assert capacity == pytest.approx(0, abs=1e-6)
    assert energy == pytest.approx(0.5 * 1.054571817e-34 * frequency * 6.02214076e23 / 1000)


@pytest.mark.parametrize(("prototype", "formula"), [("L1_2", "Cu3Au"), ("B2", "AlNi")])
def test_the_generator_reproduces_the_alloys_in_the_files(alloys, prototype, formula):
    from benchmarks.demo_data.alloys import candidates, properties, relaxed_alloy

    row = row_of(alloys, prototype, formula)
    elements = {row["formula"]: atoms_of(row) for row in alloys[alloys["prototype"] == "A3"].to_dict("records")}
    elements["Au"] = atoms_of(row_of(alloys, "A1", "Au"))  # the one here that is most stable as A1
    metals = {atom.symbol for atom in atoms_of(row)}
    (atoms,) = (
        atoms
        for candidate, occupation in candidates()
        if candidate.name == prototype and set(occupation.values()) == metals
        for atoms in [relaxed_alloy(candidate, occupation, elements)]
        if sorted(atoms.numbers) == sorted(row["numbers"])
    )
    np.testing.assert_allclose(atoms.cell.array.ravel(), row["lattice"], atol=1e-4)
    np.testing.assert_allclose(atoms.get_scaled_positions().ravel(), row["frac_coords"], atol=1e-5)
    for name, value in properties(atoms, elements).items():
        shipped = row[name]
        assert (value is None and np.isnan(shipped)) or value == pytest.approx(shipped, rel=1e-3, abs=1e-5), name
