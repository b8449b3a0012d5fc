"""Composition features: the Magpie statistics of elemental properties."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from pymatgen.core import Element

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.elements import MAX_Z
from crystalbench.representations.arrays import CRYSTAL, Arrays, Layout
from crystalbench.representations.representation import Representation

if TYPE_CHECKING:
    from crystalbench.data.compositions import Compositions

MAGPIE_PROPERTIES = (
    "Number",
    "MendeleevNumber",
    "AtomicWeight",
    "MeltingT",
    "Column",
    "Row",
    "CovalentRadius",
    "Electronegativity",
    "NsValence",
    "NpValence",
    "NdValence",
    "NfValence",
    "NValence",
    "NsUnfilled",
    "NpUnfilled",
    "NdUnfilled",
    "NfUnfilled",
    "NUnfilled",
    "GSvolume_pa",
    "GSbandgap",
    "GSmagmom",
    "SpaceGroupNumber",
)
"""The 22 elemental properties of matminer's ``magpie`` preset, in its order."""

STATISTICS = ("minimum", "maximum", "range", "mean", "avg_dev", "mode")
NORMS = (0, 2, 3, 5, 7, 10)
ORBITALS = ("s", "p", "d", "f")


@dataclass(frozen=True)
class MagpieFeatures(Representation):
    """146 features of a composition (Ward et al., npj Comput. Mater. 2, 16028, 2016), as matminer computes them.

    Six statistics of 22 elemental properties (matminer's `ElementProperty.from_preset("magpie")`), six stoichiometric
    norms (`Stoichiometry`), and mean and fraction of valence electrons by orbital (`ValenceOrbital`), computed for all
    rows at once. Where Magpie's tables lack the value of an element, it is imputed by the mean over the elements, as in
    matminer.

    Arrays: ``features`` (n, 146) float64.
    """

    packages: ClassVar[tuple[str, ...]] = ("matminer",)

    def __call__(self, inputs: Inputs) -> Arrays:
        """The features of n compositions, or of the compositions of n crystals."""
        compositions = inputs.compositions() if isinstance(inputs, Crystals) else inputs
        if len(compositions):
            parts = [_element_statistics(compositions), _stoichiometry(compositions), _valence(compositions)]
            features = np.concatenate(parts, axis=1)
        else:
            features = np.zeros((0, len(self.labels)))
        return Arrays({"features": features}, {"features": Layout(CRYSTAL)}, {}, len(compositions))

    @property
    def labels(self) -> list[str]:
        """Names of the 146 features, as matminer labels them."""
        return [
            *(f"MagpieData {stat} {name}" for name in MAGPIE_PROPERTIES for stat in STATISTICS),
            *(f"{p}-norm" for p in NORMS),
            *(f"avg {o} valence electrons" for o in ORBITALS),
            *(f"frac {o} valence electrons" for o in ORBITALS),
        ]


@lru_cache(maxsize=1)
def magpie_table() -> npt.NDArray[np.float64]:
    """Elemental properties (119, 22) by atomic number; row 0 is unused."""
    from matminer.utils.data import MagpieData  # here, because the import is slow and few commands need it

    source = MagpieData(impute_nan=True)
    table = np.zeros((MAX_Z + 1, len(MAGPIE_PROPERTIES)))
    for z in range(1, MAX_Z + 1):
        table[z] = [source.get_elemental_property(Element.from_Z(z), name) for name in MAGPIE_PROPERTIES]
    return table


def _element_statistics(compositions: Compositions) -> npt.NDArray[np.float64]:
    owners, fractions, n = compositions.owners, compositions.fractions, len(compositions)
    values = magpie_table()[compositions.numbers]
    starts = compositions.offsets[:-1]
    minimum = np.minimum.reduceat(values, starts)
    maximum = np.maximum.reduceat(values, starts)
    mean = np.add.reduceat(values * fractions[:, None], starts)
    deviation = np.add.reduceat(np.abs(values - mean[owners]) * fractions[:, None], starts)
    largest = np.maximum.reduceat(compositions.amounts, starts)
    frequent = np.isclose(compositions.amounts, largest[owners])
    mode = np.minimum.reduceat(np.where(frequent[:, None], values, np.inf), starts)
    return np.stack([minimum, maximum, maximum - minimum, mean, deviation, mode], axis=2).reshape(n, -1)


def _stoichiometry(compositions: Compositions) -> npt.NDArray[np.float64]:
    starts, fractions = compositions.offsets[:-1], compositions.fractions
    columns = [np.diff(compositions.offsets).astype(float)]
    columns += [np.add.reduceat(fractions**p, starts) ** (1 / p) for p in NORMS[1:]]
    return np.stack(columns, axis=1)


def _valence(compositions: Compositions) -> npt.NDArray[np.float64]:
    wanted = [MAGPIE_PROPERTIES.index(f"N{o}Valence") for o in ORBITALS] + [MAGPIE_PROPERTIES.index("NValence")]
    values = magpie_table()[compositions.numbers][:, wanted] * compositions.fractions[:, None]
    mean = np.add.reduceat(values, compositions.offsets[:-1])
    return np.concatenate([mean[:, :4], mean[:, :4] / mean[:, 4:]], axis=1)
