"""The 28 descriptors of Gong et al. with one tessellation and one symmetry search, compared with matminer."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from pymatgen.analysis.local_env import VoronoiNN
from pymatgen.core import Structure

from benchmarks.speed.phonons import NAME, phonons
from benchmarks.speed.rows import Measurement, Row, Settings
from crystalbench.data.crystals import Crystals
from crystalbench.representations.descriptors import DescriptorBank

SAMPLE = 12
TOLERANCE = 1e-6
"""Largest relative or absolute difference from matminer's values."""
FACE_TOLERANCE = 1e-5
"""Tolerance of `VoronoiNN`, which decides which faces are neighbours: that of `representations.descriptors.voronoi`."""
_STATISTICS = ["mean", "std_dev"]


def featurizers() -> list[Any]:
    """Matminer's featurizers of the 28 descriptors, without those of the lattice and the number of atoms."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from matminer.featurizers.site import AverageBondAngle, AverageBondLength, CoordinationNumber
        from matminer.featurizers.structure import (
            DensityFeatures,
            GlobalSymmetryFeatures,
            SiteStatsFingerprint,
            StructuralComplexity,
            StructuralHeterogeneity,
        )
    neighbors = VoronoiNN(tol=FACE_TOLERANCE, compute_adj_neighbors=False)  # not needed by these descriptors
    sites = [AverageBondLength(neighbors), AverageBondAngle(neighbors), CoordinationNumber(neighbors)]
    return [
        GlobalSymmetryFeatures(["spacegroup_num", "crystal_system_int"]),
        StructuralComplexity(),
        StructuralHeterogeneity(),
        *(SiteStatsFingerprint(site, _STATISTICS) for site in sites),
        DensityFeatures(["density", "vpa"]),
        DensityFeatures(["packing fraction"]),
    ]


def peer_descriptors(structure: Structure, made_by: Sequence[Any]) -> dict[str, float]:
    """The 28 descriptors of a structure by label, computed by each featurizer in turn."""
    values: dict[str, float] = {}
    for featurizer in made_by:
        labels = featurizer.feature_labels()
        try:
            values.update(zip(labels, featurizer.featurize(structure), strict=True))
        except TypeError:  # an element has no atomic radius
            if labels != ["packing fraction"]:
                raise
            values["packing fraction"] = float("nan")
    lattice = structure.lattice
    values |= {name: float(getattr(lattice, name)) for name in ("a", "b", "c", "alpha", "beta", "gamma")}
    return values | {"natoms": float(len(structure))}


def check_descriptors(labels: Sequence[str], ours: np.ndarray, peer: Sequence[Mapping[str, float]]) -> None:
    """Compare descriptors with those of the peer.

    Args:
        labels: the 28 labels.
        ours: (n, 28) descriptors.
        peer: the descriptors of each crystal by label.

    Raises:
        RuntimeError: a descriptor differs by more than `TOLERANCE`; the message names it.
    """
    for label, values in zip(labels, ours.T, strict=True):
        expected = np.array([float(row[label]) for row in peer])
        if not np.allclose(values, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            apart = np.nanmax(np.abs(values - expected))
            raise RuntimeError(f"{label} differs from matminer's by up to {apart:.2g}")


@contextmanager
def _prepare(settings: Settings) -> Iterator[tuple[Measurement, Measurement]]:
    crystals = phonons(settings).limited(SAMPLE).inputs
    assert isinstance(crystals, Crystals)
    structures: Sequence[Structure] = crystals.wrapped().to_pymatgen()
    bank, made_by = DescriptorBank("gong28", symprec=0.01), featurizers()  # tolerance as matminer

    def ours() -> float:
        start = time.perf_counter()
        bank(crystals)
        return 1000 * (time.perf_counter() - start) / len(crystals)

    def peer() -> float:
        start = time.perf_counter()
        for structure in structures:
            peer_descriptors(structure, made_by)
        return 1000 * (time.perf_counter() - start) / len(structures)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [peer_descriptors(structure, made_by) for structure in structures]
        check_descriptors(bank.labels, bank(crystals).values["descriptors"], expected)
        yield ours, peer


ROWS = (
    Row(
        "descriptors_phonons",
        "ms/crystal",
        f"the 28 descriptors of Gong et al., {SAMPLE} crystals of {NAME}; matminer's featurizers one after another, "
        f"with VoronoiNN(tol={FACE_TOLERANCE:g})",
        _prepare,
        target=100,
    ),
)
