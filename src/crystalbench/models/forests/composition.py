"""A forest on Magpie features and the fractions of all elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution

from crystalbench.data.samples import Predictions
from crystalbench.models.forests.ensembles import ExtraTrees
from crystalbench.models.forests.labels import Ranking
from crystalbench.models.hyperparameters import ActsIf, OneOf
from crystalbench.models.model import Invariance, Needs, Sees
from crystalbench.representations import ElementContents, MagpieFeatures
from crystalbench.targets import Kind

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples

MAGPIE, FRACTIONS, VECTORS = "magpie", "fractions", "matscholar"
FEATURES = (
    f"{MAGPIE}+{FRACTIONS}",
    f"{MAGPIE}+{FRACTIONS}+{VECTORS}",
)

Targets = Literal["values", "ranks"]
_FOR_REGRESSION = ActsIf(lambda kind, _: kind is Kind.REGRESSION, "regression only")


@dataclass
class CompositionForest(ExtraTrees):
    """Extremely randomised trees on Magpie features and the fractions of all elements, optionally on element vectors.

    Magpie features describe a composition by properties of its elements, so an element is known by what it has in
    common with others. The fractions name the elements themselves. Element vectors were learned from the abstracts of
    articles (`crystalbench.representations.element_vectors.matscholar_vectors`).

    Attributes:
        features: ``magpie+fractions``, or ``magpie+fractions+matscholar`` (with the mean element vector).
        targets: what the trees of a regression are grown on: the ``values`` of the targets, or their ``ranks`` among
            all rows to fit. A few extreme targets then do not rule the splits. Predictions are values in either case.
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
    targets: Annotated[Targets, CategoricalDistribution(("values", "ranks")), _FOR_REGRESSION] = "ranks"

    def predict(self, samples: Samples) -> Predictions:
        """Median or mean over the trees, whose ranks are turned into values before, or class probabilities."""
        if not self._is_ranked:
            return super().predict(samples)
        values = self._ranking.inverse(self._trees.value[self._trees.leaves(self._features(samples)), 0])
        centre = np.median(values, axis=0) if self.aggregate == "median" else values.mean(0)
        return Predictions(np.asarray(centre), values.std(0))

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """The trees and, if they predict ranks, the targets."""
        arrays, facts = super().state()
        return arrays | ({"ranking": self._ranking.known} if self._is_ranked else {}), facts

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Restore the trees and the targets."""
        super().restore(arrays, facts)
        if self._is_ranked:
            self._ranking = Ranking(arrays["ranking"])

    @property
    def _is_ranked(self) -> bool:
        return self._is_regression and self.targets == "ranks"

    def _fit_features(self, *parts: Samples) -> None:
        self._ranking = Ranking.fit(np.concatenate([part.targets for part in parts]))

    def _labels(self, targets: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        return self._ranking(targets) if self._is_ranked else super()._labels(targets)

    def _features(self, samples: Samples) -> npt.NDArray[np.float64]:
        contents = samples.represent(ElementContents(vectors=self.features.endswith(VECTORS)))
        return np.concatenate(
            [samples.represent(MagpieFeatures()).values["features"], contents.values["contents"]], axis=1
        )
