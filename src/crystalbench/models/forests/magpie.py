"""Tree ensembles on composition features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.models.forests.ensembles import Boosting, ExtraTrees, RandomForest, TreeEnsemble
from crystalbench.models.model import Invariance, Needs, Sees
from crystalbench.representations import MagpieFeatures

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples


class OnMagpieFeatures(TreeEnsemble):
    """Trees on matminer's Magpie features: they see the composition and nothing else."""

    needs: ClassVar[Needs] = Needs.COMPOSITION
    # The kind of trees and the median over them were chosen on training parts of these tasks.
    defaults_chosen_on: ClassVar[frozenset[str]] = frozenset({"matbench_phonons", "matbench_jdft2d", "matbench_steels"})
    invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)
    sees: ClassVar[Sees] = Sees.COMPOSITION

    def _features(self, samples: Samples) -> npt.NDArray[np.float64]:
        return np.asarray(samples.represent(MagpieFeatures()).values["features"])


@dataclass
class MagpieForest(OnMagpieFeatures, ExtraTrees):
    """Extremely randomised trees on Magpie features."""


@dataclass
class MagpieRandomForest(OnMagpieFeatures, RandomForest):
    """A random forest on Magpie features.

    The published counterpart is Matbench's RF-SCM/Magpie, which also sees a sine Coulomb matrix of the structure.
    """


@dataclass
class MagpieBoosting(OnMagpieFeatures, Boosting):
    """Gradient boosting on Magpie features."""
