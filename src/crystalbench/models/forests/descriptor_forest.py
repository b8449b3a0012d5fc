"""Tree ensembles on descriptors of whole crystals."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution

from crystalbench.models.columns import Imputation, within_range
from crystalbench.models.forests.forest import Forest
from crystalbench.models.model import Invariance, Needs
from crystalbench.representations.composition import MagpieFeatures
from crystalbench.representations.descriptors import WITH_COMPOSITION, DescriptorBank

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples

log = logging.getLogger(__name__)


@dataclass
class DescriptorForest(Forest):
    """A forest on a bank of descriptors: knows symmetry, neighbourhoods, density and the cell as numbers.

    A descriptor that could not be computed for a crystal gets the median over the training rows.

    Attributes:
        bank: bank of descriptors, ``gong28``, ``rich`` or ``atom_count``.
        with_composition: whether Magpie's composition features are added; ``rich`` holds them in any case.
    """

    needs: ClassVar[Needs] = Needs.STRUCTURE
    # The number of the space group tells mirror images apart, and the lattice and counts per cell tell cells apart.
    invariances: ClassVar[frozenset[Invariance]] = frozenset({Invariance.ROTATION})

    bank: Annotated[str, CategoricalDistribution(("gong28", "rich"))] = "rich"
    with_composition: Annotated[bool, CategoricalDistribution((False, True))] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._bank = DescriptorBank(self.bank)

    def _fit_features(self, train: Samples) -> None:
        """Medians over the rows of the training part where a descriptor is known; 0 where it is known nowhere."""
        self._imputation = Imputation.fitted(self._as_computed(train))

    def _features(self, samples: Samples) -> npt.NDArray[np.float64]:
        values = self._as_computed(samples)
        lacking = int(np.isnan(values).any(1).sum())
        if lacking:
            log.info("%d of %d crystals lack descriptors; they get medians", lacking, len(values))
        return self._imputation(values)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """The trees, and the medians."""
        arrays, facts = super().state()
        return arrays | {"medians": self._imputation.medians}, facts

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Take the trees, and the medians."""
        super().restore(arrays, facts)
        self._imputation = Imputation(arrays["medians"])

    def _as_computed(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Features of n crystals within the range of single precision; NaN where they are not known."""
        values = samples.represent(self._bank).values["descriptors"]
        if self.with_composition and self.bank not in WITH_COMPOSITION:
            values = np.concatenate([values, samples.represent(MagpieFeatures()).values["features"]], axis=1)
        return within_range(values)
