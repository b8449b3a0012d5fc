"""Columns that are computed with a potential, for models that read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from crystalbench.models.columns import within_range
from crystalbench.models.hyperparameters import OneOf, Registered
from crystalbench.models.model import Sees
from crystalbench.representations.potentials import PotentialDescriptors, get_potential
from crystalbench.representations.potentials.potential import GROUP

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples

PARTS = (
    "cell",
    "cell+harmonic",
    "cell+harmonic+layers",
    "cell+harmonic+zone",
    "cell+harmonic+features",
    "cell+harmonic+zone+features",
    "cell+layers",
    "cell+features",
)
"""Combinations of parts of `PotentialDescriptors`."""

Parts = Annotated[str, OneOf(PARTS)]
"""Type of a hyperparameter that names parts."""


PotentialName = Annotated[str, Registered(GROUP, "potential", get_potential)]
"""Type of a hyperparameter that names a potential."""


class ReadsPotential:
    """What models with the fields ``potential`` and ``columns`` have in common."""

    extra: ClassVar[str | None] = "potentials"
    sees: ClassVar[Sees] = Sees.PRETRAINED
    potential: str
    columns: Any

    @property
    def pretrained_on(self) -> frozenset[str]:
        """What the potential was fitted to."""
        return get_potential(self.potential).pretrained_on

    @property
    def representations(self) -> list[PotentialDescriptors]:
        """The parts, in order."""
        return [PotentialDescriptors(self.potential, part) for part in self.columns.split("+")]

    def potential_labels(self) -> list[str]:
        """Names of the columns."""
        return [label for part in self.representations for label in part.labels]

    def potential_columns(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Columns (n, d) as computed, within the range of single precision; NaN where one is missing."""
        parts = [samples.represent(part).values["descriptors"] for part in self.representations]
        return within_range(np.concatenate(parts, axis=1))
