"""Element features: the input of graph networks for each atom."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pymatgen.core import Element

from crystalbench.data.elements import MAX_Z

_BINS = 10


@lru_cache(maxsize=1)
def element_features() -> npt.NDArray[np.float32]:
    """One-hot element features (119, f) by atomic number; row 0 is zero.

    The nine properties of CGCNN's atom vectors (Xie and Grossman 2018, supplementary table): group, period,
    electronegativity, covalent radius, valence electrons, first ionisation energy (log), electron affinity, block and
    atomic volume (log). The continuous ones are divided into ten equal bins over all elements. Deviations from the
    original file: values come from matminer's Magpie tables, lanthanides and actinides have group 3, and missing values
    are imputed by the mean over the elements.
    """
    from matminer.utils.data import MagpieData

    source = MagpieData(impute_nan=True)
    elements = [Element.from_Z(z) for z in range(1, MAX_Z + 1)]

    def values(name: str) -> npt.NDArray[np.float64]:
        return np.array([float(source.get_elemental_property(e, name)) for e in elements])

    columns = [
        _one_hot(np.array([e.group for e in elements])),
        _one_hot(np.array([e.row for e in elements])),
        _one_hot(_binned(values("Electronegativity")), _BINS),
        _one_hot(_binned(values("CovalentRadius")), _BINS),
        _one_hot(np.minimum(np.rint(values("NValence")).astype(int), 18)),
        _one_hot(_binned(np.log(values("FirstIonizationEnergy"))), _BINS),
        _one_hot(_binned(values("ElectronAffinity")), _BINS),
        _one_hot(np.array(["spdf".index(e.block) for e in elements]), 4),
        _one_hot(_binned(np.log(values("AtomicVolume"))), _BINS),
    ]
    features = np.concatenate(columns, axis=1)
    return np.concatenate([np.zeros((1, features.shape[1])), features]).astype(np.float32)


def _binned(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    low, high = values.min(), values.max()
    bins: npt.NDArray[np.int64] = np.clip((_BINS * (values - low) / (high - low)).astype(int), 0, _BINS - 1)
    return bins


def _one_hot(numbers: npt.NDArray[Any], size: int | None = None) -> npt.NDArray[np.float64]:
    if size is None:  # one column per distinct number
        _, numbers = np.unique(numbers, return_inverse=True)
        size = int(numbers.max()) + 1
    rows: npt.NDArray[np.float64] = np.eye(size)[numbers]
    return rows
