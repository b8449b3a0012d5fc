"""Samples to test with: targets that can be learned from small crystals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.samples import Samples
from crystalbench.targets import Kind, Target

TARGETS = {
    Kind.REGRESSION: Target("energy", Kind.REGRESSION, "eV"),
    Kind.BINARY: Target("metal", Kind.BINARY, classes=("false", "true")),
    Kind.MULTICLASS: Target("system", Kind.MULTICLASS, classes=("cubic", "hexagonal", "other")),
}


def targets_for(inputs: Inputs, kind: Kind) -> npt.NDArray[np.float64]:
    """Targets (n,) that follow from the composition: the mean atomic number over 10, or classes of it."""
    cells = inputs.compositions() if isinstance(inputs, Crystals) else inputs
    means = np.bincount(cells.owners, cells.fractions * cells.numbers, minlength=len(cells))
    if kind is Kind.REGRESSION:
        return means / 10
    ranks = np.argsort(np.argsort(means, kind="stable"), kind="stable")
    return (ranks * (2 if kind is Kind.BINARY else 3) // len(means)).astype(np.float64)


def samples_of(inputs: Inputs, kind: Kind = Kind.REGRESSION) -> Samples:
    """Samples with targets that can be learned."""
    return Samples(inputs, TARGETS[kind], targets_for(inputs, kind))
