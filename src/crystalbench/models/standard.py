"""How networks standardise the targets of a regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from crystalbench.targets import Kind

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Standard:
    """Target = mean · q + scale · standardised target, where q is 1, or for extensive targets the number of atoms.

    So an extensive target has no constant that does not grow with the cell.

    Attributes:
        mean: of the targets, or of an extensive target per atom.
        scale: standard deviation of the targets from mean · q; 1 if they do not vary.
        atoms: mean number of atoms in the cell for extensive targets; None for others.
    """

    mean: float = 0.0
    scale: float = 1.0
    atoms: float | None = None

    @classmethod
    def fit(cls, train: Samples, *, extensive: bool) -> Self:
        """From the rows to fit; classes are left as they are."""
        if train.target.kind is not Kind.REGRESSION:
            return cls()
        counts = train.compositions.totals if extensive else np.ones(len(train))
        mean = float(train.targets.sum() / counts.sum())
        scale = float(np.sqrt(np.mean((train.targets - mean * counts) ** 2)))
        return cls(mean, scale if scale > 0 else 1.0, float(counts.mean()) if extensive else None)

    def sizes(self, samples: Samples) -> _Floats:
        """(n,) numbers of atoms, relative to the mean of the rows that were fitted.

        Multiplied by them, the output of a network is of the same order as the standardised targets.
        """
        return np.asarray(samples.compositions.totals / (self.atoms or 1.0))

    def standardised(self, samples: Samples) -> _Floats:
        """(n,) standardised targets."""
        return np.asarray((samples.targets - self._means(samples)) / self.scale)

    def restored(self, outputs: _Floats, samples: Samples) -> _Floats:
        """(n,) predictions from standardised ones; inverse of `standardised`."""
        return np.asarray(outputs * self.scale + self._means(samples))

    def _means(self, samples: Samples) -> _Floats | float:
        return self.mean if self.atoms is None else self.mean * samples.compositions.totals
