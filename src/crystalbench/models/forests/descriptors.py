"""Tree ensembles on descriptors of crystals."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution

from crystalbench.models.columns import Imputation, within_range
from crystalbench.models.forests.ensembles import Boosting, ExtraTrees, RandomForest, TreeEnsemble
from crystalbench.models.hyperparameters import OneOf
from crystalbench.models.model import Invariance, Needs, Sees
from crystalbench.representations import MagpieFeatures
from crystalbench.representations.descriptors import DescriptorBank

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples

log = logging.getLogger(__name__)

_WITH_MAGPIE = "+magpie"
BANKS = (
    "gong28",
    f"gong28{_WITH_MAGPIE}",
    "rich",
    "rich_without_cell",
    "atom_count",
    "space_group_volume",
    f"volume_per_atom{_WITH_MAGPIE}",
)
_WITHOUT_CHEMISTRY = frozenset(("atom_count", "space_group_volume"))


@dataclass
class OnDescriptors(TreeEnsemble):
    """Trees on a bank of descriptors: they see symmetry, neighbourhoods, density and the cell as numbers.

    A descriptor that could not be computed for a crystal gets the median over all rows to fit.

    Attributes:
        bank: bank of descriptors: ``gong28``, ``gong28+magpie`` (with Magpie's composition features), ``rich`` (which
            contains both), ``rich_without_cell`` (without what depends on the choice of the cell), ``atom_count``,
            ``space_group_volume`` (space group and volume of the primitive cell), or ``volume_per_atom+magpie``
            (composition and density).
    """

    needs: ClassVar[Needs] = Needs.STRUCTURE
    # The bank, the kind of trees and the median over them were chosen on training parts of these tasks.
    defaults_chosen_on: ClassVar[frozenset[str]] = frozenset({"matbench_phonons", "matbench_jdft2d"})
    # The number of the space group differs between mirror images; lattice and counts per cell between cells.
    invariances: ClassVar[frozenset[Invariance]] = frozenset({Invariance.ROTATION})

    bank: Annotated[str, OneOf(BANKS), CategoricalDistribution(("gong28", f"gong28{_WITH_MAGPIE}", "rich"))] = "rich"

    @property
    def sees(self) -> Sees:
        """Descriptors; the number of atoms, or space group and volume, are no chemistry."""
        return Sees.STRUCTURE if self.bank in _WITHOUT_CHEMISTRY else Sees.DESCRIPTORS

    def _fit_features(self, *parts: Samples) -> None:
        self._imputation = Imputation.fit(np.concatenate([self._computed(part) for part in parts]))

    def _features(self, samples: Samples) -> npt.NDArray[np.float64]:
        values = self._computed(samples)
        incomplete = int(np.isnan(values).any(1).sum())
        if incomplete:
            log.info("%d of %d crystals lack descriptors, which are imputed by medians", incomplete, len(values))
        return self._imputation(values)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """The trees, and the medians."""
        arrays, facts = super().state()
        return arrays | {"medians": self._imputation.medians}, facts

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Restore the trees and the medians."""
        super().restore(arrays, facts)
        self._imputation = Imputation(arrays["medians"])

    def _computed(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Features (n, d) as computed, within the range of single precision; NaN where a descriptor is missing."""
        bank = DescriptorBank(self.bank.removesuffix(_WITH_MAGPIE))
        values = samples.represent(bank).values["descriptors"]
        if self.bank.endswith(_WITH_MAGPIE):
            values = np.concatenate([values, samples.represent(MagpieFeatures()).values["features"]], axis=1)
        return within_range(values)


@dataclass
class DescriptorForest(OnDescriptors, ExtraTrees):
    """Extremely randomised trees on a bank of descriptors."""


@dataclass
class DescriptorRandomForest(OnDescriptors, RandomForest):
    """A random forest on a bank of descriptors."""


@dataclass
class DescriptorBoosting(OnDescriptors, Boosting):
    """Gradient boosting on a bank of descriptors, which are rounded to 7 decimals.

    Many descriptors vanish by symmetry up to round-off, and LightGBM splits at any difference between values, however
    small: without rounding, a prediction can change when the crystal is rotated. scikit-learn's trees do not split at
    differences below 1e-7.
    """

    version: ClassVar[int] = 3  # rounding of descriptors

    def _features(self, samples: Samples) -> npt.NDArray[np.float64]:
        return super()._features(samples).round(7)
