"""Trees on descriptors of crystals and on what a pretrained potential says about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.models.forests.descriptors import DescriptorForest
from crystalbench.models.model import Invariance
from crystalbench.models.potentials.columns import Parts, PotentialName, ReadsPotential

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples


@dataclass
class PotentialForest(ReadsPotential, DescriptorForest):
    """Extremely randomised trees on a bank of descriptors and on columns that are computed with a potential.

    Attributes:
        potential: registered name or place of a potential, such as ``chgnet`` or ``sevennet``.
        columns: parts of the potential's columns, joined by ``+``: ``cell`` (energy, stress and forces), ``harmonic``
            (frequencies at Γ and elastic moduli), ``zone`` (frequencies of a supercell), ``layers`` (binding of
            layered crystals), ``features`` (learned ones).
    """

    # Round-off of single precision can move a column across the threshold of a tree.
    invariances: ClassVar[frozenset[Invariance]] = frozenset()

    potential: PotentialName = "chgnet"
    columns: Parts = "cell+harmonic"

    def _computed(self, samples: Samples) -> npt.NDArray[np.float64]:
        return np.concatenate([super()._computed(samples), self.potential_columns(samples)], axis=1)
