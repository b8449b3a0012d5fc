"""Tree ensembles on composition features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.models.forests.forest import ALGORITHMS, Forest
from crystalbench.models.model import Invariance, Needs
from crystalbench.representations import MagpieFeatures

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples

__all__ = ["ALGORITHMS", "MagpieForest"]


@dataclass
class MagpieForest(Forest):
    """A forest on matminer's Magpie features: knows the composition and nothing else.

    The published counterpart is Matbench's RF-SCM/Magpie, a random forest that sees a Coulomb matrix besides.
    """

    needs: ClassVar[Needs] = Needs.COMPOSITION
    invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)

    def _features(self, samples: Samples) -> npt.NDArray[np.float64]:
        return np.asarray(samples.represent(MagpieFeatures()).values["features"])
