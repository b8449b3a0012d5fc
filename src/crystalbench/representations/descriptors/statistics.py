"""Statistics over the atoms of a cell, as matminer's `PropertyStats` defines them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

STATISTICS = {
    "mean": lambda v: v.mean(axis=0),
    "std_dev": lambda v: v.std(axis=0),
    "minimum": lambda v: v.min(axis=0),
    "maximum": lambda v: v.max(axis=0),
    "range": lambda v: v.max(axis=0) - v.min(axis=0),
    "avg_dev": lambda v: np.abs(v - v.mean(axis=0)).mean(axis=0),
}
"""Functions of (atoms, q) values; each atom counts once."""


def statistics_of(values: npt.NDArray[np.float64], names: Sequence[str]) -> npt.NDArray[np.float64]:
    """(q * s,) statistics of (atoms, q) values: all statistics of the first quantity, then those of the second, etc."""
    rows: npt.NDArray[np.float64] = np.stack([STATISTICS[name](values) for name in names], axis=-1).ravel()
    return rows


def statistics_labels(quantities: Iterable[str], names: Sequence[str]) -> tuple[str, ...]:
    """Labels of the values of `statistics_of`."""
    return tuple(f"{name} {quantity}" for quantity in quantities for name in names)
