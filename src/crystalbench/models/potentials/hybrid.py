"""A network whose head also reads what a pretrained potential says about the crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crystalbench.models.hybrid import HybridSEN
from crystalbench.models.model import Invariance
from crystalbench.models.potentials.columns import Parts, PotentialName, ReadsPotential

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples


@dataclass
class HybridPotential(ReadsPotential, HybridSEN):
    """SEN with a bank of descriptors and with columns that are computed with a potential.

    Attributes:
        potential: registered name or place of a potential, such as ``chgnet`` or ``sevennet``.
        columns: parts of the potential's columns, joined by ``+``: ``cell`` (energy, stress and forces), ``harmonic``
            (frequencies at Γ and elastic moduli), ``zone`` (frequencies of a supercell), ``layers`` (binding of
            layered crystals), ``features`` (learned ones).
    """

    potential: PotentialName = "chgnet"
    columns: Parts = "cell+harmonic"

    @property
    def invariances(self) -> frozenset[Invariance]:
        """None: columns depend on the description of the crystal through round-off of single precision."""
        return frozenset()

    @property
    def _columns(self) -> int:
        return super()._columns + len(self.potential_labels())

    def _values(self, samples: Samples) -> np.ndarray:
        return np.concatenate([super()._values(samples), self.potential_columns(samples)], axis=1)
