"""The descriptors are matminer's: compared with its featurizers on crystals of every crystal system."""

from __future__ import annotations

import warnings
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pytest
from helpers import changed, one_crystal, real_file
from pymatgen.analysis.local_env import VoronoiNN

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.representations.composition import MAGPIE_PROPERTIES
from crystalbench.representations.descriptors import DescriptorBank
from crystalbench.tasks import DataSources, get_task_spec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from matminer.featurizers.site import (
        AGNIFingerprints,
        AverageBondAngle,
        AverageBondLength,
        BondOrientationalParameter,
        CoordinationNumber,
        GeneralizedRadialDistributionFunction,
        LocalPropertyDifference,
    )
    from matminer.featurizers.structure import (
        ChemicalOrdering,
        DensityFeatures,
        GlobalSymmetryFeatures,
        MaximumPackingEfficiency,
        SineCoulombMatrix,
        SiteStatsFingerprint,
        StructuralComplexity,
        StructuralHeterogeneity,
    )

WARD = ["minimum", "maximum", "range", "mean", "avg_dev"]
TWO = ["mean", "std_dev"]


class Tolerant(VoronoiNN):
    """``VoronoiNN(tol=1e-5)`` that keeps the neighbours of a crystal's atoms for the next featurizer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(tol=1e-5, cutoff=10.0, compute_adj_neighbors=False, **options)
        self.kept = lru_cache(maxsize=64)(lambda _, atom: VoronoiNN.get_nn_info(self, self.structure, atom))

    def get_nn_info(self, structure: Any, n: int) -> Any:
        self.structure = structure
        return self.kept(id(structure), n)


@cache
def demo_crystals() -> Crystals:
    """36 small demo crystals, some of every crystal system, and four that are less regular."""
    chosen: list[Crystals] = []
    system = get_task_spec("demo_crystal_system").load(DataSources())
    energy = get_task_spec("demo_formation_energy").load(DataSources())
    for task, labels, each in ((system, system.targets, 5), (energy, np.zeros(len(energy)), 8)):
        for label in np.unique(labels):
            rows = np.flatnonzero((labels == label) & (task.inputs.atom_counts <= 4))
            chosen += [task.inputs[[row]] for row in rows[:: max(1, len(rows) // each)][:each]]
    crystals = concatenate(chosen)
    return changed(crystals, ids=np.arange(len(crystals)).astype(np.str_))  # some are in both tasks


def featurized(featurizers: list[Any], crystals: Crystals) -> dict[str, np.ndarray]:
    """Matminer's values by label, for structures whose sites lie in the cell."""
    rows = []
    for structure in crystals.wrapped().to_pymatgen():
        rows.append({})
        for featurizer in featurizers:
            labels = featurizer.feature_labels()
            try:
                rows[-1].update(zip(labels, featurizer.featurize(structure), strict=True))
            except TypeError:  # of an element without an atomic radius
                assert labels == ["packing fraction"]
                rows[-1]["packing fraction"] = np.nan
    return {label: np.array([float(row[label]) for row in rows]) for label in rows[0]}


def compare(bank: str, crystals: Crystals, expected: dict[str, np.ndarray], tolerance: float = 1e-6) -> list[str]:
    """Compare the descriptors that both compute, and return their names."""
    ours = DescriptorBank(bank, symprec=0.01)  # as matminer's `GlobalSymmetryFeatures`
    arrays = ours(crystals)
    values = dict(zip(ours.labels, arrays.values["descriptors"].T, strict=True))
    names = [label for label in expected if label in values]
    for name in names:
        np.testing.assert_allclose(values[name], expected[name], rtol=tolerance, atol=1e-6, err_msg=name)
    return names


def the_28_of_matminer(crystals: Crystals) -> dict[str, np.ndarray]:
    """The 28 descriptors by label, from matminer's featurizers and pymatgen's lattices."""
    neighbors = Tolerant()
    expected = featurized(
        [
            GlobalSymmetryFeatures(["spacegroup_num", "crystal_system_int"]),
            StructuralComplexity(),
            StructuralHeterogeneity(),
            SiteStatsFingerprint(AverageBondLength(neighbors), TWO),
            SiteStatsFingerprint(AverageBondAngle(neighbors), TWO),
            SiteStatsFingerprint(CoordinationNumber(neighbors), TWO),
            DensityFeatures(["density", "vpa"]),
            DensityFeatures(["packing fraction"]),
        ],
        crystals,
    )
    expected = {label.replace("CN_Tolerant", "CN_VoronoiNN"): values for label, values in expected.items()}
    lattices = [s.lattice for s in crystals.to_pymatgen()]
    names = ("a", "b", "c", "alpha", "beta", "gamma")
    expected |= {name: np.array([getattr(x, name) for x in lattices]) for name in names}
    return expected | {"natoms": crystals.atom_counts}


