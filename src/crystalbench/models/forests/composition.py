"""A forest on Magpie features and the fractions of all elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution

from crystalbench.models.forests.ensembles import ExtraTrees
from crystalbench.models.hyperparameters import OneOf
from crystalbench.models.model import Invariance, Needs, Sees
from crystalbench.representations import ElementContents, MagpieFeatures

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples

MAGPIE, FRACTIONS, VECTORS = "magpie", "fractions", "matscholar"
FEATURES = (
    f"{MAGPIE}+{FRACTIONS}",
    f"{MAGPIE}+{FRACTIONS}+{VECTORS}",
)


@dataclass
class CompositionForest(ExtraTrees):
    """Extremely randomised trees on Magpie features and the fractions of all elements, optionally on element vectors.

    Magpie features describe a composition by properties of its elements, so an element is known by what it has in
    common with others. The fractions name the elements themselves. Element vectors were learned from the abstracts of
    articles (`crystalbench.representations.element_vectors.matscholar_vectors`).

    Attributes:
        features: ``magpie+fractions``, or ``magpie+fractions+matscholar`` (with the mean element vector).
    """

    needs: ClassVar[Needs] = Needs.COMPOSITION
    version: ClassVar[int] = 1
    # The features and the kind of trees were chosen on training parts of these tasks.
    defaults_chosen_on: ClassVar[frozenset[str]] = frozenset(
        {"matbench_phonons", "matbench_jdft2d", "matbench_steels", "matbench_expt_gap"}
    )
    invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)
    sees: ClassVar[Sees] = Sees.COMPOSITION

    features: Annotated[str, OneOf(FEATURES), CategoricalDistribution(FEATURES)] = FEATURES[0]

    def _features(self, samples: Samples) -> npt.NDArray[np.float64]:
        contents = samples.represent(ElementContents(vectors=self.features.endswith(VECTORS)))
        return np.concatenate(
            [samples.represent(MagpieFeatures()).values["features"], contents.values["contents"]], axis=1
        )
