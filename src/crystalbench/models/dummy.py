"""Dummy: a baseline that ignores its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from crystalbench.data.samples import Predictions
from crystalbench.models.model import Invariance, Model, Needs, Sees
from crystalbench.targets import Kind

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples


@dataclass
class Dummy(Model):
    """Mean of the training targets, or the frequencies of the classes.

    For regression, Matbench's dummy predicts the training mean as well, and this one reproduces it exactly. For
    classification, Matbench's draws labels at random by the frequencies of the classes (scikit-learn's ``stratified``);
    this one predicts the frequencies themselves.
    """

    needs: ClassVar[Needs] = Needs.COMPOSITION
    invariances: ClassVar[frozenset[Invariance]] = frozenset(Invariance)
    sees: ClassVar[Sees] = Sees.NOTHING

    def fit(self, train: Samples, valid: Samples) -> Self:
        """Average the targets of both parts, since nothing has to be validated."""
        self.target = train.target
        targets = np.concatenate([train.targets, valid.targets])
        if train.target.kind is Kind.MULTICLASS:
            counts = np.bincount(targets.astype(int), minlength=len(train.target.classes))
            self._value = counts / counts.sum()
        else:
            self._value = np.asarray(targets.mean())
        return self

    def predict(self, samples: Samples) -> Predictions:
        """The same value for every row."""
        return Predictions(np.broadcast_to(self._value, (len(samples), *self._value.shape)).copy())

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """The value."""
        return {"value": self._value}, {}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Restore the value."""
        self._value = arrays["value"]

    @property
    def n_parameters(self) -> int | None:
        """One, or the number of classes; None before `fit`."""
        return int(self._value.size) if hasattr(self, "_value") else None