@pytest.mark.slow
def test_the_28_descriptors_are_those_of_matminer() -> None:
    crystals = demo_crystals()
    assert len(crystals) >= 35
    expected = the_28_of_matminer(crystals)
    assert len(np.unique(expected["crystal_system_int"])) == 7
    assert set(compare("gong28", crystals, expected)) == set(DescriptorBank().labels)


@pytest.mark.filterwarnings("ignore")
def test_the_28_descriptors_of_200_phonon_crystals_are_those_of_matminer() -> None:
    """Takes minutes, most of them in matminer."""
    file = real_file("matbench_phonons.json.gz")
    phonons = get_task_spec("matbench_phonons").load(DataSources(file.parent, download=False)).inputs
    chosen = np.random.default_rng(0).choice(len(phonons), 200, replace=False)
    crystals = phonons[np.sort(chosen)]
    assert isinstance(crystals, Crystals)
    assert set(compare("gong28", crystals, the_28_of_matminer(crystals))) == set(DescriptorBank().labels)


@pytest.mark.filterwarnings("ignore")
def test_more_descriptors_are_those_of_matminer() -> None:
    crystals = demo_crystals()[::7]
    expected = featurized(
        [
            GlobalSymmetryFeatures(["is_centrosymmetric", "n_symmetry_ops"]),
            StructuralHeterogeneity(),
            MaximumPackingEfficiency(),
            ChemicalOrdering(shells=[1]),
            SiteStatsFingerprint(BondOrientationalParameter(), TWO),
            SiteStatsFingerprint(LocalPropertyDifference.from_preset("ward-prb-2017"), WARD),
            SiteStatsFingerprint(AGNIFingerprints(directions=[None]), TWO),
            SiteStatsFingerprint(GeneralizedRadialDistributionFunction.from_preset("gaussian"), TWO),
        ],
        crystals,
    )
    same = compare("rich", crystals, expected)
    assert len(same) == len(expected) == 2 + 9 + 1 + 1 + 20 + 5 * len(MAGPIE_PROPERTIES) + 16 + 20


@pytest.mark.filterwarnings("ignore")
def test_effective_coordination_and_coulomb_eigenvalues_are_those_of_matminer() -> None:
    crystals = demo_crystals()[::7]
    stats = ["mean", "std_dev", "minimum", "maximum"]
    number = SiteStatsFingerprint(CoordinationNumber(VoronoiNN(), use_weights="effective"), stats)
    expected = {f"{k[: k.index('CN')]}effective CN_VoronoiNN": v for k, v in featurized([number], crystals).items()}
    matrix = SineCoulombMatrix(flatten=False)
    eigenvalues = [np.linalg.eigvalsh(matrix.fit([s]).featurize(s)[0]) for s in crystals.wrapped().to_pymatgen()]
    assert len(compare("rich", crystals, expected)) == 4
    functions = {"mean": np.mean, "std_dev": np.std, "minimum": np.min, "maximum": np.max}
    expected = {f"{k} sine coulomb matrix eig": np.array([f(e) for e in eigenvalues]) for k, f in functions.items()}
    # Matminer takes SciPy's "Angstrom star", an X-ray wavelength unit of 1.00001495 Å, for the ångström.
    assert len(compare("rich", crystals, expected, tolerance=3e-5)) == 4


def test_without_a_tolerance_matminer_counts_faces_without_area() -> None:
    """Why `FACE_TOLERANCE` is needed: the round-off of eight-digit coordinates creates spurious neighbours."""
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    coords = np.concatenate([corners, corners + np.array([0.5, 0, 0])])
    coords += np.random.default_rng(0).uniform(-1e-8, 1e-8, coords.shape)
    salt = one_crystal(np.eye(3) * 5.64, coords, [11] * 4 + [17] * 4)
    structure = salt.to_pymatgen()[0]
    counts = [VoronoiNN(tol=tolerance).get_cn(structure, 0) for tolerance in (0, 1e-5)]
    assert counts[1] == 6 < counts[0]
    ours = dict(zip(DescriptorBank().labels, DescriptorBank()(salt).values["descriptors"][0], strict=True))
    assert ours["mean CN_VoronoiNN"] == 6
    assert ours["std_dev CN_VoronoiNN"] == 0
