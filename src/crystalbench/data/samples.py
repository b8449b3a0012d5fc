"""Samples: the rows that a model is shown, with targets for fitting and without for prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.flat import as_index
from crystalbench.errors import DataError
from crystalbench.targets import Kind, Target

if TYPE_CHECKING:
    from crystalbench.representations import Arrays, Representation


class Samples:
    """Rows of a task as a model sees them.

    Models read `inputs` (or `compositions`, or `represent` with a representation), `targets` while fitting, and
    `target` to know what they predict. The rows of a test part have no targets.

    Args:
        inputs: n crystals or compositions.
        target: what is predicted.
        targets: (n,) float64 values for regression, class numbers for classification, or None.
        represent: computes a representation of all rows of the task once and returns these rows of it; by default the
            representation is computed directly.
    """

    def __init__(
        self,
        inputs: Inputs,
        target: Target,
        targets: npt.NDArray[np.float64] | None = None,
        *,
        represent: Callable[[Representation, npt.NDArray[np.int64]], Arrays] | None = None,
        rows: npt.NDArray[np.int64] | None = None,
    ) -> None:
        if targets is not None and len(targets) != len(inputs):
            raise DataError(f"{len(targets)} targets for {len(inputs)} rows")
        self.target = target
        self._inputs = inputs
        self._targets = targets
        self._represent = represent
        self._rows = np.arange(len(inputs)) if rows is None else rows

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._inputs)

    @property
    def ids(self) -> npt.NDArray[np.str_]:
        """(n,) ids of the rows."""
        return self._inputs.ids

    @property
    def inputs(self) -> Inputs:
        """The crystals, or the compositions where a task has (or a model may see) nothing else."""
        return self._inputs

    @property
    def crystals(self) -> Crystals:
        """The crystals.

        Raises:
            DataError: only compositions are known.
        """
        if not isinstance(self._inputs, Crystals):
            raise DataError("these samples have compositions only; a model that reads crystals must declare it (needs)")
        return self._inputs

    @property
    def compositions(self) -> Compositions:
        """The compositions; of crystals, those of their cells."""
        return self._inputs.compositions() if isinstance(self._inputs, Crystals) else self._inputs

    @property
    def targets(self) -> npt.NDArray[np.float64]:
        """(n,) targets.

        Raises:
            DataError: these are rows to predict, whose targets no model may see.
        """
        if self._targets is None:
            raise DataError("these samples are to be predicted: they carry no targets")
        return self._targets

    @property
    def has_targets(self) -> bool:
        """Whether these rows are for fitting."""
        return self._targets is not None

    def represent(self, representation: Representation) -> Arrays:
        """These rows in a representation; computed once for the whole task where the samples come from one."""
        if self._represent is None:
            return representation(self._inputs)
        return self._represent(representation, self._rows)

    def to_predict(self) -> Samples:
        """The same rows without their targets."""
        return Samples(self._inputs, self.target, represent=self._represent, rows=self._rows)

    def __getitem__(self, key: Any) -> Samples:
        """The samples at a slice, mask or index array."""
        index = as_index(key, len(self))
        targets = None if self._targets is None else self._targets[index]
        return Samples(self._inputs[index], self.target, targets, represent=self._represent, rows=self._rows[index])


@dataclass(frozen=True)
class Predictions:
    """What a model predicts for n rows.

    Attributes:
        values: regression (n,) in the target's unit; binary (n,) probability of class 1; multiclass (n, classes).
        std: (n,) predicted standard deviation of a regression, where the model knows one.
    """

    values: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64] | None = None

    def checked(self, target: Target, ids: npt.NDArray[np.str_]) -> Predictions:
        """These predictions as float64, after checking them.

        Raises:
            DataError: wrong shape, not finite, or not probabilities; names the first bad id.
        """
        values = np.asarray(self.values, dtype=np.float64)
        shape = (len(ids), len(target.classes)) if target.kind is Kind.MULTICLASS else (len(ids),)
        if values.shape != shape:
            raise DataError(f"predictions of shape {values.shape} for a {target.kind} target of shape {shape}")
        rows = values.reshape(len(ids), -1)
        _refuse(ids, ~np.isfinite(rows).all(1), "is predicted a value that is not finite")
        if target.kind is not Kind.REGRESSION:
            _refuse(ids, ((rows < 0) | (rows > 1)).any(1), "is predicted a probability outside [0, 1]")
        if target.kind is Kind.MULTICLASS:
            _refuse(ids, np.abs(rows.sum(1) - 1) > 1e-4, "is predicted probabilities whose sum is not 1")
        std = self.std
        if std is not None:
            std = np.asarray(std, dtype=np.float64)
            if std.shape != (len(ids),) or not np.isfinite(std).all() or (std < 0).any():
                raise DataError("predicted standard deviations must be finite, not negative, and one for each row")
        return dataclasses.replace(self, values=values, std=std)


def _refuse(ids: npt.NDArray[np.str_], bad: Any, what: str) -> None:
    if bad.any():
        raise DataError(f"{ids[bad][0]} {what}")
