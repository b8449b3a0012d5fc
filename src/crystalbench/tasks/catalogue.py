"""Descriptors by short names, each of which may be the target of a task or of a probe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs

CELL, SYMMETRY, LOCAL, DENSITY, COMPOSITION = "cell", "symmetry", "local geometry", "density", "composition"
KINDS = (COMPOSITION, DENSITY, LOCAL, SYMMETRY, CELL)
"""What descriptors are of."""


@dataclass(frozen=True)
class Descriptor:
    """A number that describes a crystal.

    Attributes:
        name: letters, digits and ``_``.
        label: the label of its column in `DescriptorBank` (``gong28``) or `MagpieFeatures`; matminer's where it has it.
        kind: one of `KINDS`.
        unit: unit; empty for a pure number.
        default: whether it is in the short list of targets for networks.
    """

    name: str
    label: str
    kind: str
    unit: str = ""
    default: bool = False


VOLUME = "volume"
"""Label of the volume of the cell, which neither `DescriptorBank` nor `MagpieFeatures` has."""

_VARIATION = "neighbor distance variation"
_ALL = (
    Descriptor("number_of_elements", "0-norm", COMPOSITION),
    Descriptor("mean_atomic_number", "MagpieData mean Number", COMPOSITION),
    Descriptor("mean_electronegativity", "MagpieData mean Electronegativity", COMPOSITION, default=True),
    Descriptor("density", "density", DENSITY, "g/cm³", default=True),
    Descriptor("volume_per_atom", "vpa", DENSITY, "Å³"),
    Descriptor("packing_fraction", "packing fraction", DENSITY),
    Descriptor("mean_bond_length", "mean Average bond length", LOCAL, "Å"),
    Descriptor("std_bond_length", "std_dev Average bond length", LOCAL, "Å"),
    Descriptor("mean_bond_angle", "mean Average bond angle", LOCAL, "rad"),
    Descriptor("std_bond_angle", "std_dev Average bond angle", LOCAL, "rad"),
    Descriptor("mean_coordination", "mean CN_VoronoiNN", LOCAL, default=True),
    Descriptor("std_coordination", "std_dev CN_VoronoiNN", LOCAL),
    Descriptor("bond_length_deviation", "mean absolute deviation in relative bond length", LOCAL),
    Descriptor("max_bond_length", "max relative bond length", LOCAL),
    Descriptor("min_bond_length", "min relative bond length", LOCAL),
    Descriptor("max_distance_variation", f"maximum {_VARIATION}", LOCAL),
    Descriptor("range_distance_variation", f"range {_VARIATION}", LOCAL),
    Descriptor("mean_distance_variation", f"mean {_VARIATION}", LOCAL, default=True),
    Descriptor("distance_variation_deviation", f"avg_dev {_VARIATION}", LOCAL),
    Descriptor("cell_size_deviation", "mean absolute deviation in relative cell size", LOCAL),
    Descriptor("space_group", "spacegroup_num", SYMMETRY, default=True),
    Descriptor("crystal_system", "crystal_system_int", SYMMETRY),
    Descriptor("complexity_per_atom", "structural complexity per atom", SYMMETRY, "bits", default=True),
    Descriptor("complexity_per_cell", "structural complexity per cell", CELL, "bits"),
    Descriptor("atom_count", "natoms", CELL, default=True),
    Descriptor("volume", VOLUME, CELL, "Å³", default=True),
    Descriptor("a", "a", CELL, "Å", default=True),
    Descriptor("b", "b", CELL, "Å", default=True),
    Descriptor("c", "c", CELL, "Å", default=True),
    Descriptor("alpha", "alpha", CELL, "°"),
    Descriptor("beta", "beta", CELL, "°"),
    Descriptor("gamma", "gamma", CELL, "°"),
)

DESCRIPTORS: Mapping[str, Descriptor] = {descriptor.name: descriptor for descriptor in _ALL}
"""The 28 descriptors of S. Gong et al. (Sci. Adv. 9, eadi3245, 2023), the volume, and three of the composition."""

OF_COMPOSITIONS = tuple(descriptor.name for descriptor in _ALL if descriptor.kind == COMPOSITION)
"""Descriptors that need no structure."""

DEFAULT = tuple(descriptor.name for descriptor in _ALL if descriptor.default)
"""The short list: some of each kind."""


def names_for(*, has_structures: bool) -> tuple[str, ...]:
    """Names of the descriptors of crystals, or of those that compositions have as well."""
    return tuple(DESCRIPTORS) if has_structures else OF_COMPOSITIONS


def catalogue_values(inputs: Inputs, processes: int = 1) -> npt.NDArray[np.float64]:
    """All descriptors of crystals or compositions.

    Args:
        inputs: n crystals, which should be in a canonical cell (`crystalbench.data.views.primitive`), or compositions.
        processes: number of processes that may compute.

    Returns:
        (n, d), a column for each name of `names_for`; NaN where a descriptor cannot be computed.
    """
    from crystalbench.representations.cache import represent
    from crystalbench.representations.composition import MagpieFeatures
    from crystalbench.representations.descriptors import DescriptorBank

    columns: dict[str, npt.NDArray[np.float64]] = {}
    if isinstance(inputs, Crystals):
        bank = DescriptorBank("gong28")
        columns |= zip(bank.labels, represent(bank, inputs, processes)[0].values["descriptors"].T, strict=True)
        columns[VOLUME] = inputs.volumes
    magpie = MagpieFeatures()
    columns |= zip(magpie.labels, represent(magpie, inputs, processes)[0].values["features"].T, strict=True)
    names = names_for(has_structures=isinstance(inputs, Crystals))
    return np.stack([columns[DESCRIPTORS[name].label] for name in names], axis=1).astype(np.float64)
