"""Element vectors: what each element is to a model before it has seen a material."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from pymatgen.core import Element

from crystalbench.data.elements import MAX_Z
from crystalbench.representations.element_features import element_features

ElementVectors = Literal["properties", "matscholar"]
"""Names of the vectors; see `element_vectors`."""


def element_vectors(name: ElementVectors) -> npt.NDArray[np.float32]:
    """Vectors of all elements (119, d) by atomic number; row 0 is zero.

    Args:
        name: ``properties``: the one-hot element properties of CGCNN (`element_features`). ``matscholar``: see
            `matscholar_vectors`.
    """
    return element_features() if name == "properties" else matscholar_vectors()


@lru_cache(maxsize=1)
def matscholar_vectors() -> npt.NDArray[np.float32]:
    """Word vectors of the elements (119, 200), times √200, so that a component is of order 1; row 0 is zero.

    Tshitoyan et al. (Nature 571, 95, 2019) learned them from the abstracts of 3.3 million articles, without any table
    of properties; the file comes with matminer. It has no vectors beyond lawrencium (Z = 103): these elements get the
    mean over the others, as in matminer.
    """
    from matminer.utils.data import MatscholarElementData  # here, because the import is slow

    source = MatscholarElementData(impute_nan=True)
    table = np.zeros((MAX_Z + 1, len(source.prop_names)))
    for z in range(1, MAX_Z + 1):
        table[z] = [source.get_elemental_property(Element.from_Z(z), name) for name in source.prop_names]
    return np.asarray(table * np.sqrt(table.shape[1]), dtype=np.float32)
